"""Messages and progress on stderr, and how numbers and tables are written."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_SECONDS_BETWEEN_LINES = 10.0


def say(text: str = "") -> None:
    """Write a message to the user: to stderr, because stdout is for results."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress_bar(what: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function of (done, total or None) that draws a bar on a terminal, and elsewhere writes a few lines."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(desc=what, unit=f" {unit}", leave=False) as bar:

            def draw(done: int, total: int | None) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield draw
        return
    begin = last = time.monotonic()

    def write(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            rate = done / (now - begin)
            if total is None:
                say(f"{what}: {done:,} {unit}, {rate:,.0f}/s")
            else:
                say(f"{what}: {done:,} of {total:,} {unit}, {rate:,.0f}/s, {duration((total - done) / rate)} left")

    yield write


def duration(seconds: float) -> str:
    """Write a number of seconds in a suitable unit."""
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def percent(share: float) -> str:
    """Write a share as a percentage with one decimal."""
    return f"{100 * share:.1f}%"


def text_table(rows: Iterable[Sequence[Any]], indent: str = "  ") -> str:
    """Align rows in columns: the first to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        for row in cells
    )
    return "\n".join((indent + "  ".join(line)).rstrip() for line in lines)
