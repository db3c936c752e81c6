"""The data set: one HDF5 file of images of one geometry, with their labels, splits and origins.

The layout of the file (`format` = facette-dataset) is a column for each fact, with a row for each of the m images:

- `images` uint8 (m, height, width, channels), chunked by whole examples
- `labels` int32 (m,), indices of `classes`; -1 for an unlabelled image
- `split` uint8 (m,), values of `pipeline.data.splits.Split`
- `group` int32 (m,), equal for images of one group, which must be in one split; -1 for an image in no group
- `keys` (m,), the group key each image came with
- `paths` (m,); `sha256` uint8 (m, 32) of the source bytes
- `sizes` int32 (m, 2), height and width of the source image; `kind` (m,), an index of `kinds` such as ``JPEG RGB``
- `measures` float32 (m, 5), see `pipeline.images.statistics`

It also holds `classes` and `kinds`, the `thumbnails` uint8 (n, 32, 32) of the images `thumbnail_of` (n,), and
`rejected/{path,code,message}`. The attributes hold the geometry, the configuration, and the counts of every ingestion
into the file, as JSON.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from model.errors import FormatError
from model.storage.hdf5 import DAMAGE, attribute, open_file, read_text
from model.storage.kinds import FILE_KINDS, has_format, own_kind
from model.storage.values import check_value
from pipeline.data.config import DataConfig
from pipeline.data.division import random_split
from pipeline.data.splits import Split
from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.images.geometry import Geometry
from pipeline.images.statistics import DIGEST_BYTES, MEASURES, THUMBNAIL_SIDE, digest
from pipeline.invocation import command_line

FORMAT = "facette-dataset"
VERSION = 1
BLOCK_BYTES = 1 << 22
_COURSE = {"train_set_x", "test_set_x"}
# Name -> (kinds of its values, as in NumPy's `dtype.kind`; shape of one row). All have a row for each image.
_COLUMN_TYPES: dict[str, tuple[str, tuple[int, ...]]] = {
    "labels": ("iu", ()),
    "split": ("u", ()),
    "group": ("iu", ()),
    "paths": ("S", ()),
    "sha256": ("u", (32,)),
    "sizes": ("iu", (2,)),
    "kind": ("u", ()),
    "keys": ("S", ()),
    "measures": ("f", (len(MEASURES),)),
}


class Dataset:
    """An open data set; use it in a ``with`` statement.

    Attributes
    ----------
    images : h5py.Dataset of shape (m, height, width, channels), uint8
        On disk; index it to read, or use `read` or `X`.
    path_column, sha256_column : h5py.Dataset
        On disk, like `images`, for callers that need only a few rows of `paths` or `sha256`; kept open, so that h5py
        does not have to find them, or read a chunk, again.
    labels : ndarray of shape (m,), int
        Indices of `classes`; -1 for an unlabelled image.
    split : ndarray of shape (m,), uint8
        Values of `pipeline.data.splits.Split`.
    group : ndarray of shape (m,), int
        Equal for images of one group; -1 for an image in no group.
    classes : tuple of str
    geometry : Geometry
    fingerprint : str
        Hexadecimal SHA-256 over classes, images, labels and split: equal for equal data.
    """

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self.images: Any = file["images"]
        self.path_column: Any = file["paths"]
        self.sha256_column: Any = file["sha256"]
        self.labels = file["labels"][:].astype(np.int64)
        self.split = file["split"][:]
        self.group = file["group"][:].astype(np.int64)
        self.classes: tuple[str, ...] = tuple(read_text(file["classes"]))
        self.geometry = Geometry.from_json(_attribute(file, "geometry"))
        self.fingerprint = _attribute(file, "fingerprint")
        self.config: dict[str, Any] = json.loads(_attribute(file, "config"))
        self.counts: list[dict[str, Any]] = json.loads(_attribute(file, "counts"))

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """Open a data set file and check that it is complete.

        Raises
        ------
        InputError
            If the file is missing, is not a data set of this project, is damaged, or comes from a newer version.
        """
        file = open_hdf5(path)
        try:
            _check(file)
            return cls(file)
        except FormatError as error:
            file.close()
            raise InputError(f"{escape(path)}: {error}") from None
        except DAMAGE as error:
            file.close()
            raise InputError(f"{escape(path)}: is a damaged data set ({error}); ingest the images again") from None

    def __repr__(self) -> str:
        if not self.file:
            return f"<Dataset of {len(self)} images, closed>"
        geometry = f"{self.geometry.width}x{self.geometry.height} {self.geometry.color}"
        return f"<Dataset {escape(self.file.filename)}: {len(self)} images, {geometry}, {len(self.classes)} classes>"

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; arrays that were read stay usable."""
        self.file.close()

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def paths(self) -> np.ndarray:
        """Return the path of each image, relative to the source it came from: ndarray of shape (m,), str objects."""
        return self._column("paths")

    @cached_property
    def sha256(self) -> np.ndarray:
        """Return the SHA-256 of the source bytes of each image: ndarray of shape (m, 32), uint8."""
        return self._column("sha256")

    @cached_property
    def sizes(self) -> np.ndarray:
        """Return the (height, width) of each source image: ndarray of shape (m, 2), int32."""
        sizes = self._column("sizes")
        self._must(bool((sizes > 0).all()), "a size of an image is 0 or less")
        return sizes

    @cached_property
    def kinds(self) -> np.ndarray:
        """Return format and colour mode of each source file, such as ``JPEG RGB``: ndarray of shape (m,), str."""
        names, kind = self._column("kinds"), self._column("kind")
        self._must(bool((kind < len(names)).all() and (kind >= 0).all()), "a kind of file has no name")
        return names[kind] if len(names) else np.empty(0, dtype=object)

    @cached_property
    def keys(self) -> np.ndarray:
        """Return the group key each image came with, empty if none: ndarray of shape (m,), str objects."""
        return self._column("keys")

    @cached_property
    def measures(self) -> np.ndarray:
        """Return the `MEASURES` of `pipeline.images.statistics` of each image: ndarray (m, 5), float32."""
        measures = self._column("measures")
        self._must(bool(np.isfinite(measures).all()), "a measure of an image is NaN or infinite")
        return measures

    def _must(self, is_so: bool, otherwise: str) -> None:
        with _intact(self.file):
            if not is_so:
                raise ValueError(otherwise)

    def thumbnails(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of the images that have a thumbnail, ascending, and their thumbnails, (n, 32, 32)."""
        return self._column("thumbnail_of"), self._column("thumbnails")

    @cached_property
    def rejected(self) -> list[tuple[str, str, str]]:
        """Return (path, code, message) of every file that was found but is not an image."""
        return list(zip(*(self._column(f"rejected/{name}") for name in ("path", "code", "message")), strict=True))

    @cached_property
    def X(self) -> np.ndarray:
        """Return all images as columns: ndarray of shape (n_x, m), uint8, a view; read into memory once."""
        return self._images(0, len(self)).reshape(len(self), -1).T

    def indices(self, split: str) -> np.ndarray:
        """Return the indices of one split's images, ascending.

        Raises
        ------
        InputError
            If there is no split of this name.
        """
        return np.flatnonzero(self.split == Split.of(split))

    def random_split(self) -> np.ndarray:
        """Return a random split that ignores duplicates and groups: ndarray of shape (m,), uint8.

        It has the shares and the seed of this data set's own split. It is for comparing accuracies, never for training.
        """
        return random_split(self.labels, len(self.classes), _data_config(self.config))

    def with_split(self, split: np.ndarray) -> Dataset:
        """Return the same images under another split, an array of shape (m,), uint8; both share the open file."""
        other = copy.copy(self)
        other.split = split
        return other

    def read(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Read one split into memory.

        Returns
        -------
        images : ndarray of shape (m_split, height, width, channels), uint8
        labels : ndarray of shape (m_split,), int
            In the order of the file.
        """
        rows = self.indices(split)
        return self.take(rows), self.labels[rows]

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Read the images of these indices, in their order: ndarray of shape (len(rows), height, width, channels)."""
        rows = np.asarray(rows)
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        images = np.empty((len(rows), *self.geometry.shape), dtype=np.uint8)
        for start in range(0, len(self), self._block):
            low, high = np.searchsorted(ascending, (start, start + self._block))
            if high > low:  # a block without wanted images is not read
                first, wanted = int(ascending[low]), ascending[low:high]
                images[order[low:high]] = self._images(first, int(wanted[-1]) + 1)[wanted - first]
        return images

    def iterate(self, rows: np.ndarray, size: int = 1024) -> Iterator[np.ndarray]:
        """Yield the images of these indices (ascending), at most `size` at a time."""
        for start in range(0, len(rows), size):
            yield self.take(rows[start : start + size])

    def digests(self) -> np.ndarray:
        """Return 16 bytes for each image, equal for equal pixels: ndarray of shape (m, 16), uint8."""
        found = np.empty((len(self), DIGEST_BYTES), np.uint8)
        for start, block in self.blocks():
            for i, pixels in enumerate(block, start=start):
                found[i] = np.frombuffer(digest(pixels), np.uint8)
        return found

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index of the first, images) for all images in order, a few megabytes at a time."""
        for start in range(0, len(self), self._block):
            yield start, self._images(start, start + self._block)

    def _images(self, start: int, stop: int) -> np.ndarray:
        with _intact(self.file):
            return self.images[start:stop]

    def _column(self, name: str) -> np.ndarray:
        with _intact(self.file):
            column = self.file[name]
            return read_text(column) if column.dtype.kind == "S" else column[:]

    @property
    def _block(self) -> int:
        """Return how many images are read at a time."""
        return max(1, BLOCK_BYTES // max(1, self.geometry.n_x))


@contextmanager
def _intact(file: h5py.File) -> Iterator[None]:
    """Turn the errors of reading damaged parts of a file into one message."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        if not file:
            raise  # the file is closed: a bug, not damage
        raise InputError(f"{escape(file.filename)}: is a damaged data set ({error}); ingest the images again") from None


def open_hdf5(path: str | Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises
    ------
    InputError
        If `model.storage.hdf5.open_file` rejects it.
    """
    try:
        return open_file(path)
    except FormatError as error:
        raise InputError(f"{escape(path)}: {error}") from None


def is_dataset(path: str | Path) -> bool:
    """Return whether a path is a data set file of this project (of any version)."""
    return has_format(path, FORMAT)


def refuse_other_kinds(path: str | Path) -> None:
    """Check that a path at which images are expected is no other file of Facette, nor the folder of a run.

    Raises
    ------
    InputError
        If it is; the message says which, and where the images are.
    """
    kind = own_kind(path)
    if kind and not is_dataset(path):
        data = (Path(path) if Path(path).is_dir() else Path(path).parent) / "data.h5"
        hint = f"; the images of its run are in {escape(data)}" if is_dataset(data) else ""
        raise InputError(f"{escape(path)}: is {kind}, and images are needed{hint}")


def fingerprint(file: h5py.File) -> str:
    """Return the hexadecimal SHA-256 over classes, images, labels and split of a data set file."""
    digest = hashlib.sha256(json.dumps(list(read_text(file["classes"]))).encode())
    step = max(1, BLOCK_BYTES // max(1, int(np.prod(file["images"].shape[1:]))))
    for start in range(0, len(file["images"]), step):
        digest.update(file["images"][start : start + step].tobytes())
    digest.update(file["labels"][:].astype("<i4").tobytes())
    digest.update(file["split"][:].tobytes())
    return digest.hexdigest()


def _data_config(stored: dict[str, Any]) -> DataConfig:
    """Return the configuration that a data set was made with, without fields that this version does not know."""
    names = {field.name for field in dataclasses.fields(DataConfig)}
    return DataConfig(**{name: value for name, value in stored.items() if name in names})


def _attribute(file: h5py.File, name: str) -> str:
    """Return an attribute, which must be a text."""
    value = attribute(file, name)
    if not isinstance(value, str):
        raise FormatError(f"is a damaged data set (it has no {name}); ingest the images again")
    return value


def _check(file: h5py.File) -> None:
    """Reject a file of another kind or a newer version, and one whose parts do not fit together."""
    if _COURSE & set(file):
        raise FormatError(
            "holds the arrays of the course's layout and is not a data set; make one with: "
            f" {command_line('ingest', escape(file.filename), 'OUT.h5')}"
        )
    found, version = attribute(file, "format"), attribute(file, "version")
    if found != FORMAT:
        what = f"is {FILE_KINDS.get(str(found), 'an HDF5 file of another program')}"
        raise FormatError(f"{what}, not a data set; make one with:  {command_line('ingest', 'IMAGES', 'OUT.h5')}")
    if not isinstance(version, int):
        raise TypeError("it has no version")
    if version > VERSION:
        raise FormatError(
            f"is a data set of version {version}, and this program knows versions up to {VERSION}; "
            "install a newer facette"
        )
    images, shape = file["images"], Geometry.from_json(_attribute(file, "geometry")).shape
    if images.shape[1:] != shape or images.dtype != np.uint8:
        raise ValueError(f"images of {images.dtype} {images.shape[1:]}, geometry of {shape}")
    for name, (kinds, row) in _COLUMN_TYPES.items():
        _check_column(file[name], (len(images), *row), kinds)
    codes = file["thumbnail_of"]
    _check_column(codes, codes.shape[:1], "iu")
    _check_column(file["thumbnails"], (*codes.shape, THUMBNAIL_SIDE, THUMBNAIL_SIDE), "u")
    rejected = [file["rejected"][name] for name in ("path", "code", "message")]
    for column in (file["classes"], file["kinds"], *rejected):
        _check_column(column, column.shape[:1], "S")
    _check_column(rejected[0], rejected[1].shape, "S")
    _check_column(rejected[0], rejected[2].shape, "S")
    limits = (("labels", -1, len(file["classes"])), ("split", 0, len(Split)), ("kind", 0, len(file["kinds"])))
    for name, low, high in (*limits, ("thumbnail_of", 0, len(images))):
        values = file[name][:]
        if values.size and (values.min() < low or values.max() >= high):
            raise ValueError(f"{name} beyond {high}")
    if len(set(read_text(file["classes"]))) < len(file["classes"]):
        raise ValueError("two classes have the same name")
    counts, config = json.loads(_attribute(file, "counts")), json.loads(_attribute(file, "config"))
    check_value(counts, [dict], "counts")
    check_value(config, dict, "config")
    _data_config(config)


def _check_column(column: h5py.Dataset, shape: tuple[int, ...], kinds: str) -> None:
    if column.shape != shape or column.dtype.kind not in kinds:
        raise ValueError(
            f"{column.name[1:]} has shape {column.shape} and dtype {column.dtype}; shape {shape} is needed"
        )
