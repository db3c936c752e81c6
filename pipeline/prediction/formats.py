"""How rows are written: a table of formats. To add one, write how its lines look and a line in `OUTPUT_FORMATS`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from pipeline.errors import InputError, MissingExtra
from pipeline.prediction.lines import csv_header, csv_lines, json_lines
from pipeline.prediction.rows import Row, Rows, columns


class Format(NamedTuple):
    """A line of the table.

    Attributes
    ----------
    line_format : str
        Name of the lines in which rows are stored until the output is complete.
    header, lines : callable
        ``header(topk)`` and ``lines(rows, topk)`` give bytes, for rows of `topk` labels.
    convert : callable, optional
        For a format that is not lines of text: ``convert(parts, target, topk)`` makes the file from such lines.
    """

    line_format: str
    header: Callable[[int], bytes]
    lines: Callable[[Rows, int], bytes]
    convert: Callable[[Iterable[bytes], Path, int], None] | None = None

    def write(self, parts: Iterable[bytes], target: Path, topk: int) -> None:
        """Write a file of rows whose lines are given, one chunk's after another's."""
        if self.convert:
            self.convert(parts, target, topk)
            return
        with target.open("wb") as file:
            file.write(self.header(topk))
            file.writelines(parts)


def write_csv(rows: Iterable[Row], file: TextIO, topk: int) -> None:
    """Write rows as CSV with a header."""
    file.write((csv_header(topk) + csv_lines(Rows.of(rows, topk), topk)).decode())


def write_jsonl(rows: Iterable[Row], file: TextIO, topk: int) -> None:
    """Write rows as one JSON object a line, every column in each; what does not apply is null."""
    file.write(json_lines(Rows.of(rows, topk), topk).decode())


def write_parquet(parts: Iterable[bytes], target: Path, topk: int) -> None:
    """Make a Parquet file of JSON lines, a few chunks in memory at a time.

    Raises
    ------
    MissingExtra
        If pyarrow is not installed.
    """
    pa, parquet = _arrow()
    schema = pa.schema(
        [(name, pa.float64() if name.startswith("probability") else pa.string()) for name in columns(topk)]
    )
    with parquet.ParquetWriter(target, schema) as writer:
        for records in _groups(parts):
            writer.write_table(pa.Table.from_pylist(records, schema=schema))


_ROWS_IN_GROUP = 65_536


def _groups(parts: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    records: list[dict[str, Any]] = []
    for part in parts:
        records += map(json.loads, part.splitlines())
        if len(records) >= _ROWS_IN_GROUP:
            yield records
            records = []
    if records:
        yield records


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("Writing Parquet", "parquet") from None
    return pyarrow, parquet


def _no_header(topk: int) -> bytes:
    return b""


OUTPUT_FORMATS: dict[str, Format] = {
    "csv": Format("csv", csv_header, csv_lines),
    "jsonl": Format("jsonl", _no_header, json_lines),
    "parquet": Format("jsonl", _no_header, json_lines, write_parquet),
}

# Functions that write rows to an open text file, as the app offers them.
WRITERS: dict[str, Callable[[Iterable[Row], TextIO, int], None]] = {"csv": write_csv, "jsonl": write_jsonl}


def format_for(output: str, name: str = "") -> str:
    """Return the name of a format: `name`, or else the ending of the output's name, or else CSV.

    Raises
    ------
    InputError
        If there is no such format, it cannot go to standard output (``-``), or its library is missing.
    """
    ending = "" if output == "-" else Path(output).suffix.lower().lstrip(".")
    chosen = name or ending or "csv"
    if chosen not in OUTPUT_FORMATS:
        raise InputError(
            f"{output}: {chosen!r} is not an output format; choose one of {', '.join(OUTPUT_FORMATS)} with --format"
        )
    if OUTPUT_FORMATS[chosen].convert:
        if output == "-":
            raise InputError(f"{chosen} cannot be written to standard output; give a file with -o")
        _arrow()
    return chosen
