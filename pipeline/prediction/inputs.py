"""What to classify: files, folders, patterns, lists, archives and data sets, as one stream of items.

Nothing is held that grows with the number of files, but for the names in one folder, what a zip archive or an array
file lists, and the names that a pattern matches. Every file named is an item, whether it is there or not: it becomes
a row that says so.
"""

from __future__ import annotations

import csv
import glob
import io
import os
import posixpath
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import Dataset, is_dataset
from pipeline.errors import InputError
from pipeline.files.cells import label_column, read_header, read_label, safe_cell, safe_name, written_by_predict
from pipeline.files.names import escape, unescape
from pipeline.files.walk import reason_to_ignore
from pipeline.sources.source import Source


class Item(NamedTuple):
    """An image to classify.

    Attributes
    ----------
    path : Path
        The file, or the archive or file of arrays that it lies in.
    name : str
        What it is called in the output.
    true_label : str
        Its class, where that is known.
    key : str, int or None
        What finds it in its archive or file of arrays; None for a file of its own.
    refused : tuple of (code, message), or empty
        Why it cannot even be tried.
    """

    path: Path
    name: str
    true_label: str = ""
    key: str | int | None = None
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetSlice:
    """Images of a data set that follow one another, `start` to `stop`; they are read together.

    Attributes
    ----------
    path : Path
        The data set.
    prefix : str
        What comes before an image's own path in the output.
    start, stop : int
    """

    path: Path
    prefix: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, part: slice) -> DatasetSlice:
        start, stop, _ = part.indices(len(self))
        return replace(self, start=self.start + start, stop=self.start + stop)

    @property
    def data(self) -> Dataset:
        """The data set, open."""
        return open_data_set(str(self.path))

    def names(self) -> NDArray[np.bytes_]:
        """Return what the images are called in the output, in UTF-8."""
        return np.char.add(self.prefix.encode(), self.data.path_column[self.start : self.stop])

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.uint8]:
        """Read the images: ndarray of shape (m, height, width, channels)."""
        return self.data.images[self.start : self.stop]

    def digests(self) -> NDArray[np.bytes_]:
        """Return the SHA-256 of the files that the images came from, in hexadecimal digits."""
        raw = self.data.sha256_column[self.start : self.stop].tobytes()
        return np.frombuffer(raw.hex().encode("ascii"), "S64")

    def true_labels(self, classes: tuple[str, ...]) -> tuple[tuple[str, ...], NDArray[np.integer]]:
        """Return `classes` and those that only the data set has, and the index of each image's class (or -1)."""
        names = tuple(dict.fromkeys((*classes, *self.data.classes)))
        number = np.array([*(names.index(name) for name in self.data.classes), -1])
        return names, number[self.data.labels[self.start : self.stop]]


ItemBatch = Sequence[Item] | DatasetSlice


