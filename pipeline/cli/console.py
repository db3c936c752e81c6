"""Messages and progress on stderr, results on stdout, what is safe on a terminal, and how numbers are written.

On a terminal, text is broken between words, and one line at the bottom is replaced again and again (a bar, a clock, the
latest epoch). Whoever writes a message clears that line first, so nothing of it stays behind.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

from pipeline.files.names import PERCENT_ESCAPE, escape, printable
from pipeline.text import duration

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_TICKS = 1.0
_WIDTH_IF_UNKNOWN = 80
_ROOM = 7  # columns that are left free for the ^C of an interrupt, which would otherwise stay on a line of its own


class _BottomLine:
    """The line of the terminal that is replaced again and again; it belongs to whoever wrote it last."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._clear: Callable[[], Any] | None = None  # of a bar, which counts its lines itself

    def write(self, text: str) -> None:
        """Replace the line, if stderr is a terminal; what does not fit is left out."""
        width = _width_of(sys.stderr)
        if width is not None:
            with self.lock, contextlib.suppress(OSError):  # the terminal may be gone
                terminal = _terminal(sys.stderr)
                terminal.write(f"\r{printable(text)[: width - _ROOM]}\033[K")
                terminal.flush()
                self._clear = None

    def belongs_to(self, clear: Callable[[], Any]) -> None:
        """Note that somebody else has written the line, and how it is cleared."""
        self._clear = clear

    def clear(self) -> None:
        """Empty the line; a terminal may have written ^C into it."""
        with self.lock:
            if self._clear:
                self._clear()
                self._clear = None
            if sys.stderr.isatty():
                self._erase()

    def _erase(self) -> None:
        with contextlib.suppress(OSError):
            _terminal(sys.stderr).write("\r\033[K")
            _terminal(sys.stderr).flush()


_bottom_line = _BottomLine()


_is_quiet = False


@contextmanager
def quiet(is_quiet: bool = True) -> Iterator[None]:
    """Write neither messages nor progress in a block, but for errors."""
    global _is_quiet
    before, _is_quiet = _is_quiet, is_quiet
    try:
        yield
    finally:
        _is_quiet = before


def say(text: str = "", *, is_error: bool = False) -> None:
    """Write a message to the user: to stderr, because stdout is for results.

    If nobody reads stderr any more (``2>&1 | head``), the message is lost and the work goes on.
    """
    if _is_quiet and not is_error:
        return
    with _bottom_line.lock:
        try:
            _bottom_line.clear()
            _print(text, sys.stderr)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def print_result(text: str) -> None:
    """Write a result that people read: to stdout, broken between words if that is a terminal."""
    with _bottom_line.lock:
        _bottom_line.clear()
        _print(text, sys.stdout)


def _print(text: str, stream: TextIO) -> None:
    width = _width_of(stream)
    print(text if width is None else wrapped(text, width), file=stream, flush=True)


def _width_of(stream: TextIO) -> int | None:
    """Return the width of a terminal in columns; None if the stream is none."""
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or _WIDTH_IF_UNKNOWN
    except OSError:
        return _WIDTH_IF_UNKNOWN


def wrapped(text: str, width: int) -> str:
    """Break the lines of a text between words.

    Rows of tables, which are indented, stay whole. So does a command, which stands between two double spaces or after
    one: a terminal breaks it without a new line, and it can still be copied and pasted.
    """
    return "\n".join(line if line.startswith(" ") else _wrapped_line(line, width) for line in text.split("\n"))


def _wrapped_line(line: str, width: int) -> str:
    pieces = []  # what is not broken, with the space before it
    for i, part in enumerate(line.split("  ")):
        words = [part] if i % 2 else part.split(" ")
        pieces += [("  " if i else "", words[0]), *((" ", word) for word in words[1:])]
    lines = [""]
    for space, word in pieces:
        if lines[-1] and len(lines[-1]) + len(space) + len(word) > width:
            lines.append(word)
        else:
            lines[-1] += space + word
    return "\n".join(lines)


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
    if sys.stderr.isatty() and not _is_quiet:
        from tqdm import tqdm

        _bottom_line.clear()
        with tqdm(desc=what, unit=f" {unit}", leave=False, dynamic_ncols=True, file=_terminal(sys.stderr)) as bar:

            def draw(done: int, total: int | None) -> None:
                with _bottom_line.lock:
                    bar.total = total
                    bar.update(done - bar.n)
                    _bottom_line.belongs_to(bar.clear)

            _bottom_line.belongs_to(bar.clear)
            yield draw
        return
    begin = last = time.monotonic()

    def write(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            say(f"{what}: {_progress(done, total, unit, now - begin)}")

    yield write


def _progress(done: int, total: int | None, unit: str, seconds: float) -> str:
    rate = done / seconds
    if total is None:
        return f"{done:,} {unit}, {rate:,.0f}/s"
    left = f", {duration((total - done) / rate)} left" if rate else ""
    return f"{done:,} of {total:,} {unit}, {rate:,.0f}/s{left}"


class Clock:
    """Says what is being done and for how long.

    On a terminal this is a line that changes every second; elsewhere it is a line every ten seconds, or none.
    """

    def __init__(self, what: str, *, lines: bool = True) -> None:
        self._what, self._lines = what, lines
        self._begin = self._last = time.monotonic()
        self.note = ""  # what else is shown

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begin

    def progress(self, done: int, total: int | None, unit: str) -> None:
        """Note how much is done; when it is all done, other work may follow."""
        rest = _progress(done, total, unit, max(self.seconds, 1e-3))
        self.note = f"{done:,} {unit} done" if done == total else rest

    @contextmanager
    def ticking(self) -> Iterator[Clock]:
        """Show the line until the block ends."""
        stop = threading.Event()
        thread = threading.Thread(target=self._tick_until, args=(stop,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join()
            _bottom_line.clear()

    def _tick_until(self, stop: threading.Event) -> None:
        self._tick()
        while not stop.wait(_SECONDS_BETWEEN_TICKS):
            self._tick()

    def _tick(self) -> None:
        text = self._what + (f": {duration(self.seconds)}" if self.seconds >= 1 else " ...")
        text += f", {self.note}" if self.note else ""
        if sys.stderr.isatty():
            _bottom_line.write(text)
        elif self._lines and time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            say(text)


@contextmanager
def progress_clock(what: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function of (done, total or None) for work that goes on when all is counted: a clock, not a full bar."""
    with Clock(what).ticking() as clock:
        yield lambda done, total: clock.progress(done, total, unit)


def command_list(title: str, commands: Iterable[tuple[str, str]]) -> str:
    """List commands, each on a line of its own from which it can be copied, above what it does."""
    return "\n".join([title, *(f"  {command}\n      {does}" for command, does in commands)])


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
