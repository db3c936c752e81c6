"""The record of a sorting, in the folder that images were sorted into: what is needed to take them back.

It is one hidden file of JSON lines, so it is no image, and a person can read it. The first line says what it is. Each
other line is a `Transfer`, a folder that was made, or the number of a transfer that is no longer in force. A line is
written before what it describes is done: if the process is killed, the record names more than was done, never less.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from pipeline.errors import InputError
from pipeline.files.names import escape

RECORD_NAME = ".facette-sorting.jsonl"
_FIRST_LINE = {"format": "facette-sorting", "version": 1}
_ACTIONS = ("copy", "move", "merge")


@dataclass(frozen=True)
class Transfer:
    """A file that was sorted.

    Attributes
    ----------
    action : str
        ``"copy"``; ``"move"``; ``"merge"``: it was to be moved, the same bytes were there already, and it was removed.
    source : str
        Absolute path of the image.
    target : str
        Path relative to the folder of the record, with ``/`` between the parts.
    sha256 : str
        Of its bytes, in hexadecimal digits.
    mtime_ns, mode : int
        Modification time and permissions of the source.
    link : str
        If the source was a symbolic link: what it pointed to.
    """

    action: str
    source: str
    target: str
    sha256: str
    mtime_ns: int
    mode: int
    link: str = ""


class SortingRecord:
    """The record of a folder, open for writing, and locked against other processes.

    Attributes
    ----------
    transfers : dict of int to Transfer
        What is in force, by number, in the order in which it was done.
    undoing : set of int
        Numbers of the transfers whose undoing has begun.
    folders : list of str
        Folders that were made, relative to the record's folder; ``"."`` is that folder itself.
    """

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path, self._file = path, file
        self.transfers: dict[int, Transfer] = {}
        self.undoing: set[int] = set()
        self.folders: list[str] = []
        self._next = 0
        self._read()

    def _read(self) -> None:
        self._file.seek(0)
        lines = self._file.read().split(b"\n")
        if lines == [b""]:
            self._write(_FIRST_LINE)
            return
        try:
            if json.loads(lines[0]) != _FIRST_LINE:
                raise ValueError
            whole = [json.loads(line) for line in lines[1:-1]]  # a last line without its end was not written completely
            for line in whole:
                self._take(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(f"{escape(self.path)}: is not the record of a sorting, or is damaged") from None
        if lines[-1]:
            self._file.truncate(self._file.tell() - len(lines[-1]))
        self._file.seek(0, os.SEEK_END)

    def _take(self, line: dict[str, Any]) -> None:
        if "folder" in line:
            self.folders.append(_inside(line["folder"]))
        elif "done" in line:
            self.transfers.pop(line["done"])
            self.undoing.discard(line["done"])
        elif "undoing" in line:
            self.undoing.add(line["undoing"])
        else:
            transfer = Transfer(**line)
            if transfer.action not in _ACTIONS or not Path(transfer.source).is_absolute():
                raise ValueError
            _inside(transfer.target)
            self.transfers[self._next] = transfer
            self._next += 1

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()  # a process that is killed loses nothing

    def add(self, transfer: Transfer) -> int:
        """Write down a transfer that is about to happen; return its number."""
        self._write(asdict(transfer))
        self.transfers[self._next] = transfer
        self._next += 1
        return self._next - 1

    def add_folder(self, folder: str) -> None:
        """Write down a folder that was made."""
        self._write({"folder": folder})
        self.folders.append(folder)

    def begin_undo(self, number: int) -> None:
        """Write down that a transfer is about to be undone."""
        if number not in self.undoing:
            self._write({"undoing": number})
            self.undoing.add(number)

    def drop(self, number: int) -> None:
        """Write down that a transfer is undone, or has not happened."""
        self._write({"done": number})
        del self.transfers[number]

    def flush(self) -> None:
        """Wait until the record is on the disk."""
        os.fsync(self._file.fileno())

    def remove(self) -> None:
        """Remove the record."""
        self.path.unlink()


def _inside(path: str) -> str:
    """Check that a relative path cannot lead out of its folder."""
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ValueError
    return path


@contextmanager
def sorting_record(folder: Path, *, create: bool) -> Iterator[SortingRecord]:
    """Open the record of a folder that exists.

    Raises
    ------
    InputError
        If there is none (without `create`), it is something else, or another process is using it.
    """
    path = folder / RECORD_NAME
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise InputError(f"{escape(path)}: is the place of the record of a sorting, but is no file of its own")
    if not create and not path.exists():
        raise InputError(f"{escape(folder)}: holds no record of a sorting ({RECORD_NAME}), so there is nothing to undo")
    with path.open("a+b") as file:
        _lock(file, folder)
        yield SortingRecord(path, file)


def _lock(file: IO[bytes], folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not on this system
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"{escape(folder)}: another process is sorting into it, or is undoing a sorting; wait until it has ended"
        ) from None
    except OSError:  # a file system without locks
        return
