"""The table of a data set: everything about its images but their pixels, in memory and in the file.

It is small (some hundred bytes an image), so it is kept whole while the images are streamed by. The thumbnails, 1 kB
each, wait in a file without a name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from model.storage.hdf5 import read_text, write_text
from pipeline.data.dataset import Dataset
from pipeline.data.grouping import Division
from pipeline.data.splits import SPLITS
from pipeline.images.statistics import DIGEST_BYTES, MEASURES, THUMBNAIL_SIDE
from pipeline.ingestion.decoding import DecodedChunk, Rejected
from pipeline.sources.source import Sample

# Column -> (shape of a row, type).
_COLUMNS: dict[str, tuple[tuple[int, ...], Any]] = {
    "sha256": ((32,), np.uint8),
    "digests": ((DIGEST_BYTES,), np.uint8),
    "sizes": ((2,), np.int32),
    "kind": ((), np.uint16),
    "measures": ((len(MEASURES),), np.float32),
    "thumbnail_of": ((), np.int32),
}
_THUMBNAILS_AT_A_TIME = 1 << 12


class Columns:
    """Everything about the images but their pixels.

    Attributes
    ----------
    samples : list of Sample
    kinds : dict of str to int
        Format and colour mode, such as ``JPEG RGB``, and its number.

    Parameters
    ----------
    folder : Path, optional
        Where the thumbnails wait; default: the system's place for temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.samples: list[Sample] = []
        self.kinds: dict[str, int] = {}
        self._parts: dict[str, list[np.ndarray]] = {name: [] for name in _COLUMNS}
        self._thumbnails = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it lives as long as the table)

    def __len__(self) -> int:
        return len(self.samples)

    def add(self, samples: Sequence[Sample], part: DecodedChunk) -> None:
        """Add rows; the samples are those of the part that are images."""
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
        shape, dtype = _COLUMNS[name]
        whole = np.concatenate([np.empty((0, *shape), dtype), *self._parts[name]]).astype(dtype, copy=False)
        self._parts[name] = [whole]
        return whole

    @property
    def thumbnails(self) -> np.ndarray:
        """Return those of the images `thumbnail_of`: ndarray of shape (n, 32, 32), uint8, on disk."""
        shape = (len(self.column("thumbnail_of")), THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        if not shape[0]:
            return np.empty(shape, np.uint8)
        self._thumbnails.flush()
        return np.memmap(self._thumbnails, np.uint8, "r", shape=shape)

    def close(self) -> None:
        """Let go of the thumbnails."""
        self._thumbnails.close()


def read_columns(file: h5py.File, table: Columns) -> set[tuple[str, bytes]]:
    """Add the rows of the data set that is appended to; return what of the source must not come in again."""
    data = Dataset(file)
    names = np.array(["", *data.classes], dtype=object)[data.labels + 1]
    samples = [
        Sample(str(path), str(name), SPLITS[split], str(key))
        for path, name, split, key in zip(data.paths, names, data.split, data.keys, strict=True)
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
    table.add(samples, part)
    return {(sample.path, row.tobytes()) for sample, row in zip(samples, data.sha256, strict=True)}


def write_columns(
    file: h5py.File,
    table: Columns,
    classes: Sequence[str],
    labels: np.ndarray,
    division: Division,
    rejected: Sequence[Rejected],
    append: bool,
) -> None:
    """Write all columns; those of a data set that is appended to are replaced."""
    rejected = list(rejected)
    if append:
        old = file["rejected"]
        rejected = [*zip(*(read_text(old[name]) for name in ("path", "code", "message")), strict=True), *rejected]
    numbers: dict[str, tuple[np.ndarray, Any]] = {
        "labels": (labels, np.int32),
        "split": (division.split, np.uint8),
        "group": (division.group, np.int32),
        **{name: (table.column(name), dtype) for name, (_, dtype) in _COLUMNS.items() if name != "digests"},
        "thumbnails": (table.thumbnails, np.uint8),
    }
    texts: dict[str, Sequence[str]] = {
        "classes": classes,
        "keys": [sample.group for sample in table.samples],
        "paths": [sample.path for sample in table.samples],
        "kinds": list(table.kinds),
        **{f"rejected/{n}": [row[i] for row in rejected] for i, n in enumerate(("path", "code", "message"))},
    }
    for name in (*numbers, *texts):
        if name in file:
            del file[name]
    for name, (values, dtype) in numbers.items():
        file.create_dataset(name, data=values, dtype=dtype)
    for name, column in texts.items():
        write_text(file, name, column)
