"""The columns of a data set: everything about its images except their pixels, in memory and in the file.

They are small (some hundred bytes an image), so they are held in memory while the images are streamed to the file. The
thumbnails, 1 kB each, are kept in a temporary file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from model.storage.hdf5 import read_text, write_text
from pipeline.data.dataset import Dataset
from pipeline.data.division import Division, Undivided
from pipeline.data.splits import UNDIVIDED, Split
from pipeline.images.statistics import DIGEST_BYTES, MEASURES, THUMBNAIL_SIDE
from pipeline.ingestion.decoding import DecodedChunk, Rejected
from pipeline.sources.source import Sample

# Column -> (shape of a row, type).
_MEASURED: dict[str, tuple[tuple[int, ...], Any]] = {
    "sha256": ((32,), np.uint8),
    "digests": ((DIGEST_BYTES,), np.uint8),
    "sizes": ((2,), np.int32),
    "kind": ((), np.uint16),
    "measures": ((len(MEASURES),), np.float32),
    "thumbnail_of": ((), np.int32),
}
_THUMBNAILS_AT_A_TIME = 1 << 12


class Columns:
    """Everything about the images except their pixels.

    Attributes
    ----------
    samples : list of Sample
    kinds : dict of str to int
        Format and colour mode, such as ``JPEG RGB``, to its number in the column `kind`.

    Parameters
    ----------
    folder : Path, optional
        Where the thumbnails are kept; default: the system's folder for temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.samples: list[Sample] = []
        self.kinds: dict[str, int] = {}
        self._parts: dict[str, list[np.ndarray]] = {name: [] for name in _MEASURED}
        self._thumbnails = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it is closed by `close`)

    def __len__(self) -> int:
        return len(self.samples)

    def add(self, samples: Sequence[Sample], part: DecodedChunk) -> None:
        """Add rows: the samples that are images, and what decoding found out about them."""
        columns = {name: getattr(part, name) for name in ("sha256", "digests", "sizes", "measures")}
        columns["kind"] = np.array([self.kinds.setdefault(k, len(self.kinds)) for k in part.kinds.tolist()], np.uint16)
        columns["thumbnail_of"] = part.thumbnail_of + len(self)
        for name, values in columns.items():
            self._parts[name].append(values)
        for start in range(0, len(part.thumbnails), _THUMBNAILS_AT_A_TIME):  # they may be on disk
            self._thumbnails.write(part.thumbnails[start : start + _THUMBNAILS_AT_A_TIME].tobytes())
        self.samples += samples

    def column(self, name: str) -> np.ndarray:
        """Return a column: sha256, digests, sizes, kind, measures or thumbnail_of."""
        shape, dtype = _MEASURED[name]
        whole = np.concatenate([np.empty((0, *shape), dtype), *self._parts[name]]).astype(dtype, copy=False)
        self._parts[name] = [whole]
        return whole

    @property
    def thumbnails(self) -> np.ndarray:
        """Return the thumbnails of the images `thumbnail_of`: ndarray of shape (n, 32, 32), uint8, on disk."""
        shape = (len(self.column("thumbnail_of")), THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        if not shape[0]:
            return np.empty(shape, np.uint8)
        self._thumbnails.flush()
        return np.memmap(self._thumbnails, np.uint8, "r", shape=shape)

    def undivided(self, labels: np.ndarray, classes: Sequence[str]) -> Undivided:
        """Return the images, with their labels, as `pipeline.data.division.divide` takes them."""
        codes = {"": UNDIVIDED} | {split.label: split for split in Split}
        return Undivided(
            labels=labels,
            classes=classes,
            given=np.array([codes[sample.split] for sample in self.samples], dtype=np.uint8),
            keys=[sample.group for sample in self.samples],
            digests=self.column("digests"),
            thumbnail_of=self.column("thumbnail_of"),
            thumbnails=self.thumbnails,
        )

    def close(self) -> None:
        """Delete the thumbnails."""
        self._thumbnails.close()


@dataclass(frozen=True)
class Contents:
    """What a data set holds after an ingestion: the columns of its images, their labels, and their division.

    Attributes
    ----------
    columns : Columns
    labels : ndarray of shape (m,), int
        Indices of `classes`; -1 for an unlabelled image.
    classes : sequence of str
    division : Division
    """

    columns: Columns
    labels: np.ndarray
    classes: Sequence[str]
    division: Division


def read_columns(file: h5py.File, columns: Columns) -> set[tuple[str, bytes]]:
    """Add the rows of the data set that is appended to; return the path and the SHA-256 of each of its images."""
    data = Dataset(file)
    names = np.array(["", *data.classes], dtype=object)[data.labels + 1]
    splits = np.array([split.label for split in Split], dtype=object)[data.split]
    samples = [
        Sample(str(path), str(name), split, str(key))
        for path, name, split, key in zip(data.paths, names, splits, data.keys, strict=True)
    ]
    part = DecodedChunk(
        at=np.arange(len(data)),
        pixels=np.empty(0, np.uint8),
        sha256=data.sha256,
        digests=data.digests(),
        sizes=data.sizes,
        kinds=data.kinds.astype(str),
        measures=data.measures,
        thumbnail_of=file["thumbnail_of"][:],
        thumbnails=file["thumbnails"],
        rejected=np.empty((0, 3), str),
    )
    columns.add(samples, part)
    return {(sample.path, row.tobytes()) for sample, row in zip(samples, data.sha256, strict=True)}


def write_columns(file: h5py.File, contents: Contents, rejected: Sequence[Rejected], *, append: bool) -> None:
    """Write all columns; those of a data set that is appended to are replaced."""
    columns, division = contents.columns, contents.division
    rejected = list(rejected)
    if append:
        old = file["rejected"]
        rejected = [*zip(*(read_text(old[name]) for name in ("path", "code", "message")), strict=True), *rejected]
    numbers: dict[str, tuple[np.ndarray, Any]] = {
        "labels": (contents.labels, np.int32),
        "split": (division.split, np.uint8),
        "group": (division.group, np.int32),
        **{name: (columns.column(name), dtype) for name, (_, dtype) in _MEASURED.items() if name != "digests"},
        "thumbnails": (columns.thumbnails, np.uint8),
    }
    texts: dict[str, Sequence[str]] = {
        "classes": contents.classes,
        "keys": [sample.group for sample in columns.samples],
        "paths": [sample.path for sample in columns.samples],
        "kinds": list(columns.kinds),
        **{f"rejected/{n}": [row[i] for row in rejected] for i, n in enumerate(("path", "code", "message"))},
    }
    for name in (*numbers, *texts):
        if name in file:
            del file[name]
    for name, (values, dtype) in numbers.items():
        file.create_dataset(name, data=values, dtype=dtype)
    for name, text in texts.items():
        write_text(file, name, text)
