"""The table of a data set: everything about its pictures but their pixels, in memory and in the file.

It is small (about 1 kB a picture, most of it the thumbnail), so it is kept whole while the pictures are streamed by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from model.hdf5 import read_text, write_text
from pipeline.dataset import Dataset
from pipeline.division import Division
from pipeline.looks import MEASURES, THUMBNAIL_SIDE, Look
from pipeline.samples import Sample
from pipeline.split import SPLITS

DIGEST_BYTES = 16
Rejected = tuple[str, str, str]  # path, code, message


@dataclass(frozen=True)
class Row:
    """One decoded picture, on its way into the file."""

    sample: Sample
    pixels: np.ndarray
    sha256: bytes
    size: tuple[int, int]
    kind: str
    look: Look


@dataclass
class Table:
    """Everything about the pictures but their pixels, a list a column: small enough to stay in memory."""

    samples: list[Sample] = field(default_factory=list)
    sha256: list[bytes] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    measures: list[tuple[float, ...]] = field(default_factory=list)
    thumbnails: dict[int, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.samples)

    def add(self, row: Row) -> None:
        if row.look.thumbnail is not None:
            self.thumbnails[len(self)] = row.look.thumbnail
        self.samples.append(row.sample)
        self.sha256.append(row.sha256)
        self.digests.append(digest(row.pixels))
        self.sizes.append(row.size)
        self.kinds.append(row.kind)
        self.measures.append(tuple(getattr(row.look, name) for name in MEASURES))


def digest(pixels: np.ndarray) -> bytes:
    """Return 16 bytes that are equal where pixels are."""
    return hashlib.blake2b(pixels.tobytes(), digest_size=DIGEST_BYTES).digest()


def read_table(file: h5py.File) -> tuple[Table, set[tuple[str, bytes]]]:
    """Return the rows of the data set that is appended to, and what of the source must not come in again."""
    data = Dataset(file)
    names = np.array(["", *data.classes], dtype=object)[data.labels + 1]
    table = Table(
        samples=[
            Sample(str(path), str(name), SPLITS[split], str(key))
            for path, name, split, key in zip(data.paths, names, data.split, data.keys, strict=True)
        ],
        sha256=[row.tobytes() for row in data.sha256],
        sizes=[(int(height), int(width)) for height, width in data.sizes],
        kinds=[str(kind) for kind in data.kinds],
        measures=[tuple(row) for row in data.measures.tolist()],
        thumbnails=data.thumbnails(),
    )
    for _, block in data.blocks():
        table.digests += [digest(pixels) for pixels in block]
    return table, {(sample.path, sha256) for sample, sha256 in zip(table.samples, table.sha256, strict=True)}


def write_table(
    file: h5py.File,
    table: Table,
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
    names, codes = np.unique(np.array(table.kinds, dtype=str), return_inverse=True)
    numbers: dict[str, tuple[np.ndarray, Any]] = {
        "labels": (labels, np.int32),
        "split": (division.split, np.uint8),
        "group": (division.group, np.int32),
        "sha256": (np.frombuffer(b"".join(table.sha256), dtype=np.uint8).reshape(-1, 32), np.uint8),
        "sizes": (np.array(table.sizes).reshape(-1, 2), np.int32),
        "kind": (codes, np.uint16),
        "measures": (np.array(table.measures).reshape(-1, len(MEASURES)), np.float32),
        "thumbnails": (_stack(table.thumbnails), np.uint8),
        "thumbnail_of": (np.array(list(table.thumbnails), dtype=np.int32), np.int32),
    }
    texts: dict[str, Sequence[str]] = {
        "classes": classes,
        "keys": [sample.group for sample in table.samples],
        "paths": [sample.path for sample in table.samples],
        "kinds": names.tolist(),
        **{f"rejected/{n}": [row[i] for row in rejected] for i, n in enumerate(("path", "code", "message"))},
    }
    for name in (*numbers, *texts):
        if name in file:
            del file[name]
    for name, (values, dtype) in numbers.items():
        file.create_dataset(name, data=values, dtype=dtype)
    for name, column in texts.items():
        write_text(file, name, column)


def _stack(thumbnails: dict[int, np.ndarray]) -> np.ndarray:
    if not thumbnails:
        return np.empty((0, THUMBNAIL_SIDE, THUMBNAIL_SIDE), dtype=np.uint8)
    return np.stack(list(thumbnails.values()))
