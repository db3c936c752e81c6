"""What a picture looks like at first sight: a few numbers for the audit, and a thumbnail for finding near duplicates.

All are taken from the whole picture, made gray and shrunk to at most `LOOK_SIDE` pixels, before it is cut to a
geometry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

LOOK_SIDE = 256
THUMBNAIL_SIDE = 32
SHORTEST_SIDE = 64  # of pictures that get a thumbnail: smaller ones are too alike (see `pipeline.duplicates`)
MEASURES = ("brightness", "contrast", "entropy", "sharpness", "colorfulness")
_COLOR_SIDE = 64
_TOGETHER = 1 << 12  # pixels: smaller pictures are measured several at a time


class Look(NamedTuple):
    """Numbers about one picture.

    `brightness` is the mean gray, 0 to 255; `contrast` the standard deviation of gray; `entropy` that of the gray
    histogram, 0 to 8 bits; `sharpness` the variance of the Laplacian over the variance of gray, which blurring lowers
    and contrast leaves alone; `colorfulness` the mean difference of the largest and the least of R, G and B at
    `_COLOR_SIDE` pixels, 0 for gray content. `thumbnail` is an array of shape (32, 32), uint8, or None for a small
    picture.
    """

    brightness: float
    contrast: float
    entropy: float
    sharpness: float
    colorfulness: float
    thumbnail: np.ndarray | None


class Glance(NamedTuple):
    """What has to be kept of a picture to measure it later, together with others: `gray` is (h, w), uint8."""

    gray: np.ndarray
    entropy: float
    color: np.ndarray | None
    thumbnail: np.ndarray | None


def glance(image: Image.Image, size: tuple[int, int] | None = None) -> Glance:
    """Take of a picture of mode L or RGB what `measure` needs; `size` is that of its file, if it was shrunk already."""
    small = min(size or image.size) < SHORTEST_SIDE
    factor = -(-max(image.size) // LOOK_SIDE)
    image = image.reduce(factor) if factor > 1 else image
    color = None
    if image.mode == "RGB":
        factor = -(-max(image.size) // _COLOR_SIDE)
        color = np.asarray(image.reduce(factor) if factor > 1 else image)
        image = image.convert("L")
    thumbnail = None
    if not small:
        thumbnail = np.asarray(image.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX))
    return Glance(np.asarray(image), image.entropy(), color, thumbnail)


def measure(glances: Sequence[Glance]) -> np.ndarray:
    """Return the `MEASURES` of some pictures: ndarray of shape (n, 5), float32."""
    measures = np.zeros((len(glances), len(MEASURES)), np.float32)
    measures[:, 2] = [found.entropy for found in glances]
    for rows in _of_one_shape({i: found.gray for i, found in enumerate(glances)}):
        gray = np.stack([glances[i].gray for i in rows]).astype(np.float32)
        mean = gray.mean(axis=(1, 2))
        gray -= mean[:, None, None]
        variance = _mean_square(gray)
        measures[rows, 0], measures[rows, 1] = mean, np.sqrt(variance)
        if min(gray.shape[1:]) >= 3:
            laplacian = gray[:, :-2, 1:-1] + gray[:, 2:, 1:-1]
            laplacian += gray[:, 1:-1, :-2]
            laplacian += gray[:, 1:-1, 2:]
            laplacian -= 4 * gray[:, 1:-1, 1:-1]
            roughness = _mean_square(laplacian) - laplacian.mean(axis=(1, 2)) ** 2
            measures[rows, 3] = np.divide(roughness, variance, out=np.zeros_like(variance), where=variance > 0)
    colors = {i: found.color for i, found in enumerate(glances) if found.color is not None}
    for rows in _of_one_shape(colors):
        color = np.stack([colors[i] for i in rows])
        red, green, blue = (color[..., c] for c in range(3))
        most, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
        measures[rows, 4] = (most - least).mean(axis=(1, 2), dtype=np.float32)
    return measures


def look_at(image: Image.Image) -> Look:
    """Take a first look at a picture of mode L or RGB."""
    found = glance(image)
    numbers = dict(zip(MEASURES, measure([found])[0].tolist(), strict=True))
    return Look(**numbers, thumbnail=found.thumbnail)


def _of_one_shape(arrays: dict[int, np.ndarray]) -> list[list[int]]:
    """Return the keys of small arrays of equal shape together, and those of large ones one by one."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, array in arrays.items():
        shape = array.shape if array.shape[0] * array.shape[1] <= _TOGETHER else (i,)
        groups.setdefault(shape, []).append(i)
    return list(groups.values())


def _mean_square(values: np.ndarray) -> np.ndarray:
    return np.einsum("kij,kij->k", values, values) / np.float32(values[0].size)
