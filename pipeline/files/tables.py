"""Tables as CSV or TSV, as Excel and other programs write them: their encoding, separator, columns and rows.

UTF-8 with or without a byte order mark, UTF-16 and UTF-32 are recognised. Bytes that are not UTF-8 stay as they are
(as `os.fsdecode` keeps them), because they may be the name of a file; `from_windows` reads them as Windows-1252. A
first line ``sep=;``, which Excel understands, names the separator.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from typing import IO

from pipeline.errors import InputError
from pipeline.files.cells import read_table_header
from pipeline.files.names import escape

_MARKS = (  # that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LONGEST_HEADER = 1 << 16  # characters
_SEPARATOR_LINE = re.compile(r'"?sep=([^\r\n"])"?\s*', re.IGNORECASE)


class Table:
    """A table that is read row by row; a context manager that closes the file.

    Parameters
    ----------
    file : binary file
        Seekable, at its beginning.
    location : str
        Its name, for messages.

    Attributes
    ----------
    columns : tuple of str
        In lower case, from the first line; empty if that is not CSV.
    """

    def __init__(self, file: IO[bytes], location: str) -> None:
        self._location = location
        encoding = encoding_of(file.read(8))
        file.seek(0)
        errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
        self._text = io.TextIOWrapper(file, encoding, errors, newline="")
        self._lines_before = 1
        line = self._text.readline(_LONGEST_HEADER)
        separator = _SEPARATOR_LINE.fullmatch(line)
        if separator:
            self._lines_before = 2
            line = self._text.readline(_LONGEST_HEADER)
        self._delimiter, self.columns = read_table_header(line, separator[1] if separator else "")

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *exception: object) -> None:
        self._text.close()

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number of each line below the column names, and its cells; only once.

        Raises
        ------
        InputError
            If a line is not a row of a table.
        """
        rows = csv.reader(self._text, delimiter=self._delimiter)
        try:
            for row in rows:
                yield self._lines_before + rows.line_num, row
        except csv.Error as error:
            line = self._lines_before + rows.line_num
            raise InputError(f"{self._location}, line {line}: is not a row of a table ({error}); correct it") from None

    def lacks(self, name: str) -> InputError:
        """Return an error that says that a column is missing, and which one may be meant."""
        found = ", ".join(repr(escape(column)) for column in self.columns) or "none"
        meant = [
            f"{column!r} to {wanted!r}"
            for wanted, names in _OTHER_NAMES_OF_COLUMNS.items()
            for column in self.columns
            if wanted not in self.columns and re.sub(r"[\W_]", "", column) in names
        ]
        guess = f"; rename {' and '.join(meant[:2])}" if meant else ""
        return InputError(
            f"{self._location}: has no column {name!r}; columns found: {found}{guess}. The first line must name the "
            "columns: path,label and, if wanted, split and group"
        )


_OTHER_NAMES_OF_COLUMNS = {
    "path": (
        *("file", "files", "filename", "filenames", "filepath", "filepaths", "paths", "image", "images", "img"),
        *("imagename", "imagepath", "imagefile", "imageid", "imgname", "imgpath", "name", "pic", "photo", "id"),
    ),
    "label": (
        *("class", "classes", "classname", "classlabel", "classid", "labels", "labelname", "target", "targets"),
        *("category", "categories", "tag", "y", "species", "type", "diagnosis", "dx"),
    ),
}


def encoding_of(head: bytes) -> str:
    """Return the encoding of a text of which the first 8 bytes are given; the first four characters are ASCII."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if len(head) == 8 and not any(head[1::2]) and all(head[0::2]):
        return "utf-16-le"
    if len(head) == 8 and not any(head[0::2]) and all(head[1::2]):
        return "utf-16-be"
    return "utf-8"


_FOREIGN = re.compile("[\udc80-\udcff]")


def is_foreign(text: str) -> bool:
    """Tell whether a text holds bytes that are not UTF-8."""
    return bool(_FOREIGN.search(text))


def from_windows(text: str) -> str:
    """Return a text whose bytes that are not UTF-8 are read as Windows-1252, in which Excel writes plain CSV."""

    def read(match: re.Match[str]) -> str:
        byte = bytes([ord(match[0]) - 0xDC00])
        try:
            return byte.decode("cp1252")
        except UnicodeDecodeError:  # five bytes mean nothing there
            return byte.decode("latin-1")

    return _FOREIGN.sub(read, text)
