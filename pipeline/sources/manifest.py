"""A manifest: a table with a row for each image, as CSV or TSV, with the columns path, label[, split][, group].

Paths are relative to the folder of the manifest. The first line names the columns; their order and case do not matter,
and there may be more columns, any of which `group_by` may name. An empty label means unlabelled, and `./=x` means the
label `=x`, as `facette predict` writes it; in a table that `facette predict` wrote, `label` is a prediction, and
`true_label` is read instead. A row whose file is missing becomes a rejected file, since manifests are often older than
their folders.
"""

from __future__ import annotations

import csv
import io
import posixpath
from pathlib import Path

from pipeline.errors import InputError
from pipeline.files.cells import label_column, read_label, read_table_header
from pipeline.files.names import escape
from pipeline.sources.labels import SPLIT_NAMES
from pipeline.sources.source import Files, Sample, Source


def open_manifest(path: Path, group_by: str = "") -> Source:
    """List the images that a CSV or TSV file names.

    Raises
    ------
    InputError
        If it cannot be read, lacks a column, has a row that does not fit the columns, or names no image.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{escape(path)}: cannot be read ({error.strerror})") from None
    samples, columns, doubles = parse_manifest(text, escape(path), group_by)
    files = Files(str(path.parent.absolute()))
    return Source(
        kind="manifest",
        location=escape(path),
        samples=samples,
        read=files,
        stamp=files.stamp,
        ignored={"repeated row": doubles} if doubles else {},
        columns=columns,
    )


def parse_manifest(data: bytes, location: str, group_by: str = "") -> tuple[list[Sample], tuple[str, ...], int]:
    """Read the rows of a manifest.

    Returns
    -------
    samples : list of Sample
        In the order of the rows; the key of each is its path as written.
    columns : tuple of str
    doubles : int
        Rows left out because they repeat an earlier row.

    Raises
    ------
    InputError
        As `open_manifest`; the message names the file and the row.
    """
    text = data.decode("utf-8-sig", errors="surrogateescape")
    stream = io.StringIO(text, newline="")
    delimiter, columns = read_table_header(stream.readline())
    index = _column_indices(columns, location, group_by)
    stream.seek(0)
    rows = csv.reader(stream, delimiter=delimiter)
    samples: dict[str, Sample] = {}
    doubles = 0
    try:
        next(rows)  # the header
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            where = f"{location}, line {rows.line_num}"
            sample = _sample(row, len(columns), index, where)
            before = samples.setdefault(sample.path, sample)
            if before is not sample:
                if before != sample:
                    raise InputError(
                        f"{where}: {sample.path!r} has two rows, as {_describe(before)} and as {_describe(sample)}; "
                        "keep one of them"
                    )
                doubles += 1
    except csv.Error as error:
        raise InputError(f"{location}, line {rows.line_num}: is not a row of a table ({error}); correct it") from None
    if not samples:
        raise InputError(f"{location}: names no image; give one row for each, below the line of column names")
    return list(samples.values()), columns, doubles


def _column_indices(columns: tuple[str, ...], location: str, group_by: str) -> dict[str, int]:
    """Return the index of each known column."""
    label = label_column(columns)
    for name in ("path", label):
        if name not in columns:
            found = ", ".join(repr(escape(column)) for column in columns) or "none"
            raise InputError(
                f"{location}: has no column {name!r}; columns found: {found}. The first line must name the columns: "
                "path,label and, if wanted, split and group"
            )
    index: dict[str, int] = {name: columns.index(name) for name in ("path", "split", "group") if name in columns}
    index["label"] = columns.index(label)
    if group_by.lower() in columns:
        index["group"] = columns.index(group_by.lower())
    return index


def _sample(row: list[str], n_columns: int, index: dict[str, int], where: str) -> Sample:
    if len(row) != n_columns:
        raise InputError(
            f"{where}: has {len(row)} cells and the first line has {n_columns}; put a cell that contains the separator "
            'in double quotes ("...")'
        )
    cells = {name: row[i].strip() for name, i in index.items()}
    if not cells["path"]:
        raise InputError(f"{where}: has no path; fill it in, or delete the row")
    given = cells.get("split", "")
    if given and given.lower() not in SPLIT_NAMES:
        raise InputError(
            f"{where}: split {escape(given)!r} is unknown; write train, validation or test, or leave it empty"
        )
    path = posixpath.normpath(cells["path"])
    split = SPLIT_NAMES[given.lower()] if given else ""
    label = "" if split == "unlabelled" else escape(read_label(cells["label"]))
    return Sample(escape(path), label, split, escape(cells.get("group", "")), path)


def _describe(sample: Sample) -> str:
    return ", ".join(repr(text) for text in (sample.label, sample.split, sample.group) if text) or "unlabelled"
