"""What to classify: files, folders, patterns, lists, archives and data sets, as one stream of items.

Memory does not grow with the number of files, except for the names in one folder, the contents of a zip archive or an
array file, and the names that a pattern matches. Every file that is named is an item, even if it does not exist: then
it becomes a row that says so.
"""

from __future__ import annotations

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

from pipeline.data.dataset import Dataset, is_dataset, refuse_other_kinds
from pipeline.errors import InputError
from pipeline.files.cells import is_empty_cell, label_column, read_label, safe_cell, safe_name, written_by_predict
from pipeline.files.lookup import find_file, is_doubtful, why_missing
from pipeline.files.names import composed, escape
from pipeline.files.tables import Table, encoding_of, from_windows
from pipeline.files.walk import LINK, OUTPUT, walk
from pipeline.prediction.rows import utf8_column
from pipeline.sources.others import NOT_AN_IMAGE, is_other_file, skipped_text
from pipeline.sources.source import Source

_BLOCK = 1 << 16  # bytes of standard input read at a time


class Item(NamedTuple):
    """An image to classify.

    Attributes
    ----------
    path : Path
        The file, or the archive or file of arrays that contains it.
    name : str
        Its name in the output.
    true_label : str
        Its class, if that is known.
    key : str, int or None
        Finds it in its archive or file of arrays; None for a file of its own.
    refused : (code, message), or empty
        Why it cannot even be tried.
    """

    path: Path
    name: str
    true_label: str = ""
    key: str | int | None = None
    refused: tuple[str, ...] = ()


_CONTROL = bytes([*range(1, 32), 127])


def _is_plain(texts: NDArray[np.bytes_]) -> bool:
    """Return whether all texts are ASCII without control characters; NULs at their ends are only padding."""
    raw = texts.tobytes()
    inner_nuls = int(np.char.str_len(texts).sum()) - (len(raw) - raw.count(0))
    return raw.isascii() and len(raw.translate(None, _CONTROL)) == len(raw) and not inner_nuls


@dataclass(frozen=True)
class DatasetSlice:
    """Consecutive images of a data set, from index `start` up to `stop`, which are read together.

    It holds no images. The classifier takes slices of it, as of an array, and turns them into arrays: the images are
    read at this moment, so that of ten million images only those at hand are in memory. For example, of
    ``DatasetSlice(path, "faces.h5/", 0, 4096)`` the classifier takes ``[0:1024]``, which is
    ``DatasetSlice(path, "faces.h5/", 0, 1024)``, and ``np.asarray`` of it reads 1,024 images.

    Attributes
    ----------
    path : Path
        The data set.
    prefix : str
        Comes before an image's own path in the output.
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
        """Return the names of the images in the output, in UTF-8: ndarray of shape (m,)."""
        paths = self.data.path_column[self.start : self.stop]
        if not _is_plain(paths):  # a data set is a file from outside
            paths = utf8_column(escape(os.fsdecode(path)) for path in paths.tolist())
        return np.char.add(self.prefix.encode(), paths)

    def images(self) -> NDArray[np.uint8]:
        """Read the images: ndarray of shape (m, height, width, channels)."""
        return self.data.images[self.start : self.stop]

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.uint8]:
        """Read the images for ``np.asarray``, by which `ImageClassifier` takes them; see `ImageArray`."""
        return self.images()

    def digests(self) -> NDArray[np.bytes_]:
        """Return the SHA-256 of the files that the images came from, in hexadecimal digits: ndarray of shape (m,)."""
        raw = self.data.sha256_column[self.start : self.stop].tobytes()
        return np.frombuffer(raw.hex().encode("ascii"), "S64")

    def true_labels(self, classes: tuple[str, ...]) -> tuple[tuple[str, ...], NDArray[np.integer]]:
        """Return `classes` followed by other classes of the data set, and the index of each image's class (or -1)."""
        names = tuple(dict.fromkeys((*classes, *self.data.classes)))
        number = np.array([*(names.index(name) for name in self.data.classes), -1])
        return names, number[self.data.labels[self.start : self.stop]]


ItemBatch = Sequence[Item] | DatasetSlice


