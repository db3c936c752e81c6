"""What an image looks like at first sight: a few numbers for the audit, and a thumbnail for finding near duplicates.

All are taken from the whole image, made gray and shrunk to at most `LOOK_SIDE` pixels, before it is cut to a
geometry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.images.decode import pixels_of

LOOK_SIDE = 256
THUMBNAIL_SIDE = 32
SHORTEST_SIDE = 64  # of images that get a thumbnail: smaller ones are too alike (see `pipeline.data.duplicates`)
# Brightness is the mean gray, 0 to 255; contrast the standard deviation of gray; entropy that of the gray histogram, 0
# to 8 bits; sharpness the variance of the Laplacian over the variance of gray, which blurring lowers and contrast
# leaves alone; colorfulness the mean difference of the largest and the least of R, G and B at `_COLOR_SIDE` pixels.
MEASURES = ("brightness", "contrast", "entropy", "sharpness", "colorfulness")
_COLOR_SIDE = 64


class ImageSummary(NamedTuple):
    """What has to be kept of an image to measure it later, together with others.

    `gray` is (h, w), `color` (h, w, 3) or None, both uint8. Of a small image, the histogram (and gray, where it is in
    colour) are made later, of many at a time.
    """

    gray: np.ndarray | None
    color: np.ndarray | None
    histogram: list[int] | None = None
    thumbnail: np.ndarray | None = None


def summarise(
    image: Image.Image, size: tuple[int, int] | None = None, pixels: np.ndarray | None = None
) -> ImageSummary:
    """Take of an image of mode L or RGB what `measures_of` needs.

    Parameters
    ----------
    image : Image
    size : (height, width), optional
        Of its file, where the image was shrunk already.
    pixels : ndarray of shape (height, width, 1 or 3), uint8, optional
        The image as an array, if there is one already.
    """
    if max(image.size) <= _COLOR_SIDE and min(size or image.size) < SHORTEST_SIDE:
        pixels = pixels_of(image) if pixels is None else pixels
        pixels = pixels[..., 0] if pixels.shape[2:] == (1,) else pixels
        return ImageSummary(pixels, None) if image.mode == "L" else ImageSummary(None, pixels)
    factor = -(-max(image.size) // LOOK_SIDE)
    image = image.reduce(factor) if factor > 1 else image
    color = None
    if image.mode == "RGB":
        factor = -(-max(image.size) // _COLOR_SIDE)
        color = pixels_of(image.reduce(factor) if factor > 1 else image)
        image = image.convert("L")
    thumbnail = None
    if min(size or image.size) >= SHORTEST_SIDE:
        thumbnail = pixels_of(image.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX))
    return ImageSummary(pixels_of(image), color, image.histogram(), thumbnail)


def measures_of(summaries: Sequence[ImageSummary]) -> np.ndarray:
    """Return the `MEASURES` of some images: ndarray of shape (n, 5), float32."""
    n = len(summaries)
    counts, roughness, colorfulness = np.zeros((n, 256), np.int64), np.zeros(n), np.zeros(n)
    for rows in _alike(summaries):
        color = _stack([summaries[i].color for i in rows])
        gray = _stack([summaries[i].gray for i in rows])
        if gray is None:
            assert color is not None
            gray = _luma(color)
        known = summaries[rows[0]].histogram
        counts[rows] = _histograms(gray) if known is None else known
        roughness[rows] = _roughness(gray)
        if color is not None:
            red, green, blue = np.ascontiguousarray(np.moveaxis(color, -1, 0))
            most, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
            colorfulness[rows] = (most - least).mean(axis=(1, 2), dtype=np.float32)
    mean, variance, entropy = _light(counts)
    sharpness = np.divide(roughness, variance, out=np.zeros(n), where=variance > 0)
    return np.stack([mean, np.sqrt(variance), entropy, sharpness, colorfulness], axis=1).astype(np.float32)


def _alike(summaries: Sequence[ImageSummary]) -> list[list[int]]:
    """Return the places of small images of one kind and shape together, and those of large ones one by one."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, (gray, color, histogram, _) in enumerate(summaries):
        key = (gray is not None and gray.shape, color is not None and color.shape) if histogram is None else (i,)
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def _stack(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return arrays of one shape as one, where there are any."""
    found = [array for array in arrays if array is not None]
    return (np.stack(found) if len(found) > 1 else found[0][None]) if found else None


def _luma(color: np.ndarray) -> np.ndarray:
    """Return (k, h, w) gray, ITU-R 601-2, rounded as Pillow does."""
    red, green, blue = np.moveaxis(color, -1, 0).astype(np.uint32)
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)


def _histograms(gray: np.ndarray) -> np.ndarray:
    """Return how often each of k images has each value: ndarray of shape (k, 256), int."""
    k = len(gray)
    codes = gray.reshape(k, -1) + 256 * np.arange(k)[:, None]
    return np.bincount(codes.ravel(), minlength=256 * k).reshape(k, 256)


def _light(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (k,) mean, variance and entropy in bits of values that occur so often: (k, 256)."""
    share = counts / counts.sum(axis=1, keepdims=True)
    values = np.arange(256.0)
    mean = share @ values
    variance = np.maximum(share @ values**2 - mean**2, 0)
    return mean, variance, -(share * np.log2(share, out=np.zeros_like(share), where=share > 0)).sum(axis=1)


def _roughness(gray: np.ndarray) -> np.ndarray:
    """Return the variance of the Laplacian of each of k images, (k, h, w): ndarray of shape (k,)."""
    k, h, w = gray.shape
    if min(h, w) < 3:
        return np.zeros(k)
    wide = gray.ravel().astype(np.int16)
    # All images as one row of pixels, which is quickest; what is wrong then, at their borders, is left out.
    laplacian = np.empty_like(wide)
    inner = laplacian[w:-w]
    np.multiply(wide[w:-w], np.int16(-4), out=inner)
    for neighbour in (wide[: -2 * w], wide[2 * w :], wide[w - 1 : -w - 1], wide[w + 1 : len(wide) - w + 1]):
        inner += neighbour
    rough = laplacian.reshape(k, h, w)[:, 1:-1, 1:-1].astype(np.float32).reshape(k, -1)
    n = rough.shape[1]
    # Not by a BLAS: what it comes to would depend on the number of threads.
    return np.einsum("kn,kn->k", rough, rough) / n - (np.einsum("kn->k", rough) / n) ** 2


DIGEST_BYTES = 16


def digest(pixels: np.ndarray) -> bytes:
    """Return 16 bytes that are equal where pixels are."""
    return hashlib.blake2b(pixels.tobytes(), digest_size=DIGEST_BYTES).digest()
