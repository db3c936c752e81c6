"""Sort images into a folder for each class, by copying or moving, and never over a file that is there.

A file that is there already with the same bytes is not put there twice, so that sorting again after an interruption
changes nothing; another file of the same name gets a number: ``a.jpg``, ``a-2.jpg``. An image that has changed since it
was classified stays where it is.
"""

from __future__ import annotations

import filecmp
import itertools
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from model.storage.atomic import replacing
from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.files.stamps import Stamp, stamp_of
from pipeline.prediction.job import UNCERTAIN, UNREADABLE
from pipeline.prediction.journal import Journal


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
    for key in keys:
        record = journal.record(key)
        if record is None:
            raise InputError(f"{escape(journal.path)}: is damaged; run the same command again")
        for path, folder, stamp in zip(record.paths, record.folders, record.stamps, strict=True):
            if path is not None and folder is not None:
                outcomes[_transfer(Path(path), Path(target) / _folder_name(folder), stamp, move=move)] += 1
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
            raise InputError(f"{escape(there)}: no images can be put there ({error.strerror})") from None


def _folder_name(label: str) -> str:
    """Return the name of a class as the name of one folder, which cannot point to another place."""
    return re.sub(r'[\x00-\x1f/\\:*?"<>|]', "_", label).lstrip(".") or "_"


def _transfer(source: Path, folder: Path, stamp: Stamp, *, move: bool) -> str:
    now = stamp_of(source)
    if now.size < 0:
        there = (folder / source.name).exists()
        return "there already" if move and there else "missing"
    if now != stamp:
        return "changed"
    folder.mkdir(parents=True, exist_ok=True)
    for target in _free_paths(folder, source.name):
        try:
            if os.path.lexists(target):
                if not target.is_file() or target.stat().st_size != now.size:
                    continue
                if os.path.samefile(source, target):  # noqa: PTH121
                    return "there already"  # it is this very file
                if not filecmp.cmp(source, target, shallow=False):
                    continue
                return "there already" if not move or _removed(source) else "copied only"
            _put(source, target, link=move and not source.is_symlink())
            return "copied" if not move else "moved" if _removed(source) else "copied only"
        except FileExistsError:
            continue
        except PermissionError:
            if os.access(folder, os.W_OK):
                return "unreadable"
            raise
    raise AssertionError("names never end")


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


def _put(source: Path, target: Path, *, link: bool) -> None:
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
