"""How the command line writes tables, shares, messages and progress, on a terminal and elsewhere."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import traceback

from pipeline.cli.console import (
    Clock,
    command_list,
    joined,
    percent,
    print_result,
    printable_streams,
    progress_bar,
    say,
    table_lines,
    wrapped,
)

COLUMNS = 40


class Terminal:
    """A terminal of 40 columns: both stdout and stderr."""

    def __init__(self, monkeypatch):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self._stream = os.fdopen(slave, "w")
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, self._stream)

    def lines(self):
        """Return what the screen shows: a line that is written again replaces what it covers."""
        self._stream.write("\0")
        self._stream.flush()
        text = ""
        while not text.endswith("\0"):
            text += os.read(self._master, 65536).decode()
        self._stream.close()
        os.close(self._master)
        return [shown(line) for line in text.rstrip("\0").split("\n")]


def shown(line):
    cells, at = [], 0
    for part in re.split(r"(\r|\033\[K)", line):
        if part == "\r":
            at = 0
        elif part == "\033[K":
            del cells[at:]
        else:
            cells[at : at + len(part)] = part
            at += len(part)
    return "".join(cells).rstrip()


def test_a_table_aligns_the_first_column_left_and_the_others_right():
    assert table_lines([("class", "images"), ("a", 7), ("bc", 1200)]) == [
        "  class  images",
        "  a           7",
        "  bc       1200",
    ]


def test_percent_has_one_decimal():
    assert percent(0.98765) == "98.8%"


def test_messages_leave_standard_output_to_results(capsys):
    say("a message")
    assert capsys.readouterr() == ("", "a message\n")


def test_progress_of_short_work_writes_nothing_without_a_terminal(capsys):
    with progress_bar("Reading images", "images") as progress:
        for done in range(1, 4):
            progress(done, 3)
    assert capsys.readouterr() == ("", "")


def test_text_is_broken_between_words():
    text = "one two three four\nfive  six seven"
    assert wrapped(text, 9) == "one two\nthree\nfour\nfive\nsix seven"
    assert wrapped(text, 100) == text
    assert wrapped("a-very-long-word-without-any-space and more", 10) == "a-very-long-word-without-any-space\nand more"


def test_commands_and_rows_of_tables_are_not_broken():
    command = "facette train --resume 'runs/my first run'"
    assert wrapped(f"Resume with:  {command}", 20).split("\n") == ["Resume with:", command]
    assert wrapped(f"run  {command}  to go on with it", 20).split("\n")[1] == command
    assert wrapped("  class   images  accuracy", 10) == "  class   images  accuracy"


def test_a_message_on_a_terminal_keeps_to_its_width(monkeypatch):
    terminal = Terminal(monkeypatch)
    message = "Split at random, stratified by class, duplicates kept together: train 280, validation 60, test 60"
    result = "no word of this result is cut in two by the edge of the terminal"
    say(message)
    print_result(result)
    lines = terminal.lines()
    assert max(map(len, lines)) <= COLUMNS
    assert " ".join(lines).split() == f"{message} {result}".split()


def test_nothing_of_a_clock_or_a_bar_stays_behind_a_message(monkeypatch):
    terminal = Terminal(monkeypatch)
    clock = Clock("A phase with a long name")
    clock.note = "and a long note that would not even fit into the line"
    with clock.ticking():
        clock._tick()
        say("short")
        clock._tick()
    with progress_bar("Classifying", "files") as progress:
        progress(1, 3)
        say("one")
        progress(2, 3)
        print_result("two")
        progress(3, 3)
    say("end")
    assert terminal.lines() == ["short", "one", "two", "end", ""]


def test_a_clock_says_what_and_how_long_where_there_is_no_terminal(capsys, monkeypatch):
    clock = Clock("Scoring")
    clock._begin -= 21.0
    clock._last -= 21.0
    clock._tick()
    clock._tick()  # only every ten seconds
    quiet = Clock("Training", lines=False)
    quiet._last -= 21.0
    quiet._tick()
    assert capsys.readouterr() == ("", "Scoring: 21 s\n")


def test_a_clock_counts_and_goes_on_when_all_is_counted(monkeypatch):
    terminal = Terminal(monkeypatch)
    clock = Clock("Reading images")
    clock._begin -= 4.0
    clock.progress(100, 300, "images")
    assert clock.note == "100 of 300 images, 25/s, 8 s left"
    clock.progress(300, 300, "images")
    clock._tick()
    assert terminal.lines() == ["Reading images: 4 s, 300 images d"]  # as far as it fits


def test_work_goes_on_if_nobody_reads_the_messages_any_more(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        say("lost")
        say("lost, too")


def test_commands_stand_on_lines_of_their_own():
    text = command_list("What next?", [("facette app", "look at it"), ("facette demo", "try it")])
    assert text.split("\n")[1::2] == ["  facette app", "  facette demo"]


def test_nothing_that_is_printed_steers_the_terminal(capsys):
    with printable_streams():
        print("\x1b[31mred\rgreen")
        sys.stderr.writelines(["a\x9bb\n", "c\u202ed\n"])
        say("half \ud800\tof it\n")
        traceback.print_exception(ValueError("\x1b]0;title\x07"))
    print("\x1b", end="")  # not ours any more
    out, err = capsys.readouterr()
    assert out == "%1B[31mred%0Dgreen\n\x1b"
    assert err.startswith("a%C2%9Bb\nc%E2%80%AEd\nhalf %ED%A0%80\tof it\n\n")
    assert "%1B]0;title%07" in err
    assert "\x1b" not in err


def test_a_line_end_in_a_name_begins_no_line():
    assert table_lines([("class", 1), ("a\nb", 2)]) == ["  class  1", "  a%0Ab  2"]
    assert joined(["one\ntwo", "three"]) == "one%0Atwo\nthree"
