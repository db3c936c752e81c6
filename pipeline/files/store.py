"""Results of a long job on disk, until the job is complete: a job that is stopped resumes from them.

The store of a target, such as ``out.csv``, is the one SQLite file ``out.csv.parts`` beside it. Each result is a row: a
key, facts about the result as JSON, its bytes, and the CRC-32 of both. A result is stored in one transaction: if the
process is killed while it writes, the result is there whole or not at all. Nothing waits for the disk: if a power cut
destroys a result, the checksum (or SQLite) shows it, and the result is computed again.

A process holds the store alone for as long as it is open; SQLite's lock ends with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import DiskFull, InputError
from pipeline.files.names import escape

_APPLICATION = 0xFACE77E  # SQLite writes this number into the file's header, at byte 68
_HEADER = b"SQLite format 3\0"
_SETTINGS = (
    "locking_mode=EXCLUSIVE",
    "page_size=16384",  # a result has some 100 kB
    "journal_mode=DELETE",
    "synchronous=OFF",
    f"application_id={_APPLICATION}",
)
_TABLES = (
    "CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, facts TEXT, checksum INTEGER, data BLOB)",
    "CREATE TABLE IF NOT EXISTS state (facts TEXT)",
)


def store_path(target: Path) -> Path:
    """Return the path of the store of a target."""
    return target.with_name(target.name + ".parts")


class Store:
    """The stored results of one target; open, and locked against other processes.

    Attributes
    ----------
    path : Path
    state : dict
        What `set_state` stored last, plain JSON values; empty for a new store.

    Raises
    ------
    InputError
        If the file is not a store, cannot be written, or another process has it open.
    """

    def __init__(self, target: Path) -> None:
        self.path, self._target = store_path(target), target
        if not _is_store_or_nothing(self.path):
            raise InputError(
                f"{escape(self.path)}: is the place of the intermediate results, but holds something else; move "
                "it away, or choose another output"
            )
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                self._unlink_if_empty(error)
                raise self._refusal(error) from None
            self._unlink()  # a store whose first pages are lost holds nothing that could be found
            self._open()

    def _open(self) -> None:
        uri = self.path.absolute().as_uri()  # with "//" in front: a path may begin with two slashes
        try:
            self._connect(uri)
        except sqlite3.OperationalError as error:
            if _code(error) & 0xFF != sqlite3.SQLITE_IOERR:
                raise
            self._connect(f"{uri}?nolock=1")  # a file system without locks, as some network folders are

    def _connect(self, uri: str) -> None:
        self._database = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None)
        try:
            for setting in _SETTINGS:
                self._database.execute(f"PRAGMA {setting}")
            self._database.execute("BEGIN EXCLUSIVE")
            for table in _TABLES:
                self._database.execute(table)
            (text,) = self._database.execute("SELECT facts FROM state").fetchone() or ("{}",)
            self._database.execute("COMMIT")
        except BaseException:
            self._database.close()
            raise
        self.state: dict[str, Any] = {}
        with contextlib.suppress(ValueError):  # a damaged state counts as empty
            self.state = json.loads(text)

    def _unlink_if_empty(self, error: sqlite3.DatabaseError) -> None:
        """Remove the file that a failed opening has made, as on a full disk; not that of a process that just began."""
        with contextlib.suppress(OSError):
            if _code(error) != sqlite3.SQLITE_BUSY and not self.path.stat().st_size:
                self._unlink()

    def _refusal(self, error: sqlite3.DatabaseError) -> InputError:
        if _code(error) == sqlite3.SQLITE_BUSY:
            return InputError(f"{escape(self._target)}: another process is writing it")
        if _code(error) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):  # IOERR: a limit of the size of a file
            return DiskFull(
                f"{escape(self.path)}: cannot be written ({error}); free some space, or choose another output"
            )
        return InputError(f"{escape(self.path)}: cannot be written ({error}); choose another output")

    def set_state(self, state: dict[str, Any]) -> None:
        """Replace `state`.

        Raises
        ------
        OSError
            If the disk is full or fails; what was stored before stays. If the stored results are damaged; they are
            removed.
        """
        with self._transaction() as database:
            database.execute("DELETE FROM state")
            database.execute("INSERT INTO state VALUES (?)", (json.dumps(state),))
        self.state = state

    def put(self, key: str, facts: Any, data: bytes) -> None:
        """Store a result: facts (plain JSON values) and bytes; a result with the same key is replaced.

        Raises
        ------
        OSError
            If the disk is full or fails; what was stored before stays.
        """
        with self._transaction() as database:
            text = json.dumps(facts)
            row = (key, text, _checksum(text, data), data)
            database.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", row)

    def get(self, key: str) -> tuple[Any, bytes] | None:
        """Return the facts and the bytes of a result; None if there is none, or it is damaged."""
        try:
            row = self._database.execute("SELECT facts, checksum, data FROM results WHERE key = ?", (key,)).fetchone()
            return (json.loads(row[0]), row[2]) if row and _checksum(row[0], row[2]) == row[1] else None
        except (sqlite3.DatabaseError, ValueError, TypeError):
            return None

    def keys(self) -> set[str]:
        """Return the keys of all results; none if they are damaged."""
        try:
            return {key for (key,) in self._database.execute("SELECT key FROM results")}
        except sqlite3.DatabaseError:
            return set()

    def remove_all_but(self, keys: Iterable[str]) -> None:
        """Remove all results with other keys.

        Raises
        ------
        OSError
            If the disk is full or fails; what was stored before stays. If the stored results are damaged; they are
            removed.
        """
        with self._transaction() as database:
            database.executemany("DELETE FROM results WHERE key = ?", [(key,) for key in self.keys() - set(keys)])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._database.execute("BEGIN")
            yield self._database
            self._database.execute("COMMIT")
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            if not isinstance(error, sqlite3.DatabaseError):
                raise
            if _is_damage(error):
                self.remove()
                raise OSError(errno.EIO, "the stored results are damaged and were removed; start again") from None
            if _code(error) == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
            raise OSError(errno.EIO, f"{error}; is the disk full, or a limit reached?") from None

    def close(self) -> None:
        """Let other processes in; what is stored stays."""
        self._database.close()

    def remove(self) -> None:
        """Close the store, and remove it with all that is in it."""
        self.close()
        self._unlink()

    def _unlink(self) -> None:
        for path in (self.path, self.path.with_name(self.path.name + "-journal")):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def _is_store_or_nothing(path: Path) -> bool:
    """Tell by its first bytes whether a file is a store; an empty file is a new store."""
    if not path.is_file():  # neither a folder nor a pipe, which would wait for ever
        return not os.path.lexists(path)
    try:
        with path.open("rb") as file:
            head = file.read(72)
    except OSError:
        return False
    return not head or (head[:16] == _HEADER and head[68:] == _APPLICATION.to_bytes(4, "big"))


def _checksum(facts: str, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(facts.encode()))


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return _code(error) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: sqlite3.DatabaseError) -> int:
    """Return SQLite's code of an error; 0 for an error of the module itself, such as the use of a closed store."""
    return getattr(error, "sqlite_errorcode", 0)