class Inputs:
    """Everything that was typed, in that order, as items, and a `DatasetSlice` for each data set.

    If ``-`` was typed, it can be iterated over only once.

    Parameters
    ----------
    given : sequence of str
        Files; folders, walked in sorted order; patterns (``*``, ``?``, ``[``, ``**``); ``.txt`` lists with one path a
        line, relative to the current folder; ``.csv`` and ``.tsv`` tables with a column ``path``, relative to the
        table's folder (in a table that `predict` wrote: to the current folder, or else to the table's), and perhaps
        ``label`` (``true_label``); ``-`` for paths on standard input; zip archives; data sets (``.h5``), ``.npz`` and
        ``.npy`` arrays.
    classes : sequence of str
        The model's classes. If a folder that a file lies in, below what was typed, has the name of a class, that is the
        file's true label.
    outputs : iterable of Path
        Files and folders that the calling command writes; what is found there in a walk is ignored.
    stdin : binary file, optional
        What ``-`` reads.
    nul : bool
        The paths that ``-`` reads are separated by NUL, as ``find -print0`` writes them, and not by line ends.
    scale : float
        The value of white in images that are not 8-bit; 0: by their type.
    check_folder, check_file : callable, optional
        Take each folder that is walked, at once or before its first item; each file, before it is an item. What they
        raise is raised here.

    Attributes
    ----------
    ignored : Counter
        How many files were ignored so far (hidden files, for example), by reason. A file that was found in a folder,
        by a pattern or in an archive is ignored, too, if it is plainly no image (`pipeline.sources.others`).
    notes : list of str
        What a user should know about how arrays and archives are read.

    Raises
    ------
    InputError
        At once if a list, table, archive or data set cannot be read.
    """

    def __init__(
        self,
        given: Sequence[str],
        classes: Sequence[str] = (),
        stdin: BinaryIO | None = None,
        *,
        nul: bool = False,
        outputs: Iterable[Path] = (),
        scale: float = 0.0,
        check_folder: Callable[[Path], object] | None = None,
        check_file: Callable[[Path], object] | None = None,
    ) -> None:
        self.ignored: Counter[str] = Counter()
        self.notes: list[str] = []
        self._scale = scale
        self._nul, self._check_folder, self._check_file = nul, check_folder, check_file
        self._classes = {composed(name): name for name in classes}
        self._outputs = frozenset(os.path.realpath(path) for path in outputs)
        self._stdin = stdin
        self._given = ", ".join(escape(text) for text in given)
        if len(given) > 1:  # a pattern that the shell resolved may match the output of an earlier run
            wanted = [text for text in given if os.path.realpath(text) not in self._outputs]
            self.ignored.update({OUTPUT: len(given) - len(wanted)} if len(given) > len(wanted) else {})
            given = wanted
        self._streams = [self._open(text) for text in given]
        self.containers = [text for text in given if _ending(text) in CONTAINERS]

    def __iter__(self) -> Iterator[Item | DatasetSlice]:
        found = False
        for stream in self._streams:
            for item in stream():
                found = True
                if self._check_file and isinstance(item, Item) and item.key is None:
                    self._check_file(item.path)
                yield item
        if not found:
            skipped = f" (skipped: {skipped_text(self.ignored)})" if self.ignored else ""
            hint = "; give the folder that the links lead to" if self.ignored[LINK] else ""
            raise InputError(f"{self._given}: there are no files to classify{skipped}{hint}")

    def _open(self, text: str) -> Callable[[], Iterable[Item | DatasetSlice]]:
        """Look at one argument, and return what yields its items."""
        path = Path(text)
        if text == "-":
            stdin = self._stdin or sys.stdin.buffer
            return lambda: _listed(_separated_by_nul(stdin) if self._nul else (line.rstrip(b"\r\n") for line in stdin))
        refuse_other_kinds(path)
        if path.is_dir():
            if self._check_folder:
                self._check_folder(path)
            return lambda: self._walked(path)
        if not path.exists() and any(sign in text for sign in "*?["):
            return lambda: self._matched(text)
        reader = LISTS.get(_ending(text))
        if reader and path.is_file():
            return reader(path, self._class)
        if _ending(text) in CONTAINERS and path.is_file():
            return self._data_set(path) if is_dataset(path) else self._contained(path)
        return lambda: (_item(text),)

    def _class(self, name: str) -> str:
        """Return a class name as the model spells it."""
        return self._classes.get(composed(name), name)

    def _label(self, folders: Iterable[str]) -> str:
        names = (composed(escape(folder)) for folder in folders)
        return next((self._classes[name] for name in names if name in self._classes), "")

    def _walked(self, root: Path) -> Iterator[Item]:
        if self._check_folder:
            self._check_folder(root)
        try:
            for found in walk(root, self._outputs):
                path = root / found.path
                if found.kind == "ignored":
                    self.ignored[found.reason] += 1
                elif found.kind == "file" and is_other_file(path):
                    self.ignored[NOT_AN_IMAGE] += 1
                elif found.kind != "empty folder":  # a folder that may not be read becomes a row that says so
                    yield Item(path, safe_name(path), self._label(found.path.split("/")[:-1]))
        except OSError as error:
            raise InputError(f"{escape(root)}: cannot be read ({error.strerror})") from None

    def _matched(self, pattern: str) -> Iterator[Item]:
        """Yield files that match, and those in folders that match; a pattern without a match is a file not found."""
        matches = sorted(glob.glob(pattern, recursive=True), key=os.fsencode)  # noqa: PTH207 (Path.glob has no roots)
        fixed = len([part for part in Path(pattern).parts if not glob.has_magic(part)])
        recursive = "**" in pattern
        for text in matches or [pattern]:
            path = Path(text)
            if os.path.realpath(path) in self._outputs:
                self.ignored[OUTPUT] += 1
            elif not path.is_dir():
                if matches and is_other_file(path):
                    self.ignored[NOT_AN_IMAGE] += 1
                else:
                    yield Item(path, safe_name(text), self._label(path.parts[fixed:-1]))
            elif not recursive:  # with **, the files in it match, too
                yield from self._walked(path)

    def _data_set(self, path: Path) -> Callable[[], Iterable[DatasetSlice]]:
        whole = DatasetSlice(path, safe_cell(f"{escape(path)}/"), 0, len(open_data_set(str(path))))
        return lambda: (whole,) if len(whole) else ()

    def _contained(self, path: Path) -> Callable[[], Iterator[Item]]:
        source = open_container(str(path))
        self.ignored.update(source.ignored)
        self.notes += source.check_values(self._scale)
        self.notes += source.notes if source.kind == "zip" else ()
        outer = escape(path)

        def items() -> Iterator[Item]:
            for sample in source.samples:
                inner, label = sample.path, sample.label
                if source.kind == "zip":
                    inner = str(sample.key)  # the sample's path leaves out a folder that all have in common
                    label = label if source.columns else self._label(inner.split("/")[:-1])
                yield Item(path, safe_name(f"{outer}/{inner}"), self._class(label), sample.key)
            for name, code, message in source.rejected:
                yield Item(path, safe_name(f"{outer}/{name}"), "", name, (code, message))

        return items