class Inputs:
    """Everything that was typed, in that order, as items, and a `DatasetSlice` for each data set.

    They can be gone through once where ``-`` is among what was typed.

    Parameters
    ----------
    given : sequence of str
        Files; folders, walked in sorted order; patterns (``*``, ``?``, ``[``, ``**``); ``.txt`` lists with a path a
        line, seen from the folder one is in; ``.csv`` and ``.tsv`` tables with a column ``path``, seen from the
        table's folder (where `predict` wrote it: from the folder one is in, or else from there), and perhaps ``label``
        (``true_label``); ``-`` for paths on standard input; zip archives; data sets (``.h5``), ``.npz`` and ``.npy``
        arrays.
    classes : sequence of str
        The model's classes. Where a file's folder, below what was typed, bears the name of one, that is its true
        label.
    stdin : binary file, optional
        Where ``-`` reads from.

    Attributes
    ----------
    ignored : Counter
        What was passed over so far (hidden files and the like), by reason.

    Raises
    ------
    InputError
        At once where a list, table, archive or data set cannot be read.
    """

    def __init__(self, given: Sequence[str], classes: Sequence[str] = (), stdin: BinaryIO | None = None) -> None:
        self.ignored: Counter[str] = Counter()
        self._classes = frozenset(classes)
        self._stdin = stdin
        self._streams = [self._open(text) for text in given]
        self.containers = [text for text in given if _ending(text) in CONTAINERS]
        self._given = ", ".join(escape(text) for text in given)

    def __iter__(self) -> Iterator[Item | DatasetSlice]:
        found = False
        for stream in self._streams:
            for item in stream():
                found = True
                yield item
        if not found:
            raise InputError(f"{self._given}: there are no files to classify")

    def _open(self, text: str) -> Callable[[], Iterable[Item | DatasetSlice]]:
        """Look at one argument, and return what yields its items."""
        path = Path(text)
        if text == "-":
            return lambda: _listed(self._stdin or sys.stdin.buffer)
        if path.is_dir():
            return lambda: self._walked(path)
        if not path.exists() and any(sign in text for sign in "*?["):
            return lambda: self._matched(text)
        reader = LISTS.get(_ending(text))
        if reader and path.is_file():
            return reader(path)
        if _ending(text) in CONTAINERS and path.is_file():
            return self._data_set(path) if is_dataset(path) else self._contained(path)
        return lambda: (Item(path, safe_name(text)),)

    def _label(self, folders: Iterable[str]) -> str:
        return next((escape(folder) for folder in folders if escape(folder) in self._classes), "")

    def _walked(self, root: Path) -> Iterator[Item]:
        try:
            entries = _walk(root, self.ignored)
            for relative in entries:
                path = root / relative
                yield Item(path, safe_name(path), self._label(relative.split("/")[:-1]))
        except OSError as error:
            raise InputError(f"{escape(root)}: cannot be read ({error.strerror})") from None

    def _matched(self, pattern: str) -> Iterator[Item]:
        """Files that match, and what lies in folders that match; a pattern without a match is a file not found."""
        matches = sorted(glob.glob(pattern, recursive=True), key=os.fsencode)  # noqa: PTH207 (Path.glob has no roots)
        fixed = len([part for part in Path(pattern).parts if not glob.has_magic(part)])
        recursive = "**" in pattern
        for text in matches or [pattern]:
            path = Path(text)
            if not path.is_dir():
                yield Item(path, safe_name(text), self._label(path.parts[fixed:-1]))
            elif not recursive:  # with **, what lies in it matches for itself
                yield from self._walked(path)

    def _data_set(self, path: Path) -> Callable[[], Iterable[DatasetSlice]]:
        run = DatasetSlice(path, safe_cell(f"{escape(path)}/"), 0, len(open_data_set(str(path))))
        return lambda: (run,) if len(run) else ()

    def _contained(self, path: Path) -> Callable[[], Iterator[Item]]:
        source = open_container(str(path))
        self.ignored.update(source.ignored)
        outer = escape(path)

        def items() -> Iterator[Item]:
            for sample in source.samples:
                inner, label = sample.path, sample.label
                if source.kind == "zip":
                    inner = str(sample.key)  # whole: the path leaves out a folder that all have in common
                    label = label if source.columns else self._label(inner.split("/")[:-1])
                yield Item(path, safe_name(f"{outer}/{inner}"), label, sample.key)
            for name, code, message in source.rejected:
                yield Item(path, safe_name(f"{outer}/{name}"), "", name, (code, message))

        return items


def find_items(inputs: Sequence[str], classes: Sequence[str] = ()) -> tuple[list[Item | DatasetSlice], Counter[str]]:
    """List everything to classify in memory, with what was passed over by reason; see `Inputs`.

    Raises
    ------
    InputError
        As `Inputs`; and when there are no files.
    """
    found = Inputs(inputs, classes)
    return list(found), found.ignored


def _ending(text: str) -> str:
    return posixpath.splitext(text)[1].lower()


CONTAINERS = (".zip", ".h5", ".hdf5", ".npz", ".npy")


def open_data_set(path: str) -> Dataset:
    """Open a data set of this project, once in a process as long as it does not change.

    Raises
    ------
    InputError
        When it cannot be read.
    """
    return _data_set_of(os.path.abspath(path), _version(path))  # noqa: PTH100


def open_container(path: str) -> Source:
    """Open an archive or a file of arrays, once in a process; its images can be read from any thread.

    Raises
    ------
    InputError
        When it cannot be read.
    """
    return _source_of(os.path.abspath(path), _version(path))  # noqa: PTH100


