"""Tables as CSV: the header line, and cells that no spreadsheet runs."""

import pytest

from pipeline.files.cells import read_label, read_table_header, safe_cell, safe_label


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("path,label\n", (",", ("path", "label"))),
        ("Path\t LABEL \tsplit\r\n", ("\t", ("path", "label", "split"))),
        ('"path";"a, b";split', (";", ("path", "a, b", "split"))),
        ("path", ("\t", ("path",))),
        ("", ("\t", ())),
        ("x" * 200_000 + ",path", (",", ())),  # a cell that csv refuses to read
    ],
)
def test_the_header_line_gives_the_delimiter_and_the_columns(line, expected):
    assert read_table_header(line) == expected


@pytest.mark.parametrize("label", ["=cmd()", "+x", "-face", "@a", "-1", "+2.5", "face", "./x"])
def test_a_label_survives_being_written_as_a_safe_cell(label):
    assert read_label(safe_label(label)) == label


def test_only_cells_that_a_spreadsheet_would_run_are_changed():
    assert [safe_cell(path) for path in ("=a.png", "a=b.png", "-1.png")] == ["./=a.png", "a=b.png", "./-1.png"]


def test_a_label_in_a_table_steers_no_terminal():
    assert safe_label("\x1b[31m=\n") == "%1B[31m=%0A"
    assert safe_label("=a\u202e") == "./=a%E2%80%AE"
