"""Take back what a sorting did, from the record that it left in its folder (`pipeline.prediction.sorting_record`).

Copies are removed, and moved files go back to where they were. What is done with a file is decided by what is there
now, by content: nothing is overwritten, and the last file with some content is never removed. A file that was changed,
moved or removed meanwhile is named and left alone. If the undoing is interrupted, the same call resumes it.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.prediction.sort import create_file, file_digest
from pipeline.prediction.sorting_record import SortingRecord, Transfer, sorting_record


@dataclass(frozen=True)
class UndoResult:
    """What became of the files of a sorting.

    Attributes
    ----------
    outcomes : Counter
        ``"copies removed"``, ``"put back"``, ``"undone already"``.
    left : list of (path, reason)
        Files that are left alone.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    left: list[tuple[str, str]] = field(default_factory=list)


class _LeftAlone(Exception):
    """A file is left as it is; the message says which and why. `is_settled`: another call could do no more."""

    def __init__(self, path: Path, reason: str, *, is_settled: bool = False) -> None:
        super().__init__(str(path), reason)
        self.is_settled = is_settled


def undo_sorting(folder: str | Path, progress: Callable[[int, int], None] | None = None) -> UndoResult:
    """Take back what was sorted into a folder, the last file first.

    Parameters
    ----------
    folder : str or Path
        What was given with ``--copy-to`` or ``--move-to``.
    progress : callable, optional
        Takes the number of files done so far and the number of all files.

    Raises
    ------
    InputError
        If the folder has no record of a sorting.
    OSError
        If the disk is full or fails; the same call resumes.
    """
    root = Path(os.path.realpath(folder))
    if not root.is_dir():
        raise InputError(f"{escape(folder)}: there is no such folder; give the folder that images were sorted into")
    result = UndoResult()
    with sorting_record(root, create=False) as record:
        pending = sorted(record.transfers.items(), reverse=True)
        for done, (number, transfer) in enumerate(pending, 1):
            try:
                outcome = _undo(root, transfer, record, number)
            except _LeftAlone as reason:
                result.left.append(reason.args)
                if reason.is_settled:
                    record.drop(number)
            except PermissionError as error:
                result.left.append((str(root / transfer.target), f"cannot be taken back ({error.strerror})"))
            else:
                record.drop(number)
                result.outcomes[outcome] += 1
            if progress:
                progress(done, len(pending))
        record.flush()
        if not record.transfers:
            _remove_folders(root, record)
    return result


def _undo(root: Path, transfer: Transfer, record: SortingRecord, number: int) -> str:
    source, target = Path(transfer.source), root / transfer.target
    if not os.path.lexists(target):
        if number in record.undoing or (transfer.action != "copy" and _holds(source, transfer)):
            return "undone already"
        raise _LeftAlone(target, "was moved or removed meanwhile", is_settled=transfer.action == "copy")
    if not _holds(target, transfer):
        raise _LeftAlone(target, "has changed since it was sorted")
    record.begin_undo(number)
    return _ACTIONS[transfer.action](source, target, transfer)


def _remove_copy(source: Path, target: Path, transfer: Transfer) -> str:
    if not _holds(source, transfer):
        raise _LeftAlone(target, f"is kept: {escape(source)}, from which it was copied, is gone or has changed")
    target.unlink()
    return "copies removed"


def _put_back(source: Path, target: Path, transfer: Transfer) -> str:
    if os.path.lexists(source):
        if not _holds(source, transfer):
            raise _LeftAlone(target, f"cannot go back: there is another file {escape(source)}")
    else:
        _restore(source, target, transfer, link=True)
    target.unlink()
    return "put back"


def _put_copy_back(source: Path, target: Path, transfer: Transfer) -> str:
    """Restore a file whose bytes were in the target before."""
    if not os.path.lexists(source):
        _restore(source, target, transfer, link=False)
    elif not _holds(source, transfer):
        raise _LeftAlone(source, f"is another file now; a file like the one that was there is {escape(target)}")
    return "put back"


_ACTIONS: dict[str, Callable[[Path, Path, Transfer], str]] = {
    "copy": _remove_copy,
    "move": _put_back,
    "merge": _put_copy_back,
}


def _restore(source: Path, target: Path, transfer: Transfer, *, link: bool) -> None:
    source.parent.mkdir(parents=True, exist_ok=True)
    try:
        if transfer.link and _digest(source.parent / transfer.link) == transfer.sha256:
            source.symlink_to(transfer.link)
            return
        create_file(target, source, link=link)
    except FileExistsError:
        raise _LeftAlone(target, f"cannot go back: there is another file {escape(source)}") from None
    if not link:
        source.chmod(transfer.mode)
        os.utime(source, ns=(transfer.mtime_ns, transfer.mtime_ns))


def _holds(path: Path, transfer: Transfer) -> bool:
    """Tell whether a file holds what was sorted."""
    return _digest(path) == transfer.sha256


def _digest(path: Path) -> str:
    try:
        return file_digest(path) if path.is_file() else ""
    except FileNotFoundError:
        return ""


def _remove_folders(root: Path, record: SortingRecord) -> None:
    """Remove the record, and the folders that the sorting made if nothing else is in them."""
    record.remove()
    for folder in sorted(set(record.folders), key=lambda folder: folder == "."):  # the one around the others last
        with contextlib.suppress(OSError):
            (root / folder).rmdir()