def _version(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)  # noqa: PTH116 (half the time of Path.stat)
    except OSError as error:
        raise InputError(f"{escape(path)}: cannot be read ({error.strerror})") from None
    return status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=8)
def _data_set_of(path: str, version: tuple[int, ...]) -> Dataset:
    return Dataset.open(path)


@lru_cache(maxsize=8)
def _source_of(path: str, version: tuple[int, ...]) -> Source:
    from pipeline.sources.open import open_source

    return open_source(path)


def _walk(root: Path, ignored: Counter[str]) -> Iterator[str]:
    """Yield the paths below a folder in the order of `listing.list_image_files`.

    In memory are the names of one folder and of those it lies in. A folder that may not be read is yielded like a
    file, and becomes a row that says so.
    """
    real_root = os.path.realpath(root)
    begun = [("", _entries(root))]
    while begun:
        folder, entries = begun[-1]
        entry = next(entries, None)
        if entry is None:
            begun.pop()
            continue
        path = folder + entry.name
        reason = reason_to_ignore(entry, real_root)
        if reason:
            ignored[reason] += 1
        elif entry.is_dir(follow_symlinks=False):
            try:
                begun.append((f"{path}/", _entries(entry.path)))
            except OSError:
                yield path
        else:
            yield path


def _entries(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return iter(sorted(found, key=lambda entry: os.fsencode(entry.name)))


def _listed(file: BinaryIO) -> Iterator[Item]:
    for line in file:
        text = os.fsdecode(line.rstrip(b"\r\n"))
        if text:
            yield Item(Path(text), safe_name(text))


def _list_reader(path: Path) -> Callable[[], Iterator[Item]]:
    with _readable(path):
        pass

    def items() -> Iterator[Item]:
        with _readable(path) as file:
            if file.read(3) != b"\xef\xbb\xbf":
                file.seek(0)
            yield from _listed(file)

    return items


def _table_reader(path: Path) -> Callable[[], Iterator[Item]]:
    """Read a table of paths. Other than a manifest's, its rows may repeat, need no label, and are never all in memory.

    Raises
    ------
    InputError
        If it cannot be read or has no column ``path``.
    """
    with _table(path) as file:
        delimiter, columns = read_header(file.readline())
    if "path" not in columns:
        found = ", ".join(repr(escape(name)) for name in columns) or "none"
        raise InputError(f"{escape(path)}: has no column 'path'; columns found: {found}")
    labels = label_column(columns)
    path_at, label_at = columns.index("path"), columns.index(labels) if labels in columns else None
    folders = [path.parent]
    if written_by_predict(columns) and path.parent != Path():
        folders.insert(0, Path())  # its paths are as they were given

    def items() -> Iterator[Item]:
        with _table(path) as file:
            rows = csv.reader(file, delimiter=delimiter)
            try:
                next(rows)
                for row in rows:
                    text = row[path_at].strip() if len(row) > path_at else ""
                    if not text and not any(row):
                        continue
                    place = _place(text, folders)
                    label = row[label_at].strip() if label_at is not None and len(row) > label_at else ""
                    missing = () if text else ("not_found", f"line {rows.line_num} of {escape(path)} has no path")
                    yield Item(place, safe_name(place), read_label(escape(label)), None, missing)
            except csv.Error as error:
                raise InputError(f"{escape(path)}, line {rows.line_num}: is not a row of a table ({error})") from None

    return items


def _place(text: str, folders: Sequence[Path]) -> Path:
    """Return the file that a cell of a table means, seen from the first of the folders where there is one."""
    places = [Path(posixpath.normpath(folder / text)) for folder in folders]
    if "%" in text:
        places = [form for place in places for form in (place, unescape(str(place)))]
    if len(places) == 1:
        return places[0]
    return next((place for place in places if os.path.lexists(place)), places[0])


def _readable(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{escape(path)}: cannot be read ({error.strerror})") from None


def _table(path: Path) -> io.TextIOWrapper:
    return io.TextIOWrapper(_readable(path), encoding="utf-8-sig", errors="surrogateescape", newline="")


LISTS = {".txt": _list_reader, ".csv": _table_reader, ".tsv": _table_reader}
