"""Tables are read as Excel and other programs write them."""

import codecs
import io

import pytest

from pipeline.errors import InputError
from pipeline.files.tables import Table, from_windows, is_foreign

TEXT = 'path,label\nä.png,"a,b"\n\nb.png,x\n'


def read(data):
    with Table(io.BytesIO(data), "table.csv") as table:
        return table.columns, list(table.rows())


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.replace("\n", "\r\n").encode("utf-16"),
    ],
)
def test_every_usual_encoding_gives_the_same_rows(data):
    assert read(data) == (("path", "label"), [(2, ["ä.png", "a,b"]), (3, []), (4, ["b.png", "x"])])


@pytest.mark.parametrize(
    ("first", "separator"), [("sep=;", ";"), ('"sep=;"', ";"), ("SEP=,", ","), ("sep=\t", "\t"), ("sep=|", "|")]
)
def test_the_line_that_names_the_separator_is_no_row(first, separator):
    columns, rows = read(f"{first}\r\nPath{separator} Label\r\na.png{separator}x\r\n".encode())
    assert columns == ("path", "label")
    assert rows == [(3, ["a.png", "x"])]


def test_bytes_that_are_not_utf8_can_be_read_as_windows_1252():
    _, rows = read("path,label\na.png,rose\xf6 \u20ac\n".encode("cp1252"))
    cell = rows[0][1][1]
    assert is_foreign(cell)
    assert from_windows(cell) == "roseö €"
    assert from_windows(b"\x81ok".decode("utf-8", "surrogateescape")) == "\x81ok"


def test_a_missing_column_gets_a_guess():
    with Table(io.BytesIO(b"File_Name,Class,size\n"), "t.csv") as table:
        message = str(table.lacks("path"))
    assert "t.csv: has no column 'path'; columns found: 'file_name', 'class', 'size'" in message
    assert "rename 'file_name' to 'path' and 'class' to 'label'" in message


def test_a_line_that_is_no_row_is_named():
    with pytest.raises(InputError, match=r"table.csv, line 2: is not a row of a table"):
        read(b"path,label\n" + b"x" * 200_000 + b",y\n")
