"""Size and time of change of a file: enough to see that it is not the one from before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Stamp(NamedTuple):
    """Size of a file in bytes and its time of change in nanoseconds; -1 for both if there is no such file."""

    size: int
    mtime: int


def stamp_of(path: str | Path) -> Stamp:
    """Return the stamp of a file."""
    try:
        status = os.stat(path)  # noqa: PTH116 (half the time of Path.stat)
    except (OSError, ValueError):
        return Stamp(-1, -1)
    return Stamp(status.st_size, status.st_mtime_ns)
