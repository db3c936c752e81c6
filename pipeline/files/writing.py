"""Write a file so that it is either whole or absent: under a hidden name beside the target, then renamed."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.files.names import escape


class Stream(io.FileIO):
    """A file that keeps the first error of writing for `check` to raise, and swallows it and all later ones.

    HDF5 takes the whole process down where the disk is full: it cannot close a file that it cannot write.
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
        """Raise what went wrong, if anything did."""
        if self.error:
            raise self.error


@contextlib.contextmanager
def writing(target: Path, *, discard: bool = False) -> Iterator[Stream]:
    """Give a stream whose file takes the place of the target, if the block ends well; `discard`: is only removed.

    What killed processes have left of the same target is removed.

    Raises
    ------
    InputError
        When it cannot be written.
    """
    prefix, suffix = f".{target.name}.", ".part"
    try:
        descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=None if discard else target.parent)
    except OSError as error:
        raise InputError(f"{escape(target)}: cannot be written ({error.strerror}); give another place") from None
    os.close(descriptor)
    part, stream = Path(name), Stream(name, "r+b")
    try:
        with stream:
            _lock(stream)
            if not discard:
                _remove_leftovers(target.parent, prefix, suffix)
            yield stream
            stream.check()
        if discard:
            part.unlink()
        else:
            _settle(part, target)
    except BaseException as error:
        part.unlink(missing_ok=True)
        failed = stream.error or (error if isinstance(error, OSError) else None)
        if failed is None or isinstance(error, KeyboardInterrupt | ChildProcessError):
            raise
        why = failed.strerror or failed
        raise InputError(f"{escape(target)}: cannot be written ({why}); make room, or give another place") from None


def _lock(file: io.FileIO) -> bool:
    """Lock a file for as long as it is open; tell whether that was possible."""
    try:
        import fcntl
    except ImportError:  # not on this system
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody else has, or the file system knows no locks
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


def _settle(part: Path, target: Path) -> None:
    """Put a finished file in its place: on disk first, then under its name."""
    part.chmod(0o666 & ~_umask())
    for path, mode in ((part, os.O_RDWR), (target.parent, os.O_RDONLY)):
        descriptor = os.open(path, mode)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if path is part:
            part.replace(target)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