def _ending(text: str) -> str:
    return posixpath.splitext(text)[1].lower()


CONTAINERS = (".zip", ".h5", ".hdf5", ".npz", ".npy")


def open_data_set(path: str) -> Dataset:
    """Open a data set of this project, once in a process as long as it does not change.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    return _data_set_of(os.path.abspath(path), _version(path))  # noqa: PTH100


def open_container(path: str) -> Source:
    """Open an archive or a file of arrays, once in a process; its images can be read from any thread.

    Raises
    ------
    InputError
        If it cannot be read.
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
    from pipeline.sources.zip_archive import open_zip

    if _ending(path) == ".zip":  # any image can be classified, however the folders are arranged
        return open_zip(Path(path), arranged=False)
    return open_source(path)


def _named(text: str, folders: Sequence[str] = ("",)) -> tuple[str, Path, tuple[str, ...]]:
    """Return the folder in which a path was found, the path as spelt there, and why it cannot be tried (or nothing)."""
    if len(folders) == 1 and not is_doubtful(text):
        return folders[0], Path(folders[0], text), ()
    found = find_file(text, folders)
    if found:
        return found[0], Path(*found), ()
    missing = ("not_found", why_missing(text)) if "\\" in text else ()
    return folders[0], Path(folders[0], text), missing


def _item(text: str) -> Item:
    """Return the item of a file that is named as on a command line."""
    _, path, missing = _named(text)
    return Item(path, safe_name(text), refused=missing)


def _listed(paths: Iterable[bytes]) -> Iterator[Item]:
    for path in paths:
        if path:
            yield _item(os.fsdecode(path))


def _separated_by_nul(file: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while block := file.read(_BLOCK):
        *whole, rest = (rest + block).split(b"\0")
        yield from whole
    yield rest


ClassNames = Callable[[str], str]  # returns a class name as the model spells it


def _list_reader(path: Path, class_name: ClassNames) -> Callable[[], Iterator[Item]]:
    with _readable(path):
        pass

    def items() -> Iterator[Item]:
        with _readable(path) as file:
            encoding = encoding_of(file.read(8))
            file.seek(3 if encoding == "utf-8-sig" else 0)
            if encoding.startswith("utf-8"):
                yield from _listed(line.rstrip(b"\r\n") for line in file)
            else:  # as Windows PowerShell writes it
                with io.TextIOWrapper(file, encoding, "replace") as lines:
                    yield from _listed(os.fsencode(line.rstrip("\r\n")) for line in lines)

    return items


def _table_reader(path: Path, class_name: ClassNames) -> Callable[[], Iterator[Item]]:
    """Read a table of paths; unlike in a manifest, rows may repeat, need no label, and are never all in memory.

    Raises
    ------
    InputError
        If it cannot be read or has no column ``path``.
    """
    with _table(path) as table:
        columns = table.columns
        if "path" not in columns:
            raise table.lacks("path")
    labels = label_column(columns)
    path_at, label_at = columns.index("path"), columns.index(labels) if labels in columns else None
    folders = [str(path.parent)]
    if written_by_predict(columns) and path.parent != Path():
        folders.insert(0, "")  # its paths are as they were typed

    def items() -> Iterator[Item]:
        with _table(path) as table:
            for line, row in table.rows():
                text = row[path_at].strip() if len(row) > path_at else ""
                if not text and not any(row):
                    continue
                cell = row[label_at].strip() if label_at is not None and len(row) > label_at else ""
                label = "" if is_empty_cell(cell) else class_name(read_label(escape(from_windows(cell))))
                folder, image, missing = _named(text, folders)
                if not text:
                    missing = ("not_found", f"line {line} of {escape(path)} has no path")
                yield Item(image, safe_name(posixpath.normpath(Path(folder, text))), label, None, missing)

    return items


def _readable(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{escape(path)}: cannot be read ({error.strerror})") from None


def _table(path: Path) -> Table:
    return Table(_readable(path), escape(path))


LISTS = {".txt": _list_reader, ".csv": _table_reader, ".tsv": _table_reader}
