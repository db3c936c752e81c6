"""What a picture looks like at first sight: a few numbers for the audit, and a thumbnail for finding near duplicates.

All are taken from the whole picture, made gray and shrunk to at most `LOOK_SIDE` pixels, before it is cut to a
geometry.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageStat

LOOK_SIDE = 256
THUMBNAIL_SIDE = 32
SHORTEST_SIDE = 64  # of pictures that get a thumbnail: smaller ones are too alike (see `pipeline.duplicates`)
MEASURES = ("brightness", "contrast", "entropy", "sharpness", "colorfulness")


class Look(NamedTuple):
    """Numbers about one picture.

    `brightness` is the mean gray, 0 to 255; `contrast` the standard deviation of gray; `entropy` that of the gray
    histogram, 0 to 8 bits; `sharpness` the variance of the Laplacian over the variance of gray, which blurring lowers
    and contrast leaves alone; `colorfulness` the mean difference of the largest and the least of R, G and B, 0 for gray
    content. `thumbnail` is an array of shape (32, 32), uint8, or None for a small picture.
    """

    brightness: float
    contrast: float
    entropy: float
    sharpness: float
    colorfulness: float
    thumbnail: np.ndarray | None


def look_at(image: Image.Image) -> Look:
    """Take a first look at a picture of mode L or RGB."""
    small = min(image.size) < SHORTEST_SIDE
    factor = -(-max(image.size) // LOOK_SIDE)
    image = image.reduce(factor) if factor > 1 else image
    colorfulness = _colorfulness(image)
    image = image.convert("L")
    gray = np.asarray(image, dtype=np.float32)
    variance = float(gray.var())
    thumbnail = None
    if not small:
        thumbnail = np.asarray(image.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX))
    return Look(
        brightness=float(gray.mean()),
        contrast=variance**0.5,
        entropy=image.entropy(),
        sharpness=_sharpness(gray, variance),
        colorfulness=colorfulness,
        thumbnail=thumbnail,
    )


def _colorfulness(image: Image.Image) -> float:
    if image.mode != "RGB":
        return 0.0
    red, green, blue = image.split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    least = ImageChops.darker(ImageChops.darker(red, green), blue)
    return ImageStat.Stat(ImageChops.subtract(most, least)).mean[0]


def _sharpness(gray: np.ndarray, variance: float) -> float:
    if min(gray.shape) < 3 or variance == 0:
        return 0.0
    laplacian = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:] - 4 * gray[1:-1, 1:-1]
    return float(laplacian.var()) / variance
