"""Statistics of an image for the audit (`MEASURES`), and a thumbnail for finding near duplicates.

All are computed from the whole image, converted to gray and shrunk to at most `SUMMARY_SIDE` pixels a side, before it
is fitted to a geometry. `summarise` keeps what is needed of one image; `measures_of` then measures many images
together, which is faster for small ones. What is unusual in a data set is decided in `pipeline.audit`.

- ``brightness``: the mean gray, 0 to 255;
- ``contrast``: the standard deviation of gray;
- ``entropy``: the entropy of the gray histogram, 0 to 8 bits;
- ``sharpness``: the variance of the Laplacian divided by the variance of gray, which blurring lowers and contrast does
  not change;
- ``colorfulness``: the mean difference between the largest and the smallest of R, G and B, in the image shrunk to
  `_COLOR_SIDE` pixels a side; 0 for gray content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.images.decode import pixels_of

SUMMARY_SIDE = 256
THUMBNAIL_SIDE = 32
SHORTEST_SIDE = 64  # of an image with a thumbnail; smaller ones are too similar (see `pipeline.data.duplicates`)
MEASURES = ("brightness", "contrast", "entropy", "sharpness", "colorfulness")
_COLOR_SIDE = 64


class ImageSummary(NamedTuple):
    """What is kept of an image to measure it later, together with others.

    Attributes
    ----------
    gray : ndarray of shape (h, w), uint8, or None
        None for a small colour image, whose gray is computed in `measures_of`.
    color : ndarray of shape (h, w, 3), uint8, or None
        None for a gray image.
    histogram : list of 256 int, or None
        None for a small image, whose histogram is computed in `measures_of`.
    thumbnail : ndarray of shape (32, 32), uint8, or None
        None for a small image.
    """

    gray: np.ndarray | None
    color: np.ndarray | None
    histogram: list[int] | None = None
    thumbnail: np.ndarray | None = None


def summarise(
    image: Image.Image, size: tuple[int, int] | None = None, pixels: np.ndarray | None = None
) -> ImageSummary:
    """Return what `measures_of` needs of an image of mode L or RGB.

    Parameters
    ----------
    image : Image
    size : (height, width), optional
        Size of the image in its file, if the image was shrunk already.
    pixels : ndarray of shape (height, width, 1 or 3), uint8, optional
        The image as an array, if it exists already.
    """
    if max(image.size) <= _COLOR_SIDE and min(size or image.size) < SHORTEST_SIDE:
        pixels = pixels_of(image) if pixels is None else pixels
        pixels = pixels[..., 0] if pixels.shape[2:] == (1,) else pixels
        return ImageSummary(pixels, None) if image.mode == "L" else ImageSummary(None, pixels)
    factor = -(-max(image.size) // SUMMARY_SIDE)
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
    """Return the `MEASURES` of each image: ndarray of shape (n, 5), float32."""
    n = len(summaries)
    counts, roughness, colorfulness = np.zeros((n, 256), np.int64), np.zeros(n), np.zeros(n)
    for rows in _of_equal_shape(summaries):
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
    mean, variance, entropy = _moments_and_entropy(counts)
    sharpness = np.divide(roughness, variance, out=np.zeros(n), where=variance > 0)
    return np.stack([mean, np.sqrt(variance), entropy, sharpness, colorfulness], axis=1).astype(np.float32)


def _of_equal_shape(summaries: Sequence[ImageSummary]) -> list[list[int]]:
    """Return lists of positions: small images of the same kind and shape together, each large image alone."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, (gray, color, histogram, _) in enumerate(summaries):
        key = (gray is not None and gray.shape, color is not None and color.shape) if histogram is None else (i,)
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def _stack(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return arrays of equal shape stacked along a new first axis; None if all are None."""
    present = [array for array in arrays if array is not None]
    return (np.stack(present) if len(present) > 1 else present[0][None]) if present else None


def _luma(color: np.ndarray) -> np.ndarray:
    """Return the gray (k, h, w) of colour images (k, h, w, 3): ITU-R 601-2, rounded as in Pillow."""
    red, green, blue = np.moveaxis(color, -1, 0).astype(np.uint32)
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)


def _histograms(gray: np.ndarray) -> np.ndarray:
    """Return the histogram of each of k images: ndarray of shape (k, 256), int."""
    k = len(gray)
    codes = gray.reshape(k, -1) + 256 * np.arange(k)[:, None]
    return np.bincount(codes.ravel(), minlength=256 * k).reshape(k, 256)


def _moments_and_entropy(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean, variance and entropy in bits, each (k,), of histograms (k, 256)."""
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
    # All images are treated as one row of pixels, which is fastest; the wrong values at their borders are left out.
    laplacian = np.empty_like(wide)
    inner = laplacian[w:-w]
    np.multiply(wide[w:-w], np.int16(-4), out=inner)
    for neighbour in (wide[: -2 * w], wide[2 * w :], wide[w - 1 : -w - 1], wide[w + 1 : len(wide) - w + 1]):
        inner += neighbour
    rough = laplacian.reshape(k, h, w)[:, 1:-1, 1:-1].astype(np.float32).reshape(k, -1)
    n = rough.shape[1]
    # Without BLAS, whose result would depend on the number of threads.
    return np.einsum("kn,kn->k", rough, rough) / n - (np.einsum("kn->k", rough) / n) ** 2


DIGEST_BYTES = 16


def digest(pixels: np.ndarray) -> bytes:
    """Return 16 bytes that are equal if and, in practice, only if the pixels are."""
    return hashlib.blake2b(pixels.tobytes(), digest_size=DIGEST_BYTES).digest()
