"""A manifest: a table with one row an image, as CSV or TSV, with the columns path, label[, split][, group].

Paths are relative to the folder the manifest lies in. The first line names the columns; their order and their case do
not matter, and further columns may be there: `group_by` may name any of them. An empty label means unlabelled, and
`./=x` the label `=x`, as `facette predict` writes it; in a table of its, `label` is an answer, and `true_label` counts.
A row whose file is missing becomes a rejected file, since a manifest is often older than the folder.
"""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import InputError
from pipeline.files.cells import label_column, read_label
from pipeline.files.names import escape
from pipeline.sources.labels import SPLIT_NAMES
from pipeline.sources.source import Files, Sample, Source


def open_manifest(path: Path, group_by: str = "") -> Source:
    """List the images that a CSV or TSV file names.

    Raises
    ------
    InputError
        If it cannot be read, lacks a column, has a row that does not fit, or names no image.
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
        Rows left out because an earlier row says the same.

    Raises
    ------
    InputError
        Naming the file and the row, as `open_manifest`.
    """
    text = data.decode("utf-8-sig", errors="surrogateescape")
    head = text.partition("\n")[0]
    delimiter = max("\t,;", key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        columns = tuple(name.strip().lower() for name in next(rows, []))
        index = _columns(columns, location, group_by)
        samples: dict[str, Sample] = {}
        doubles = 0
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            where = f"{location}, line {rows.line_num}"
            sample = _sample(row, columns, index, where)
            before = samples.setdefault(sample.path, sample)
            if before is not sample:
                if before != sample:
                    raise InputError(
                        f"{where}: {sample.path!r} is there twice, as {_describe(before)} and as {_describe(sample)}; "
                        "keep one of the rows"
                    )
                doubles += 1
    except csv.Error as error:
        raise InputError(f"{location}, line {rows.line_num}: is not a row of a table ({error})") from None
    if not samples:
        raise InputError(f"{location}: names no image; give one row for each, below the line of column names")
    return list(samples.values()), columns, doubles


def _columns(columns: tuple[str, ...], location: str, group_by: str) -> dict[str, int]:
    """Return where each known column stands."""
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


def _sample(row: list[str], columns: Iterable[str], index: dict[str, int], where: str) -> Sample:
    n_columns = len(tuple(columns))
    if len(row) != n_columns:
        raise InputError(
            f"{where}: has {len(row)} cells and the first line has {n_columns}; put a cell that contains the separator "
            'in double quotes ("...")'
        )
    cells = {name: row[i].strip() for name, i in index.items()}
    if not cells["path"]:
        raise InputError(f"{where}: has no path; fill it in, or take the row away")
    given = cells.get("split", "")
    if given and given.lower() not in SPLIT_NAMES:
        raise InputError(f"{where}: split {escape(given)!r} is unknown; write train, validation or test, or nothing")
    path = posixpath.normpath(cells["path"])
    split = SPLIT_NAMES[given.lower()] if given else ""
    label = "" if split == "unlabelled" else escape(read_label(cells["label"]))
    return Sample(escape(path), label, split, escape(cells.get("group", "")), path)


def _describe(sample: Sample) -> str:
    return ", ".join(repr(text) for text in (sample.label, sample.split, sample.group) if text) or "unlabelled"
