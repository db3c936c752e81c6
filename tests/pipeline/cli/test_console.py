"""How the command line writes tables, shares, durations and progress."""

from __future__ import annotations

from pipeline.cli.console import percent, progress_bar, say, text_table


def test_text_table_aligns_the_first_column_left_and_the_others_right():
    assert text_table([("class", "images"), ("a", 7), ("bc", 1200)]) == (
        "  class  images\n  a           7\n  bc       1200"
    )


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
