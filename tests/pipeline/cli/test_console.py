"""How the command line writes tables, shares, durations and progress."""

from __future__ import annotations

import pytest

from pipeline.cli.console import duration, percent, progress_bar, say, text_table


def test_text_table_aligns_the_first_column_left_and_the_others_right():
    assert text_table([("class", "images"), ("a", 7), ("bc", 1200)]) == (
        "  class  images\n  a           7\n  bc       1200"
    )


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
