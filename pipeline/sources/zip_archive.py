"""A zip archive of class folders, ready-made splits or a manifest, read without unpacking anything to disk.

Archives are untrusted: members whose names lead out of the archive are not read, no member is unpacked beyond
`pipeline.images.decode.MAX_BYTES`, and none is unpacked that is compressed far more than images can be.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.files.cells import label_column, written_by_predict
from pipeline.files.lookup import spellings
from pipeline.files.names import composed, escape
from pipeline.files.stamps import Stamp, stamp_of
from pipeline.files.tables import Table
from pipeline.files.walk import RUN, RUN_FILE_NAMES, is_run_folder, reason_to_ignore_name, sort_key
from pipeline.images.decode import MAX_BYTES
from pipeline.images.errors import ImageError
from pipeline.images.signatures import sniff
from pipeline.sources.labels import arrange
from pipeline.sources.layout import EMPTY, folders_without_images, outer_folder
from pipeline.sources.manifest import Manifest, parse_manifest
from pipeline.sources.others import NOT_AN_IMAGE, is_another_kind, no_images
from pipeline.sources.source import Sample, Source
from pipeline.sources.zip_names import member_name

_LARGEST_RATIO = 200
_RATIO_CHECKED_FROM = 1 << 24
_ENCRYPTED = 0x1
# A manifest may cost what the archive explains: so much text, and so many images, for each member.
_MANIFEST_BYTES, _MANIFEST_BYTES_PER_MEMBER, _MANIFEST_ROWS_PER_MEMBER = 1 << 20, 1000, 10
_MOST_TABLES = 100  # that are looked at for a manifest


def open_zip(path: Path, group_by: str = "", *, arranged: bool = True) -> Source:
    """List the images in a zip archive.

    Parameters
    ----------
    path : Path
    group_by : str
        Perhaps a column of its manifest.
    arranged : bool
        Take folders for classes and splits; if not, the images of an archive without a manifest have no labels.

    Raises
    ------
    InputError
        If it is not a zip archive, is damaged, holds no images, or its manifest has an error.
    """
    where = escape(path)
    try:
        archive = zipfile.ZipFile(path)
    except UnicodeDecodeError:
        raise InputError(f"{where}: is damaged: a name that is marked as UTF-8 is none; pack it again") from None
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise InputError(f"{where}: is not a zip archive, or is damaged ({error})") from None
    contents = _contents(archive)
    read = ZipMembers(path, archive, contents.members)
    named = _open_table(archive, contents, where, group_by)
    if named:
        table, manifest = named
        del contents.members[table]
        unnamed = len(contents.members.keys() - {str(sample.key) for sample in manifest.samples})
        contents.ignored.update({"repeated row": manifest.doubles, "manifest": 1, "not in the manifest": unnamed})
        samples, columns, notes = manifest.samples, manifest.columns, manifest.notes
    else:
        columns = ()
        images, others = _images(archive, contents, where)
        samples, notes = [Sample(escape(name), key=name) for name in images], ()
        if arranged:
            samples, notes = _arranged(images, others, where)
    return Source(
        kind="zip",
        location=where,
        samples=samples,
        read=read,
        stamp=read.stamp,
        ignored={reason: n for reason, n in contents.ignored.items() if n},
        rejected=contents.rejected,
        columns=columns,
        notes=(*notes, *contents.notes),
    )


@dataclass(frozen=True)
class _Contents:
    """What an archive holds.

    Attributes
    ----------
    members : dict of str to ZipInfo
        Members that may be images, by name, sorted.
    ignored : Counter
        How many members were skipped, by reason.
    rejected : list of (path, code, message)
    folders : list of str
        Folders that have a member of their own; their names end with ``/``.
    notes : tuple of str
    """

    members: dict[str, zipfile.ZipInfo]
    ignored: Counter[str]
    rejected: list[tuple[str, str, str]]
    folders: list[str]
    notes: tuple[str, ...]


def _contents(archive: zipfile.ZipFile) -> _Contents:
    members: dict[str, zipfile.ZipInfo] = {}
    ignored: Counter[str] = Counter()
    rejected: list[tuple[str, str, str]] = []
    folders: list[str] = []
    n_guessed = 0
    for info in archive.infolist():
        name, is_certain = member_name(info)
        n_guessed += not is_certain
        parts = name.split("/")
        reason = next(filter(None, map(reason_to_ignore_name, parts)), "")
        if name.startswith("/") or ".." in parts or ":" in parts[0]:
            rejected.append((escape(name), "permission", "its name leads out of the archive, so it is not read"))
        elif name.endswith("/"):
            folders += [] if reason else [name]
        elif name in members:
            rejected.append((escape(name), "corrupt", "is in the archive twice; the first one is read"))
        elif reason:
            ignored[reason] += 1
        else:
            members[name] = info
    for name in _of_runs(members):
        ignored[RUN] += 1
        del members[name]
    notes = ("names that are neither ASCII nor UTF-8 are read as code page 437, as zip prescribes",) * (n_guessed > 0)
    members = dict(sorted(members.items(), key=lambda item: sort_key(item[0])))
    return _Contents(members, ignored, rejected, folders, notes)


def _of_runs(names: Collection[str]) -> list[str]:
    """Return the names that lie in folders of runs of Facette, which have no folders below them."""
    inside: dict[str, set[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        if file in RUN_FILE_NAMES:
            inside.setdefault(folder, set()).add(file)
    runs = {folder for folder, files in inside.items() if folder and is_run_folder(files)}
    return [name for name in names if name.rpartition("/")[0] in runs] if runs else []


def _open_table(
    archive: zipfile.ZipFile, contents: _Contents, where: str, group_by: str
) -> tuple[str, Manifest] | None:
    """Return the name of the only manifest in an archive, and its rows; None if there is none, or several."""
    tables = [name for name in contents.members if name.lower().endswith((".csv", ".tsv"))]
    if not tables or len(tables) > _MOST_TABLES:
        return None
    headers = {name: _columns(archive, contents.members[name]) for name in tables}
    manifests = [name for name in tables if {"path", label_column(headers[name])} <= set(headers[name])]
    manifests = [name for name in manifests if not written_by_predict(headers[name])] or manifests
    if not manifests and len(tables) == 1 and not any("/" in name for name in contents.members if name != tables[0]):
        manifests = tables  # there are no class folders: the table is meant, and its error says what it lacks
    if len(manifests) != 1:
        return None
    table = manifests[0]
    location = f"{where}: {escape(table)}"
    members, folder = contents.members, posixpath.dirname(table)
    by_composed = {composed(name): name for name in members if not name.isascii()}

    def find(text: str, columns: Sequence[str]) -> tuple[str, str]:
        forms = list(spellings(text))
        for form in forms:
            name = posixpath.normpath(posixpath.join(folder, form))
            key = name if name in members else by_composed.get(composed(name))
            if key:
                return form, key
        return forms[0], posixpath.normpath(posixpath.join(folder, forms[0]))

    try:
        info = members[table]
        check_member(info)
        most_bytes = max(_MANIFEST_BYTES, _MANIFEST_BYTES_PER_MEMBER * len(members))
        if info.file_size > most_bytes:
            raise ImageError("too_large", f"unpacks to {info.file_size:,} bytes; at most {most_bytes:,} are read")
        most = _MANIFEST_ROWS_PER_MEMBER * len(members) + 1000
        return table, parse_manifest(archive.open(info), location, group_by, find, most=most)
    except InputError:
        raise
    except Exception as error:  # a decompressor may raise anything on broken bytes
        raise InputError(f"{location}: cannot be unpacked ({' '.join(str(error).split())})") from None


def _columns(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[str, ...]:
    with Table(io.BytesIO(_head(archive, info, 1 << 16)), "") as table:
        return table.columns


def _head(archive: zipfile.ZipFile, info: zipfile.ZipInfo, n: int) -> bytes:
    """Return the first n bytes of a member; nothing if it cannot be unpacked."""
    if not info.file_size:
        return b""
    try:
        check_member(info)
        with archive.open(info) as file:
            return file.read(n)
    except Exception:  # a decompressor may raise anything on broken bytes
        return b""


def _images(archive: zipfile.ZipFile, contents: _Contents, where: str) -> tuple[list[str], dict[str, str]]:
    """Return the members that may be images, and what else there is, as `folders_without_images` takes it."""
    members = contents.members
    others = {
        name: NOT_AN_IMAGE
        for name, info in members.items()
        if is_another_kind(posixpath.basename(name), partial(_head, archive, info))
    }
    contents.ignored[NOT_AN_IMAGE] += len(others)
    images = [name for name in members if name not in others]
    if not images:
        archive.close()
        first = [
            f"the first of {len(contents.rejected):,} that cannot be read, {name}: {why}"
            for name, _, why in contents.rejected[:1]
        ]
        raise no_images(where, "an archive of one folder of images for each class", contents.ignored, first)
    return images, others | dict.fromkeys(contents.folders, EMPTY)


def _arranged(images: Sequence[str], others: Mapping[str, str], where: str) -> tuple[list[Sample], tuple[str, ...]]:
    """Return the samples of class folders or ready-made splits, without the folders around them, and notes."""
    prefix = outer_folder(images)
    samples, notes = arrange([name.removeprefix(prefix) for name in images], where)
    samples = [sample._replace(key=name) for sample, name in zip(samples, images, strict=True)]
    return samples, notes + folders_without_images(images, others)


class ZipMembers:
    """Read samples that are members of an archive; a pickled copy opens the archive again."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> None:
        self._path = path.absolute()
        self._archive = archive
        self._members = members
        self._stamp = stamp_of(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_again, (self._path,)

    def __call__(self, sample: Sample) -> bytes:
        """Return the bytes of an image file."""
        info = self._members.get(str(sample.key))
        if info is None:
            raise ImageError("not_found", "is not in the archive")
        check_member(info)
        try:
            with self._archive.open(info) as file:
                head = file.read(256)
                sniff(head)
                return head + file.read(MAX_BYTES)
        except zipfile.BadZipFile as error:
            raise ImageError("corrupt", f"is damaged in the archive ({error})") from None
        except EOFError:
            raise ImageError("truncated", "is cut short in the archive") from None
        except ImageError:
            raise
        except Exception as error:  # a decompressor may raise anything on broken bytes
            raise ImageError("io_error", f"cannot be unpacked ({' '.join(str(error).split())})") from None

    def stamp(self, sample: Sample) -> Stamp:
        """Return the size and modification time of the archive."""
        return self._stamp


def _open_again(path: Path) -> ZipMembers:
    archive = zipfile.ZipFile(path)
    return ZipMembers(path, archive, _contents(archive).members)


def check_member(info: zipfile.ZipInfo) -> None:
    """Reject a member that is encrypted, too large, or compressed more than images can be.

    Raises
    ------
    ImageError
    """
    if info.flag_bits & _ENCRYPTED:
        raise ImageError("permission", "is encrypted; unpack the archive with its password and give the folder")
    if info.file_size > MAX_BYTES:
        raise ImageError("too_large", f"unpacks to {info.file_size} bytes; at most {MAX_BYTES} are read")
    if info.file_size > max(_RATIO_CHECKED_FROM, _LARGEST_RATIO * info.compress_size):
        raise ImageError("too_large", f"unpacks to more than {_LARGEST_RATIO} times its size, which no image does")
