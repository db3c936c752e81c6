r"""Rows as lines of CSV and JSON, for a whole batch at a time.

The lines are put together in one array of bytes, because for tiny images it takes longer to write the lines one by one
than to classify the images. Each column is an array of cells, padded with NUL bytes to the widest of them; the columns
are copied beside each other, and all NULs are removed at the end. For example, for two rows::

    path      ,  status   ,  label     line feed
    a.png     ,  ok       ,  cat       \n           ->   a.png,ok,cat\nlong.png,error,\n
    long.png  ,  error    ,            \n

(blanks stand for NULs here). No cell can have a NUL of its own: names are escaped, and JSON writes it as six
characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.files.cells import safe_label
from pipeline.files.names import escape
from pipeline.prediction.rows import STATUS_LABELS, Rows, columns, utf8_column


class _Style(NamedTuple):
    """How the cells of a line look.

    Attributes
    ----------
    lead : callable
        ``lead(column, is_first)`` comes before the cell of a column: ``,`` in CSV, ``, "label": `` in JSON.
    end : str
        Comes after the last cell.
    quote : callable
        Makes a cell of a text: ``a,b`` becomes ``"a,b"``; an empty text becomes ``null`` in JSON.
    marks : bytes
        What a cell needs before and after a text that is not empty and has none of the `special` bytes: nothing in
        CSV, quotation marks in JSON.
    special : bytes
        If a text has one of these bytes, only `quote` can make a cell of it.
    label : callable
        Makes a label safe for programs that read the lines.
    """

    lead: Callable[[str, bool], str]
    end: str
    quote: Callable[[str], str]
    marks: bytes
    special: bytes
    label: Callable[[str], str]


_needs_quotes = re.compile(r'[,"\r\n]').search


def _csv_quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _needs_quotes(text) else text


def _json_quoted(text: str) -> str:
    is_plain = escape(text) == text  # if not, a terminal that shows the lines is not to be steered
    return json.dumps(text, ensure_ascii=not is_plain) if text else "null"


def _csv_lead(column: str, is_first: bool) -> str:
    return "" if is_first else ","


def _json_lead(column: str, is_first: bool) -> str:
    return f'{"{" if is_first else ", "}"{column}": '


_CSV = _Style(_csv_lead, "\n", _csv_quoted, marks=b"", special=b',"\r\n', label=safe_label)
_JSON = _Style(_json_lead, "}\n", _json_quoted, marks=b'"', special=b'"\\' + bytes(range(1, 32)), label=str)


def csv_lines(rows: Rows, topk: int) -> bytes:
    """Return rows as lines of CSV (RFC 4180); probabilities have as many digits as single precision has."""
    return _lines(rows, topk, _CSV)


def csv_header(topk: int) -> bytes:
    """Return the first line of a CSV file."""
    return (",".join(columns(topk)) + "\n").encode()


def json_lines(rows: Rows, topk: int) -> bytes:
    """Return rows as one JSON object a line, with every column; what does not apply is null."""
    return _lines(rows, topk, _JSON)


def _lines(rows: Rows, topk: int, style: _Style) -> bytes:
    if not len(rows):
        return b""
    empty = style.quote("").encode()
    codes, messages = ([found[k] for found in rows.errors.values()] for k in (0, 1))
    cells: list[bytes | NDArray[np.bytes_]] = [
        _texts(rows.paths, style),
        _coded(STATUS_LABELS, rows.statuses, style.quote),
    ]
    for labels, values in zip(rows.labels, rows.probabilities, strict=True):
        cells.append(_coded(rows.names, labels, lambda name: style.quote(style.label(name))))
        cells.append(_numbers(values, empty))
    cells += [
        _coded(rows.names, rows.true_labels, lambda name: style.quote(style.label(name))),
        _at(rows, codes, style, empty),
        _at(rows, messages, style, empty),
        _marked(rows.digests, style),
        style.quote(rows.model_id).encode(),
    ]
    pieces: list[bytes | NDArray[np.bytes_]] = []
    for k, (name, cell) in enumerate(zip(columns(topk), cells, strict=True)):
        pieces += [style.lead(name, k == 0).encode(), cell]
    return _joined([*pieces, style.end.encode()], len(rows))


def _joined(pieces: Sequence[bytes | NDArray[np.bytes_]], m: int) -> bytes:
    """Return m lines of all pieces one after the other; a piece is the cells of a column, or the same in all lines."""
    line = b"".join(piece if isinstance(piece, bytes) else bytes(piece.itemsize) for piece in pieces)
    lines, at = np.empty((m, len(line)), np.uint8), 0
    lines[:] = np.frombuffer(line, np.uint8)
    for piece in pieces:
        width = len(piece) if isinstance(piece, bytes) else piece.itemsize
        if not isinstance(piece, bytes):
            lines[:, at : at + width] = piece.view(np.uint8).reshape(m, width)
        at += width
    return lines[lines != 0].tobytes()  # without the padding


def _texts(texts: NDArray[np.bytes_], style: _Style) -> NDArray[np.bytes_]:
    raw = texts.tobytes()
    if len(raw.translate(None, style.special)) == len(raw):
        return _marked(texts, style)
    return utf8_column(style.quote(text.decode()) for text in texts.tolist())


def _marked(texts: NDArray[np.bytes_], style: _Style) -> NDArray[np.bytes_]:
    """Return the cells of texts that have no special bytes."""
    if not style.marks:
        return texts
    cells = np.char.add(np.char.add(style.marks, texts), style.marks)
    return np.where(texts == b"", style.quote("").encode(), cells)


def _coded(names: Sequence[str], indices: NDArray[np.integer], quote: Callable[[str], str]) -> NDArray[np.bytes_]:
    """Return the cells of names, which are few and quoted once each; -1 gives an empty cell."""
    return utf8_column(quote(name) for name in (*names, ""))[indices]


def _at(rows: Rows, texts: Sequence[str], style: _Style, empty: bytes) -> bytes | NDArray[np.bytes_]:
    """Return the cells of a column that is empty but for the rows with errors, which have these texts."""
    if not texts:
        return empty
    quoted = utf8_column([*map(style.quote, texts), style.quote("")])
    at = np.full(len(rows), -1)
    at[list(rows.errors)] = np.arange(len(texts))
    return quoted[at]


_THREE_DIGITS = np.array([f"{k:03d}".encode() for k in range(1000)], "S4").view(np.uint32)

_WITHOUT_ZEROS = np.array([f"{k:03d}".rstrip("0").encode() for k in range(1000)], "S4").view(np.uint32)


def _numbers(values: NDArray[np.floating], empty: bytes) -> NDArray[np.bytes_]:
    """Return probabilities as ``%.9g`` writes them, which is all that single precision holds; nan is `empty`.

    Nearly all are from 0.0001 to 1, and these are written together. For example, 0.012345678 has one zero after the
    point; times 10^10 it is the whole number 123456780 (rounded in double precision, which is exact here), and with the
    digits of that zero 012 345 678 000: four words of three digits, which are looked up in a table. Zeros at the end
    are left out.
    """
    values = values.astype(np.float32).astype(np.float64)
    usual = (values >= 1e-4) & (values < 1)
    p = np.where(usual, values, 0.5)
    zeros = (p < 0.1).astype(np.int64) + (p < 0.01) + (p < 0.001)  # after the point
    rest = np.rint(p * 10.0 ** (9 + zeros)).astype(np.int64) * 10 ** (3 - zeros)  # 12 digits
    words = np.empty((len(p), 5), np.uint32)
    words[:, 0] = np.array([b"0."], "S4").view(np.uint32)
    only_zeros = np.ones(len(p), bool)
    for k in (4, 3, 2, 1):
        rest, digits = np.divmod(rest, 1000)
        words[:, k] = np.where(only_zeros, _WITHOUT_ZEROS[digits], _THREE_DIGITS[digits])
        only_zeros &= digits == 0
    cells = words.view("S20")[:, 0]
    if not usual.all():
        rare = [empty if value != value else b"%.9g" % value for value in values[~usual].tolist()]
        cells[~usual] = rare
    return cells
