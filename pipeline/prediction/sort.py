"""Sort images into a folder for each class, by copying or moving, and never over a file that is there.

A file that is there already with the same bytes is not put there twice, so that sorting again after an interruption
changes nothing; another file of the same name gets a number: ``a.jpg``, ``a-2.jpg``. An image that has changed since it
was classified stays where it is. Images never go into a folder that the images come from, nor into one around it:
there, a prediction would look like a label that a person gave. What was done is written down in the target, see
`pipeline.prediction.sorting_record`, and `pipeline.prediction.undo` takes it back.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import itertools
import os
import re
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from model.storage.atomic import replacing
from pipeline.errors import DiskFull, InputError, is_full
from pipeline.files.names import escape
from pipeline.files.stamps import Stamp, stamp_of
from pipeline.prediction.job import UNCERTAIN, UNREADABLE
from pipeline.prediction.journal import Journal
from pipeline.prediction.sorting_record import SortingRecord, Transfer, sorting_record

Identity = tuple[int, int]  # of a file or folder, by whatever path: its device and its number there


def sort_images(journal: Journal, keys: Sequence[str], target: str | Path, *, move: bool) -> Counter[str]:
    """Put the images of a finished run into ``target/CLASS/``, ``target/_unsure/`` and ``target/_errors/``.

    Parameters
    ----------
    journal : Journal
        Holds the path of each file, and the folder that it belongs into.
    keys : sequence of str
        Keys of its chunks.
    target : str or Path
        Created if it does not exist.
    move : bool
        Remove the files from where they are.

    Returns
    -------
    Counter
        What became of the files: ``copied`` or ``moved``, ``there already``, ``missing``, ``changed``, ``unreadable``;
        ``copied only`` if a file was to be moved, and may not be removed from its folder.

    Raises
    ------
    OSError
        If the target cannot be written.
    """
    outcomes: Counter[str] = Counter()
    root = Path(os.path.realpath(target))
    with contextlib.ExitStack() as stack:
        sorter = _Sorter(root, stack, move=move)
        for key in keys:
            record = journal.record(key)
            if record is None:
                raise InputError(f"{escape(journal.path)}: is damaged; run the same command again")
            columns = zip(record.paths, record.folders, record.stamps, record.digests, strict=True)
            for path, folder, stamp, digest in columns:
                if path is not None and folder is not None:
                    outcomes[sorter.transfer(Path(path), _folder_name(folder), stamp, digest)] += 1
            sorter.flush()
    return outcomes


def check_target(target: str | Path, classes: Sequence[str]) -> None:
    """Check that images can be put into folders for these classes; nothing is created.

    Raises
    ------
    InputError
        If they cannot.
    """
    folders: dict[str, str] = {}
    for name in (UNCERTAIN, UNREADABLE, *classes):
        if _folder_name(name) in folders:
            raise InputError(
                f"{escape(target)}: {folders[_folder_name(name)]!r} and {name!r} would be sorted into one folder"
            )
        folders[_folder_name(name)] = name
    for folder in (Path(target), *(Path(target) / name for name in folders)):
        there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
        if not there.is_dir():
            raise InputError(f"{escape(there)}: is a file, where a folder for images is needed; choose another")
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            kind = DiskFull if is_full(error) else InputError
            raise kind(f"{escape(there)}: no images can be put there ({error.strerror})") from None


class SourceCheck:
    """Checks that a folder that images come from has nothing to do with the folder that they are to be sorted into.

    Folders are compared by what they are, not by their paths: links, ``..`` and second mounts do not matter.

    Parameters
    ----------
    target : str
        What the user typed.
    classes : sequence of str
    """

    def __init__(self, target: str, classes: Sequence[str]) -> None:
        self._target = target
        self._root = _Place(Path(target))
        self._folders = [_Place(Path(target) / _folder_name(name)) for name in (UNCERTAIN, UNREADABLE, *classes)]
        self._seen: set[Path] = set()

    def check_file(self, path: Path) -> None:
        """Check the folder of an image, and that of the file that it is a link to.

        Raises
        ------
        InputError
            If the target is that folder, or lies inside or around it.
        """
        self.check_folder(path.parent)
        if path.is_symlink():
            self.check_folder(Path(os.path.realpath(path)).parent)

    def check_folder(self, folder: Path) -> None:
        """Check a folder of images, see `check_file`."""
        if folder in self._seen:
            return
        self._seen.add(folder)
        images = _Place(folder)
        relation = self._root.relation_to(images)
        if not relation and any(place.relation_to(images) for place in self._folders):
            relation = "has a link to"
        if not relation:
            return
        raise InputError(
            f"{escape(self._target)}: {relation} the folder {escape(folder)}, from which images come; there, the "
            "model's predictions would look like labels that you gave. Choose a folder apart from all images"
        )


class _Place:
    """Where a folder is, or would be: its identity, and those of the folders around it, as far as they exist."""

    def __init__(self, path: Path) -> None:
        real = Path(os.path.realpath(path))
        self.identity = _identity(real)
        self.around = {identity for folder in real.parents if (identity := _identity(folder))}

    def relation_to(self, other: _Place) -> str:
        """Return how this folder lies to one that exists; empty if they are apart."""
        if other.identity is not None and other.identity == self.identity:
            return "is"
        if self.identity in other.around:
            return "lies around"
        return "lies inside" if other.identity in self.around else ""


def _identity(path: Path) -> Identity | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _folder_name(label: str) -> str:
    """Return the name of a class as the name of one folder, which cannot point to another place."""
    name = re.sub(r'[\x00-\x1f/\\:*?"<>|]', "_", label).lstrip(".") or "_"
    return os.fsdecode(name.encode())  # always in UTF-8, whatever the locale


class _Sorter:
    """Puts files into the folders of a target, and writes down what it does.

    Parameters
    ----------
    root : Path
        The target.
    stack : ExitStack
        Closes the record, which is opened when there is something to write down.
    move : bool
    """

    def __init__(self, root: Path, stack: contextlib.ExitStack, *, move: bool) -> None:
        self._root, self._stack, self._move = root, stack, move

    @cached_property
    def _record(self) -> SortingRecord:
        missing = [folder for folder in (self._root, *self._root.parents) if not folder.exists()]
        self._root.mkdir(parents=True, exist_ok=True)
        record = self._stack.enter_context(sorting_record(self._root, create=True))
        if missing:
            record.add_folder(".")
        return record

    @cached_property
    def _known(self) -> set[tuple[str, str]]:
        return {(transfer.source, transfer.target) for transfer in self._record.transfers.values()}

    def flush(self) -> None:
        """Wait until what was written down is on the disk."""
        if "_record" in self.__dict__:
            self._record.flush()

    def transfer(self, source: Path, folder_name: str, stamp: Stamp, digest: str) -> str:
        """Copy or move a file, and return what became of it, see `sort_images`."""
        folder, now = self._root / folder_name, stamp_of(source)
        if now.size < 0:
            return "there already" if self._move and (folder / source.name).exists() else "missing"
        if now != stamp:
            return "changed"
        self._make(folder)
        for target in _free_paths(folder, source.name):
            try:
                if not os.path.lexists(target):
                    return self._put(source, target, digest)
                if _same_content(source, target, now.size):
                    return self._merge(source, target, digest)
            except FileExistsError:  # another process has created it meanwhile
                continue
            except PermissionError:
                if os.access(folder, os.W_OK):
                    return "unreadable"
                raise
        raise AssertionError("names never end")

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            self._record.add_folder(folder.name)
            folder.mkdir(exist_ok=True)

    def _put(self, source: Path, target: Path, digest: str) -> str:
        number = self._write_down("move" if self._move else "copy", source, target, digest)
        try:
            create_file(source, target, link=self._move and not source.is_symlink())
        except (FileExistsError, PermissionError):
            self._record.drop(number)
            raise
        if not self._move:
            return "copied"
        return "moved" if _removed(source) else "copied only"

    def _merge(self, source: Path, target: Path, digest: str) -> str:
        """Take a file for sorted whose bytes are there already; a move then has only to remove it."""
        if not self._move:
            return "there already"
        name = str(target.relative_to(self._root))
        if os.path.samefile(source, target):  # noqa: PTH121
            is_ours = (str(source), name) in self._known  # a move was killed before it had removed the source
            return "moved" if is_ours and _removed(source) else "there already"
        number = self._write_down("merge", source, target, digest)
        if _removed(source):
            return "there already"
        self._record.drop(number)
        return "copied only"

    def _write_down(self, action: str, source: Path, target: Path, digest: str) -> int:
        status = source.stat()
        return self._record.add(
            Transfer(
                action,
                str(source),
                target.relative_to(self._root).as_posix(),
                digest or file_digest(source),
                status.st_mtime_ns,
                stat.S_IMODE(status.st_mode),
                os.readlink(source) if source.is_symlink() else "",  # noqa: PTH115
            )
        )


def _same_content(source: Path, target: Path, size: int) -> bool:
    return target.is_file() and target.stat().st_size == size and filecmp.cmp(source, target, shallow=False)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _removed(source: Path) -> bool:
    try:
        source.unlink()
    except PermissionError:
        return False
    return True


def _free_paths(folder: Path, name: str) -> Iterator[Path]:
    yield folder / name
    stem, ending = Path(name).stem, Path(name).suffix
    for number in itertools.count(2):
        yield folder / f"{stem}-{number}{ending}"


def create_file(source: Path, target: Path, *, link: bool) -> None:
    """Create `target`, complete: a copy, or (with `link`, and if the file system can) the same file under another name.

    Raises
    ------
    FileExistsError
        If another process has created it meanwhile.
    """
    if link:
        try:
            os.link(source, target)  # unlike a renaming, this never replaces a file
            return
        except FileExistsError:
            raise
        except OSError:  # another file system, or one without links
            pass
    with replacing(target, overwrite=False) as temporary:
        shutil.copy2(source, temporary)
