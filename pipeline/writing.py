"""Write a file so that it is either whole or absent: under a hidden name beside the target, then renamed."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.listing import escape


def temporary(target: Path, elsewhere: bool) -> Path:
    """Make an empty file beside the target, or in the system's place for temporary files."""
    folder = None if elsewhere else target.parent
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=folder)
    except OSError as error:
        raise InputError(f"{escape(target)}: cannot be written ({error.strerror}); give another place") from None
    os.close(descriptor)
    return Path(name)


def settle(part: Path, target: Path) -> None:
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
