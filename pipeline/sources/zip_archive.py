"""A zip archive of class folders, ready-made splits or a manifest, read without unpacking anything to disk.

Archives are untrusted: members whose names lead out of the archive are not read, no member is unpacked beyond
`pipeline.images.decode.MAX_BYTES`, and none is unpacked that is compressed far more than images can be.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.files.stamps import Stamp, stamp_of
from pipeline.files.walk import reason_to_ignore_name, sort_key
from pipeline.images.decode import MAX_BYTES
from pipeline.images.errors import ImageError
from pipeline.images.signatures import sniff
from pipeline.sources.labels import arrange
from pipeline.sources.manifest import parse_manifest
from pipeline.sources.source import Sample, Source

_LARGEST_RATIO = 200
_RATIO_CHECKED_FROM = 1 << 24
_ENCRYPTED = 0x1


def open_zip(path: Path, group_by: str = "") -> Source:
    """List the images in a zip archive.

    Raises
    ------
    InputError
        If it is not a zip archive, is damaged, holds no images, or its manifest has an error.
    """
    where = escape(path)
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise InputError(f"{where}: is not a zip archive, or is damaged ({error})") from None
    members, ignored, rejected = _members(archive)
    read = ZipMembers(path, archive, members)
    if not members:
        archive.close()
        raise InputError(f"{where}: holds no images; give an archive of one folder of images for each class")
    tables = [name for name in members if name.lower().endswith((".csv", ".tsv"))]
    if len(tables) == 1:
        table = tables[0]
        info = members.pop(table)
        table_location = f"{where}: {escape(table)}"
        samples, columns, doubles = parse_manifest(
            _manifest_bytes(archive, info, table_location), table_location, group_by
        )
        folder = posixpath.dirname(table)
        samples = [
            sample._replace(key=posixpath.normpath(posixpath.join(folder, str(sample.key)))) for sample in samples
        ]
        unnamed = len(members.keys() - {str(sample.key) for sample in samples})
        ignored.update({"repeated row": doubles, "manifest": 1, "not in the manifest": unnamed})
        notes: tuple[str, ...] = ()
    else:
        columns = ()
        prefix = _common_folder(list(members))
        samples, notes = arrange([name.removeprefix(prefix) for name in members], where)
        samples = [sample._replace(key=prefix + str(sample.key)) for sample in samples]
    return Source(
        kind="zip",
        location=where,
        samples=samples,
        read=read,
        stamp=read.stamp,
        ignored={reason: n for reason, n in ignored.items() if n},
        rejected=rejected,
        columns=columns,
        notes=notes,
    )


def _members(
    archive: zipfile.ZipFile,
) -> tuple[dict[str, zipfile.ZipInfo], Counter[str], list[tuple[str, str, str]]]:
    """Return (members that may be images, by name, sorted; how many were skipped, by reason; rejected members)."""
    members: dict[str, zipfile.ZipInfo] = {}
    ignored: Counter[str] = Counter()
    rejected: list[tuple[str, str, str]] = []
    for info in archive.infolist():
        name = info.filename
        parts = name.split("/")
        if info.is_dir():
            continue
        if name.startswith("/") or "\\" in name or ".." in parts or ":" in parts[0]:
            rejected.append((escape(name), "permission", "its name leads out of the archive, so it is not read"))
        elif name in members:
            rejected.append((escape(name), "corrupt", "is in the archive twice; the first one is read"))
        else:
            reason = next(filter(None, map(reason_to_ignore_name, parts)), "")
            if reason:
                ignored[reason] += 1
            else:
                members[name] = info
    return dict(sorted(members.items(), key=lambda item: sort_key(item[0]))), ignored, rejected


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
    return ZipMembers(path, archive, _members(archive)[0])


def _manifest_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo, location: str) -> bytes:
    """Return the bytes of a manifest in an archive."""
    try:
        check_member(info)
        return archive.read(info)
    except Exception as error:  # a decompressor may raise anything on broken bytes
        raise InputError(f"{location}: cannot be unpacked ({' '.join(str(error).split())})") from None


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


def _common_folder(names: list[str]) -> str:
    """Return the path of folders that contains everything, down to the class folders; an archived folder has one."""
    prefix = ""
    while True:
        rest = [name.removeprefix(prefix) for name in names]
        tops = {name.partition("/")[0] for name in rest}
        if len(tops) != 1 or any(name.count("/") < 2 for name in rest):
            return prefix
        prefix += f"{tops.pop()}/"
