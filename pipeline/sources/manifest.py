"""A manifest: a table with a row for each image, as CSV or TSV, with the columns path, label[, split][, group].

Paths are relative to the folder of the manifest; those of a table that `facette predict` wrote, to the current folder
or else to that of the table. The first line names the columns; their order and case do not matter, and there may be
more columns, any of which `group_by` may name. An empty label means unlabelled, and `./=x` means the label `=x`, as
`facette predict` writes it; in a table that `facette predict` wrote, `label` is a prediction, and `true_label` is read
instead. A row whose file is missing becomes a rejected file, since manifests are often older than their folders.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.errors import InputError
from pipeline.files.cells import is_empty_cell, label_column, read_label, written_by_predict
from pipeline.files.lookup import find_file, is_doubtful, spellings
from pipeline.files.names import escape
from pipeline.files.tables import Table, from_windows, is_foreign
from pipeline.sources.labels import class_name, split_of
from pipeline.sources.source import Files, Sample, Source
from pipeline.text import count, shortened


def open_manifest(path: Path, group_by: str = "") -> Source:
    """List the images that a CSV or TSV file names.

    Raises
    ------
    InputError
        If it cannot be read, lacks a column, has a row that does not fit the columns, or names no image.
    """
    root = str(path.parent.absolute())

    def find(text: str, columns: Sequence[str]) -> tuple[str, str]:
        folders = [os.curdir, root] if written_by_predict(columns) else [root]
        if len(folders) == 1 and not is_doubtful(text):
            form = next(spellings(text))
            return form, form
        folder, form = find_file(text, folders) or (root, next(spellings(text)))
        return form, os.path.abspath(form) if folder == os.curdir else form  # noqa: PTH100

    try:
        manifest = parse_manifest(path.open("rb"), escape(path), group_by, find)
    except OSError as error:
        raise InputError(f"{escape(path)}: cannot be read ({error.strerror})") from None
    files = Files(root)
    return Source(
        kind="manifest",
        location=escape(path),
        samples=manifest.samples,
        read=files,
        stamp=files.stamp,
        ignored={"repeated row": manifest.doubles} if manifest.doubles else {},
        columns=manifest.columns,
        notes=manifest.notes,
    )


@dataclass(frozen=True)
class Manifest:
    """The rows of a manifest.

    Attributes
    ----------
    samples : list of Sample
        In the order of the rows.
    columns : tuple of str
    doubles : int
        Rows left out because they repeat an earlier row.
    notes : tuple of str
        What a user should know about how cells were understood.
    """

    samples: list[Sample]
    columns: tuple[str, ...]
    doubles: int
    notes: tuple[str, ...]


def parse_manifest(
    file: IO[bytes],
    location: str,
    group_by: str,
    find: Callable[[str, Sequence[str]], tuple[str, str]],
    *,
    most: int | None = None,
) -> Manifest:
    """Read the rows of a manifest.

    Parameters
    ----------
    file : binary file
        Seekable; it is closed.
    location : str
        For messages.
    group_by : str
        Perhaps the name of a column.
    find : callable
        ``find(text, columns)`` returns the path as it is recorded, and the key of the sample.
    most : int, optional
        How many images the manifest may name.

    Raises
    ------
    InputError
        As `open_manifest`; the message names the file and the row.
    """
    samples: dict[str, Sample] = {}
    doubles, foreign = 0, False
    empty: Counter[str] = Counter()
    with Table(file, location) as table:
        index = _column_indices(table, group_by)
        for line, row in table.rows():
            if not any(cell.strip() for cell in row):
                continue
            where = f"{location}, line {line}"
            cells = _cells(row, len(table.columns), index, where)
            foreign = foreign or is_foreign(cells["label"] + cells.get("group", ""))
            if cells["label"] and is_empty_cell(cells["label"]):
                empty[cells["label"]] += 1
            sample = _sample(cells, find(cells["path"], table.columns), where)
            before = samples.setdefault(sample.path, sample)
            if before is not sample:
                if before != sample:
                    raise InputError(
                        f"{where}: {sample.path!r} has two rows, as {_describe(before)} and as {_describe(sample)}; "
                        "keep one of them"
                    )
                doubles += 1
            if most is not None and len(samples) > most:
                raise InputError(
                    f"{where}: names far more images than the archive holds; give the folder of the images"
                )
    if not samples:
        raise InputError(f"{location}: names no image; give one row for each, below the line of column names")
    return Manifest(list(samples.values()), table.columns, doubles, _notes(location, empty, foreign=foreign))


def _notes(location: str, empty: Counter[str], *, foreign: bool) -> tuple[str, ...]:
    notes = []
    if empty:
        names = shortened([repr(name) for name in empty])
        notes.append(
            f"{location}: {count(empty.total(), 'label')} {names} taken for empty, so these images are unlabelled; if "
            "it is the name of a class, rename it"
        )
    if foreign:
        notes.append(
            f"{location}: is not UTF-8 and was read as Windows-1252; if names look wrong, save it as 'CSV UTF-8'"
        )
    return tuple(notes)


def _column_indices(table: Table, group_by: str) -> dict[str, int]:
    """Return the index of each known column."""
    columns = table.columns
    label = label_column(columns)
    for name in ("path", label):
        if name not in columns:
            raise table.lacks(name)
    index: dict[str, int] = {name: columns.index(name) for name in ("path", "split", "group") if name in columns}
    index["label"] = columns.index(label)
    if group_by.lower() in columns:
        index["group"] = columns.index(group_by.lower())
    return index


def _cells(row: list[str], n_columns: int, index: dict[str, int], where: str) -> dict[str, str]:
    """Return the cells of a row by the names of their columns."""
    if len(row) != n_columns:
        raise InputError(
            f"{where}: has {len(row)} cells and the first line has {n_columns}; put a cell that contains the separator "
            'in double quotes ("...")'
        )
    cells = {name: row[i].strip() for name, i in index.items()}
    if not cells["path"]:
        raise InputError(f"{where}: has no path; fill it in, or delete the row")
    return cells


def _sample(cells: dict[str, str], found: tuple[str, str], where: str) -> Sample:
    given, group = ("" if is_empty_cell(cells.get(name, "")) else cells[name] for name in ("split", "group"))
    split = split_of(given)
    if given and not split:
        raise InputError(
            f"{where}: split {escape(given)!r} is unknown; write train, validation or test, or leave it empty"
        )
    label = "" if is_empty_cell(cells["label"]) or split == "unlabelled" else cells["label"]
    path, key = found
    return Sample(escape(path), class_name(read_label(from_windows(label))), split, escape(from_windows(group)), key)


def _describe(sample: Sample) -> str:
    return ", ".join(repr(text) for text in (sample.label, sample.split, sample.group) if text) or "unlabelled"
