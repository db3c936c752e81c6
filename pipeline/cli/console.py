"""Messages and progress on stderr, what is safe on a terminal, and how numbers and tables are written."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from pipeline.files.names import PERCENT_ESCAPE, escape, printable

_SECONDS_BETWEEN_LINES = 10.0


def say(text: str = "") -> None:
    """Write a message to the user: to stderr, because stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def say_for_a_moment(text: str) -> None:
    """Write a message that the next one overwrites; only to a terminal."""
    if sys.stderr.isatty():
        print(printable(text), end="\033[K\r", file=_terminal(sys.stderr), flush=True)


class _Printable:
    """A stream of text that no name in a file can use to steer the terminal; also for warnings and logs."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def printable_streams() -> Iterator[None]:
    """Escape whatever is written to stdout and stderr, in a block, as `pipeline.files.names.printable` does."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PERCENT_ESCAPE)  # a path need not be text
    out, err = (_Printable(stream) if stream else None for stream in (sys.stdout, sys.stderr))  # pythonw has none
    with redirect_stdout(out), redirect_stderr(err):
        yield


def results_in_utf8() -> None:
    """Write to stdout in UTF-8 from now on, whatever the locale, as to a file."""
    stream = _terminal(sys.stdout)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8")


def _terminal(stream: Any) -> Any:
    """Return what a stream of `printable_streams` writes to: for what steers the terminal on purpose."""
    return stream.stream if isinstance(stream, _Printable) else stream


@contextmanager
def progress_bar(what: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function of (done, total or None) that draws a bar on a terminal, and elsewhere writes a few lines."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(desc=what, unit=f" {unit}", leave=False, file=_terminal(sys.stderr)) as bar:

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


def joined(lines: Iterable[str]) -> str:
    """Join lines to a text; a line end within a line, such as one in a name, is escaped."""
    return "\n".join(map(escape, lines))


def table_lines(rows: Iterable[Sequence[Any]], indent: str = "  ") -> list[str]:
    """Align rows in columns: the first to the left, the others to the right."""
    cells = [[escape(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        for row in cells
    )
    return [(indent + "  ".join(line)).rstrip() for line in lines]
