"""How the command line writes tables, shares, durations and progress."""

from __future__ import annotations

import sys
import traceback

import pytest

from pipeline.cli.console import duration, joined, percent, printable_streams, progress_bar, say, table_lines


def test_a_table_aligns_the_first_column_left_and_the_others_right():
    assert table_lines([("class", "images"), ("a", 7), ("bc", 1200)]) == [
        "  class  images",
        "  a           7",
        "  bc       1200",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "less than a second"), (1, "1 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")],
)
def test_duration_has_a_suitable_unit(seconds, text):
    assert duration(seconds) == text


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
