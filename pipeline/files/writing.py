"""Write a file of the user's choice so that it is either whole or absent; a failure becomes one message."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from model.storage.atomic import Stream, stream
from pipeline.errors import InputError, not_written
from pipeline.files.names import escape


@contextlib.contextmanager
def writing(target: Path, *, discard: bool = False) -> Iterator[Stream]:
    """Give a stream as `model.storage.atomic.stream` does.

    Raises
    ------
    InputError
        If the file cannot be written; `DiskFull` if there is no room.
    """
    if not discard and not target.parent.is_dir():
        raise InputError(f"{escape(target)}: cannot be written (there is no folder {escape(target.parent)})")
    try:
        with stream(target, discard=discard) as file:
            yield file
    except ChildProcessError:  # an OSError that is not about files
        raise
    except OSError as error:
        raise not_written(escape(target), error) from None
