"""A sample and a source of samples: what every kind of source is turned into, and how folders become labels.

To add a source, write a function that opens it and returns a `Source`, and a line in the table of
`pipeline.sources.open`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pipeline.files.stamps import Stamp, stamp_of
from pipeline.images.decode import read_bytes


class Sample(NamedTuple):
    """One image to be: its path as recorded, its label and given split (empty where there is none), and its key."""

    path: str
    label: str = ""
    split: str = ""
    group: str = ""
    key: str | int = ""


@dataclass(frozen=True)
class Files:
    """Read samples that are files below a folder; their keys are relative to it."""

    root: str

    def __call__(self, sample: Sample) -> bytes:
        """Return the bytes of an image file."""
        return read_bytes(os.path.join(self.root, str(sample.key)))  # noqa: PTH118 (half the time of a Path)

    def stamp(self, sample: Sample) -> Stamp:
        """Return the size and the time of change of a file."""
        return stamp_of(os.path.join(self.root, str(sample.key)))  # noqa: PTH118


@dataclass(frozen=True)
class Source:
    """Samples in a fixed order, and how to read one.

    `read` returns the bytes of an image file, or the image itself as an array of shape (height, width, channels),
    uint8; it raises `ImageError`, and is called from several threads. Where the images are files, it can be
    pickled, for other machines, and `stamp` tells by size and time when such a file has changed. `ignored` counts what
    was passed over, by reason; `rejected` holds (path, code, message) of what was found but cannot even be tried.
    `classes` fixes the order of the class names where the source has one of its own; else they are sorted. `columns`
    are those of a manifest.
    """

    kind: str
    location: str
    samples: Sequence[Sample]
    read: Callable[[Sample], bytes | np.ndarray]
    stamp: Callable[[Sample], Stamp] | None = None
    ignored: Mapping[str, int] = field(default_factory=dict)
    rejected: Sequence[tuple[str, str, str]] = ()
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ready_made(self) -> bool:
        """Tell whether any sample comes with a split of its own."""
        return any(sample.split for sample in self.samples)
