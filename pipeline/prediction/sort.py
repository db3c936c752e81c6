"""Sort images into a folder for each class, by copying or moving, and never over a file that is there.

What is there already with the same bytes is not put there twice, so that sorting again after an interruption changes
nothing; another file of the same name gets a number: ``a.jpg``, ``a-2.jpg``. An image that has changed since it was
classified stays where it is.
"""

from __future__ import annotations

import contextlib
import filecmp
import itertools
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

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
        Says where each file lies and where it belongs.
    keys : sequence of str
        Of its chunks.
    target : str or Path
        Made where it does not exist.
    move : bool
        Take the files away from where they are.

    Returns
    -------
    Counter
        What became of the files: ``copied`` or ``moved``, ``there already``, ``missing``, ``changed``, ``unreadable``;
        ``copied only`` where a file was to be moved, and its folder lets nothing be taken away.

    Raises
    ------
    OSError
        When the target cannot be written.
    """
    outcomes: Counter[str] = Counter()
    for key in keys:
        record = journal.record(key)
        if record is None:
            raise InputError(f"{escape(journal.rows_path(key))}: is damaged; run the same command again")
        for path, folder, stamp in zip(record.paths, record.folders, record.stamps, strict=True):
            if path is not None and folder is not None:
                outcomes[_transfer(Path(path), Path(target) / _plain(folder), stamp, move=move)] += 1
    return outcomes


def check_target(target: str | Path, classes: Sequence[str]) -> None:
    """Make sure, and leave nothing behind, that images can be put into folders for these classes.

    Raises
    ------
    InputError
        When they cannot.
    """
    folders: dict[str, str] = {}
    for name in (UNCERTAIN, UNREADABLE, *classes):
        if _plain(name) in folders:
            raise InputError(
                f"{escape(target)}: {folders[_plain(name)]!r} and {name!r} would be sorted into one folder"
            )
        folders[_plain(name)] = name
    for folder in (Path(target), *(Path(target) / name for name in folders)):
        there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
        if not there.is_dir():
            raise InputError(f"{escape(there)}: is a file, where a folder for images is needed; choose another")
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            raise InputError(f"{escape(there)}: no images can be put there ({error.strerror})") from None


def _plain(label: str) -> str:
    """Return a class's name as the name of one folder, which leads nowhere else."""
    return re.sub(r'[\x00-\x1f/\\:*?"<>|]', "_", label).lstrip(".") or "_"


def _transfer(source: Path, folder: Path, stamp: Stamp, *, move: bool) -> str:
    now = stamp_of(source)
    if now.size < 0:
        there = (folder / source.name).exists()
        return "there already" if move and there else "missing"
    if now != stamp:
        return "changed"
    folder.mkdir(parents=True, exist_ok=True)
    for target in _names(folder, source.name):
        try:
            if os.path.lexists(target):
                if not target.is_file() or target.stat().st_size != now.size:
                    continue
                if os.path.samefile(source, target):  # noqa: PTH121
                    return "there already"  # it lies here itself
                if not filecmp.cmp(source, target, shallow=False):
                    continue
                return "there already" if not move or _taken_away(source) else "copied only"
            _put(source, target, link=move and not source.is_symlink())
            return "copied" if not move else "moved" if _taken_away(source) else "copied only"
        except FileExistsError:
            continue
        except PermissionError:
            if os.access(folder, os.W_OK):
                return "unreadable"
            raise
    raise AssertionError("names do not end")


def _taken_away(source: Path) -> bool:
    try:
        source.unlink()
    except PermissionError:
        return False
    return True


def _names(folder: Path, name: str) -> Iterator[Path]:
    yield folder / name
    stem, ending = Path(name).stem, Path(name).suffix
    for number in itertools.count(2):
        yield folder / f"{stem}-{number}{ending}"


def _put(source: Path, target: Path, *, link: bool) -> None:
    """Make `target`, whole and at once: the same file under another name where `link` asks for it and it can be.

    Raises
    ------
    FileExistsError
        When it has come to be meanwhile.
    """
    if link:
        try:
            os.link(source, target)  # unlike a renaming, never over a file
            return
        except FileExistsError:
            raise
        except OSError:  # another file system, or one without links
            pass
    temporary = target.with_name(f".{os.getpid()}.facette.tmp")
    try:
        shutil.copy2(source, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        try:
            os.link(temporary, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            os.replace(temporary, target)  # noqa: PTH105
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
