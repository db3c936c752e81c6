"""Read and decode what is to be classified: every item becomes an image or an error."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier import ImageArray
from pipeline.errors import InputError
from pipeline.files.stamps import Stamp, stamp_of
from pipeline.images.decode import ImageError, decode_image, fit_to_geometry, from_array, read_bytes
from pipeline.images.geometry import Geometry
from pipeline.prediction.inputs import DatasetSlice, Item, open_container
from pipeline.sources.source import Sample


class Loaded(NamedTuple):
    """A batch that was read: its good images (k, height, width, channels), and as `Rows` has it the rest."""

    images: ImageArray
    errors: dict[int, tuple[str, str]]
    digests: NDArray[np.bytes_]
    stamps: list[Stamp]


def load_items(items: Sequence[Item], geometry: Geometry) -> Loaded:
    """Read and decode a batch of items."""
    stamps = stamps_of(items)  # before reading: a file that changes meanwhile shows next time
    found = [load_item(item, geometry) for item in items]
    images = [image for image, _, _ in found if image is not None]
    stacked = np.stack(images) if images else np.empty((0, *geometry.shape), np.uint8)
    errors = {i: (error.code, str(error)) for i, (_, _, error) in enumerate(found) if error}
    return Loaded(stacked, errors, np.array([digest.encode() for _, digest, _ in found], "S64"), stamps)


def load_slice(run: DatasetSlice, geometry: Geometry) -> Loaded:
    """Read the images of a data set that follow one another."""
    stamp = stamp_of(run.path)
    images: ImageArray = run  # the classifier reads some at a time
    if run.data.geometry != geometry:
        images = np.stack([fit_to_geometry(from_array(image), geometry) for image in np.asarray(run)])
    return Loaded(images, {}, run.digests(), [stamp])


def load_item(item: Item, geometry: Geometry) -> tuple[NDArray[np.uint8] | None, str, ImageError | None]:
    """Return the image of an item (or None), the SHA-256 of its bytes, and what is wrong with it (or None)."""
    digest = ""
    try:
        data = read_item(item)
        if isinstance(data, bytes):
            digest = hashlib.sha256(data).hexdigest()
            return decode_image(data, geometry), digest, None
        digest = hashlib.sha256(data.tobytes()).hexdigest()
        return fit_to_geometry(from_array(data), geometry), digest, None
    except ImageError as error:
        return None, digest, error
    except MemoryError:
        return None, digest, ImageError("too_large", "does not fit in memory")


def digest_of(item: Item) -> str:
    """Return the SHA-256 of an item's image file, without decoding it.

    Raises
    ------
    ImageError
        When it cannot be read.
    """
    data = read_item(item)
    return hashlib.sha256(data if isinstance(data, bytes) else data.tobytes()).hexdigest()


def read_item(item: Item) -> bytes | NDArray[np.uint8]:
    """Return the bytes of an item's image file, or its image as an array (from a file of arrays).

    Raises
    ------
    ImageError
    """
    if item.refused:
        raise ImageError(*item.refused)
    if item.key is None:
        return read_bytes(item.path)
    try:
        return open_container(str(item.path)).read(Sample(item.name, key=item.key))
    except InputError as error:  # it was there when the items were listed
        raise ImageError("io_error", str(error)) from None


def stamps_of(items: Iterable[Item]) -> list[Stamp]:
    """Return the stamp of each item's file."""
    stamps: list[Stamp] = []
    before: Path | None = None
    for item in items:
        stamps.append(stamps[-1] if item.path is before else stamp_of(item.path))
        before = item.path
    return stamps
