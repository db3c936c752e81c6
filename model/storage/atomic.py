"""A file appears under its name complete, or not at all.

Two ways to write it: `replacing` gives a temporary path, for writers that open a file by its name; `stream` gives an
open file, for long writing: it survives a full disk, and removes what killed processes have left of the same target.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.errors import NotWritten

# Why the system refuses to write; in a block that writes a file, these are about that file if they name no other.
_REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


@contextmanager
def replacing(path: str | Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; if the block ends well, put that file in the place of `path`.

    If the block raises, is interrupted, or the process is killed, `path` is as it was before.

    Parameters
    ----------
    path : str or Path
    overwrite : bool
        If False, a file that is there already is left as it is.

    Raises
    ------
    FileExistsError
        If `overwrite` is False, and there is a file at `path`.
    FileNotFoundError
        If there is no such folder.
    NotWritten
        If the file cannot be written.
    """
    path = Path(path)
    _check_folder(path)
    # Short, as names may be long already. Its ending tells some writers the format.
    temporary = path.with_name(f".{os.urandom(6).hex()}.tmp{path.suffix}")
    try:
        yield temporary
        _flush(temporary, os.O_RDWR)
        if overwrite:
            temporary.replace(path)
        else:
            _link(temporary, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.filename == str(temporary) or (error.filename is None and error.errno in _REFUSALS):
            raise NotWritten(path, error) from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.parent}")


def _link(temporary: Path, path: Path) -> None:
    """Give a file its name, but never the name of another file."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        temporary.replace(path)


class Stream(io.FileIO):
    """A file that keeps the first error of writing for `check` to raise, and ignores that error and all later ones.

    HDF5 ends the whole process if the disk is full: it cannot close a file that it cannot write.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view) and self.error is None:
            try:
                written += super().write(view[written:]) or 0
            except OSError as error:
                self.error = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def check(self) -> None:
        """Raise the first error of writing, if there was one."""
        if self.error:
            raise self.error


_LONGEST_PREFIX = 200  # bytes of a name, of which most file systems allow 255


@contextmanager
def stream(path: str | Path, *, discard: bool = False) -> Iterator[Stream]:
    """Give a stream whose file takes the place of `path` if the block ends well; `discard`: it is only removed.

    Files that killed processes have left of the same target are removed.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    NotWritten
        If the file cannot be written; whatever the block raised because of that.
    """
    path = Path(path)
    if not discard:
        _check_folder(path)
    prefix, suffix = f".{os.fsdecode(os.fsencode(path.name)[:_LONGEST_PREFIX])}.", ".part"
    try:
        descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=None if discard else path.parent)
    except OSError as error:
        raise NotWritten(path, error) from None
    os.close(descriptor)
    part, file = Path(name), Stream(name, "r+b")
    try:
        with file:
            _lock(file)
            if not discard:
                _remove_leftovers(path.parent, prefix, suffix)
            yield file
            file.check()
        if not discard:
            part.chmod(0o666 & ~_umask())
            _flush(part, os.O_RDWR)
            part.replace(path)
            if os.name == "posix":  # elsewhere, a folder cannot be opened
                _flush(path.parent, os.O_RDONLY)
    except Exception as error:
        cause = file.error or error
        if isinstance(cause, OSError) and (cause is file.error or cause.filename == name):
            raise NotWritten(path, cause) from None
        raise
    finally:
        part.unlink(missing_ok=True)


def _flush(path: Path, mode: int) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, mode)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(file: io.FileIO) -> bool:
    """Lock a file for as long as it is open; return whether that was possible."""
    try:
        import fcntl
    except ImportError:  # not on this system
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process has it, or the file system has no locks
        return False
    return True


def _remove_leftovers(folder: Path, prefix: str, suffix: str) -> None:
    """Remove the files of these names that nobody is writing."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name.startswith(prefix) and path.name.endswith(suffix) and path.is_file():
                with path.open("rb", buffering=0) as file:
                    if _lock(file):
                        path.unlink()


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
