"""A sample and a source of samples: what every kind of source becomes when it is opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pipeline.files.lookup import why_missing
from pipeline.files.stamps import Stamp, stamp_of
from pipeline.images.decode import read_bytes
from pipeline.images.errors import ImageError


class Sample(NamedTuple):
    """One image of a source, before it is read.

    Attributes
    ----------
    path : str
        As it is recorded in the data set.
    label, split, group : str
        What the source says about it; empty if it says nothing.
    key : str or int
        What finds it in the source.
    """

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
        try:
            return read_bytes(os.path.join(self.root, str(sample.key)))  # noqa: PTH118 (half the time of a Path)
        except ImageError as error:
            if error.code != "not_found":
                raise
            raise ImageError(error.code, why_missing(str(sample.key))) from None

    def stamp(self, sample: Sample) -> Stamp:
        """Return the size and modification time of a file."""
        return stamp_of(os.path.join(self.root, str(sample.key)))  # noqa: PTH118


@dataclass(frozen=True)
class Source:
    """Samples in a fixed order, and how to read one.

    Attributes
    ----------
    kind, location : str
    samples : sequence of Sample
    read : callable
        Returns the bytes of an image file, or the image as an array of shape (height, width, channels) of numbers. It
        raises `ImageError`, and is called from several threads. If the images are files, it can be pickled.
    check_values : callable
        Takes the value of white (0: by the type) before anything is read from arrays, and returns notes for the user.
        It raises `InputError` if not all values of the arrays can be pixels, see `pipeline.images.values`.
    stamp : callable or None
        Returns size and modification time of a sample's file; None if the images are not files.
    ignored : mapping of str to int
        How many files were skipped, by reason.
    rejected : sequence of (path, code, message)
        Files that were found, but cannot be read at all.
    classes : tuple of str
        The class names in their order, if the source defines one; otherwise they are sorted.
    columns : tuple of str
        The columns of a manifest.
    notes : tuple of str
        What a user should know about how the source was understood.
    """

    kind: str
    location: str
    samples: Sequence[Sample]
    read: Callable[[Sample], bytes | np.ndarray]
    check_values: Callable[[float], tuple[str, ...]] = lambda scale: ()
    stamp: Callable[[Sample], Stamp] | None = None
    ignored: Mapping[str, int] = field(default_factory=dict)
    rejected: Sequence[tuple[str, str, str]] = ()
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ready_made(self) -> bool:
        """Return whether any sample comes with a split of its own."""
        return any(sample.split for sample in self.samples)
