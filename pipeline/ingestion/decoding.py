"""Decode the samples of a source, a chunk at a time.

A chunk is decoded as a whole by a function of nothing but its files and the geometry, so any worker
may do it, more than once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pipeline.images.decode import fit_to_geometry, from_array, open_image
from pipeline.images.errors import ImageError
from pipeline.images.geometry import Geometry
from pipeline.images.statistics import DIGEST_BYTES, MEASURES, THUMBNAIL_SIDE, digest, measures_of, summarise
from pipeline.sources.source import Sample

SMALLEST_CHUNK, LARGEST_CHUNK = 8, 256  # images; fewer if they are large
CHUNKS_TO_SHARE = 64

_CHUNK_BYTES = 1 << 26

Rejected = tuple[str, str, str]  # path, code, message


class SampleChunk(NamedTuple):
    """Consecutive samples that are decoded as a whole."""

    number: int
    samples: Sequence[Sample]

    def __str__(self) -> str:
        return self.samples[0].path


def chunks(samples: Sequence[Sample], geometry: Geometry) -> Iterator[SampleChunk]:
    """Cut a source into chunks: large ones, which cost least, or smaller ones if they would be too few to share."""
    size = SMALLEST_CHUNK
    while size < LARGEST_CHUNK and 2 * size * CHUNKS_TO_SHARE <= len(samples):
        size *= 2
    size = max(1, min(size, _CHUNK_BYTES // geometry.n_x))
    for number, start in enumerate(range(0, len(samples), size)):
        yield SampleChunk(number, samples[start : start + size])


@dataclass(frozen=True)
class DecodedChunk:
    """What became of consecutive samples, a column for each fact.

    Attributes
    ----------
    at : ndarray of shape (n,), int
        Indices of the samples that are images, ascending; all other columns are about these.
    pixels : ndarray of shape (n, height, width, channels), uint8
    sha256 : ndarray of shape (n, 32), uint8
        Hash of the file's bytes.
    digests : ndarray of shape (n, 16), uint8
        Hash of the pixels.
    sizes : ndarray of shape (n, 2), int32
        Height and width of the file's image.
    kinds : ndarray of shape (n,), str
        Format and colour mode, such as ``JPEG RGB``.
    measures : ndarray of shape (n, 5), float32
    thumbnail_of : ndarray of shape (k,), int
        Which of the n images have a thumbnail, ascending.
    thumbnails : ndarray of shape (k, 32, 32), uint8
    rejected : ndarray of shape (r, 3), str
        Path, code and message of the samples that are no images.
    """

    at: np.ndarray
    pixels: np.ndarray
    sha256: np.ndarray
    digests: np.ndarray
    sizes: np.ndarray
    kinds: np.ndarray
    measures: np.ndarray
    thumbnail_of: np.ndarray
    thumbnails: np.ndarray
    rejected: np.ndarray

    @property
    def found(self) -> int:
        """Number of samples, images or not."""
        return len(self.at) + len(self.rejected)


def select(decoded: DecodedChunk, wanted: np.ndarray) -> DecodedChunk:
    """Keep only some images; `wanted` is of shape (n,), bool."""
    new_index = np.cumsum(wanted) - 1
    has_thumbnail = wanted[decoded.thumbnail_of]
    columns = ("at", "pixels", "sha256", "digests", "sizes", "kinds", "measures")
    return replace(
        decoded,
        **{name: getattr(decoded, name)[wanted] for name in columns},
        thumbnail_of=new_index[decoded.thumbnail_of[has_thumbnail]],
        thumbnails=decoded.thumbnails[has_thumbnail],
    )


def decode_chunk(
    read: Callable[[Sample], bytes | np.ndarray], geometry: Geometry, max_pixels: int, chunk: SampleChunk
) -> DecodedChunk:
    """Decode a chunk in this thread; see `pipeline.sources.source.Source` for `read`."""
    at, pixels, sha256, digests, sizes, kinds, summaries = [], [], [], [], [], [], []
    rejected: list[Rejected] = []
    for i, sample in enumerate(chunk.samples):
        try:
            data = read(sample)
            if isinstance(data, bytes):
                decoded = open_image(data, max_pixels=max_pixels, draft=geometry, scale=geometry.scale)
                image, size, frame = decoded.image, decoded.size, decoded.frame
                kind = f"{decoded.format} {decoded.mode}"
            else:
                image, frame = from_array(data, geometry.scale), None
                size = (image.height, image.width)
                kind, data = f"array {image.mode}", data.tobytes()
        except ImageError as error:
            rejected.append((sample.path, error.code, str(error)))
            continue
        rendered = fit_to_geometry(image, geometry, frame)
        at.append(i)
        pixels.append(rendered)
        sha256.append(hashlib.sha256(data).digest())
        digests.append(digest(rendered))
        sizes.append(size)
        kinds.append(kind)
        is_whole = (
            image.size == (geometry.width, geometry.height) and image.mode == ("L", "RGB")[geometry.channels == 3]
        )
        summaries.append(summarise(image, size, rendered if is_whole else None))
    large = [i for i, found in enumerate(summaries) if found.thumbnail is not None]
    return DecodedChunk(
        at=np.array(at, np.int32),
        pixels=np.array(pixels, np.uint8).reshape(-1, *geometry.shape),
        sha256=np.frombuffer(b"".join(sha256), np.uint8).reshape(-1, 32),
        digests=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES),
        sizes=np.array(sizes, np.int32).reshape(-1, 2),
        kinds=np.array(kinds, str),
        measures=measures_of(summaries).reshape(-1, len(MEASURES)),
        thumbnail_of=np.array(large, np.int32),
        thumbnails=np.array([summaries[i].thumbnail for i in large], np.uint8).reshape(
            -1, THUMBNAIL_SIDE, THUMBNAIL_SIDE
        ),
        rejected=np.array(rejected, str).reshape(-1, 3),
    )
