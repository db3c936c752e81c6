"""Tables as CSV: their header line, safe cells for spreadsheets, and which column holds the true labels."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable

from pipeline.files.names import escape


def safe_cell(path: str) -> str:
    """Return a path that is safe in a table; a spreadsheet would run a path that begins like a formula."""
    return f"./{path}" if path[:1] in ("=", "+", "-", "@", "\t", "\r") else path


def safe_name(path: object) -> str:
    """Return a path as valid UTF-8 that no spreadsheet takes for a formula."""
    return safe_cell(escape(str(path)))


_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


def safe_label(label: str) -> str:
    """Return a label that is safe in a table: ``./`` comes before a label that a spreadsheet would take for a formula.

    Plain numbers such as -1 stay as they are: nothing runs them, and they are often classes. Unseen characters are
    escaped, as they are when a folder or a manifest names a class.
    """
    return label if _NUMBER.fullmatch(label) else safe_name(label)


def read_table_header(line: str, delimiter: str = "") -> tuple[str, tuple[str, ...]]:
    """Return the delimiter of a table and the names of its columns, in lower case, read from its first line.

    If the delimiter is not known, it is the most frequent of tab, comma and semicolon. The names are empty if the line
    is not CSV.
    """
    delimiter = delimiter or max("\t,;", key=line.count)
    try:
        names = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        names = []
    return delimiter, tuple(name.strip().lower() for name in names)


def label_column(columns: Iterable[str]) -> str:
    """Return which column of a table has the true labels: in a table that `predict` wrote, `label` is a prediction."""
    return "true_label" if written_by_predict(columns) else "label"


def written_by_predict(columns: Iterable[str]) -> bool:
    """Tell by its columns whether `predict` wrote a table."""
    return {"true_label", "model_id"} <= set(columns)


def read_label(cell: str) -> str:
    """Return the label from which `safe_label` made a cell."""
    return cell[2:] if cell.startswith("./") and safe_label(cell[2:]) == cell else cell


# What pandas, R and Excel write for an empty cell; pandas reads all of them as empty, in exactly this spelling.
_EMPTY_CELLS = frozenset(
    ("nan", "NaN", "-nan", "-NaN", "NA", "N/A", "n/a", "<NA>", "NaT", "#N/A", "#NA", "None", "null", "NULL")
)


def is_empty_cell(cell: str) -> bool:
    """Tell whether a cell means nothing: it is empty, or holds what a program writes for an empty cell (``nan``)."""
    return not cell or cell in _EMPTY_CELLS
