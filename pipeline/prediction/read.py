"""Read and decode what is to be classified: each item becomes an image or an error."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier import ImageArray
from pipeline.errors import InputError
from pipeline.files.stamps import Stamp, stamp_of
from pipeline.images.decode import decode_image, fit_to_geometry, from_array, read_bytes
from pipeline.images.errors import ImageError
from pipeline.images.geometry import MAX_PIXELS, Geometry
from pipeline.prediction.inputs import DatasetSlice, Item, open_container
from pipeline.sources.source import Sample


class Loaded(NamedTuple):
    """A batch that was read.

    Attributes
    ----------
    images : ndarray of shape (k, height, width, channels), uint8, or ImageArray
        The k images that could be read.
    errors : dict of int to (code, message)
        What is wrong with the others, by their index in the batch.
    digests : ndarray of shape (m,), bytes
        SHA-256 of each file in hexadecimal digits; empty if it could not be read.
    stamps : list of Stamp
        Stamp of each file; of a data set, its stamp alone.
    """

    images: ImageArray
    errors: dict[int, tuple[str, str]]
    digests: NDArray[np.bytes_]
    stamps: list[Stamp]


LoadedImage = tuple[NDArray[np.uint8] | None, str, ImageError | None]  # image, SHA-256 of its bytes, what is wrong


def load_items(items: Sequence[Item], geometry: Geometry) -> Loaded:
    """Read and decode a batch of items."""
    stamps = stamps_of(items)  # before reading: a file that changes meanwhile shows next time
    return stacked([load_item(item, geometry) for item in items], geometry, stamps)


def stacked(found: Sequence[LoadedImage], geometry: Geometry, stamps: list[Stamp]) -> Loaded:
    """Put images that were read one by one together."""
    images = [image for image, _, _ in found if image is not None]
    pixels = np.stack(images) if images else np.empty((0, *geometry.shape), np.uint8)
    errors = {i: (error.code, str(error)) for i, (_, _, error) in enumerate(found) if error}
    return Loaded(pixels, errors, np.array([digest.encode() for _, digest, _ in found], "S64"), stamps)


def load_slice(items: DatasetSlice, geometry: Geometry) -> Loaded:
    """Read consecutive images of a data set; if they have the model's geometry, the classifier reads them later."""
    stamp = stamp_of(items.path)
    images: ImageArray = items
    if items.data.geometry != geometry:
        images = np.stack([fit_to_geometry(from_array(image), geometry) for image in items.images()])
    return Loaded(images, {}, items.digests(), [stamp])


def load_item(item: Item, geometry: Geometry) -> LoadedImage:
    """Read and decode one item."""
    return load_image(lambda: read_item(item), geometry)


def load_image(
    read: Callable[[], bytes | NDArray[np.uint8]], geometry: Geometry, max_pixels: int = MAX_PIXELS
) -> LoadedImage:
    """Decode the bytes, or fit the array, that `read` returns; an `ImageError` that it raises is part of the result."""
    digest = ""
    try:
        data = read()
        if isinstance(data, bytes):
            digest = hashlib.sha256(data).hexdigest()
            return decode_image(data, geometry, max_pixels=max_pixels), digest, None
        digest = hashlib.sha256(data.tobytes()).hexdigest()
        return fit_to_geometry(from_array(data, geometry.scale), geometry), digest, None
    except ImageError as error:
        return None, digest, error
    except MemoryError:
        return None, digest, ImageError("too_large", "does not fit in memory")


def digest_of(item: Item) -> str:
    """Return the SHA-256 of an item's image file, without decoding it.

    Raises
    ------
    ImageError
        If it cannot be read.
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
