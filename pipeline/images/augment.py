"""Augmentation: every image a little different each time it is trained on, never when it is judged.

All images of a batch are changed at once. Geometric changes (shift, flip, rotation, zoom, shear, elastic deformation)
are put together into one place to look up for each pixel, and the image is interpolated once; then come contrast,
brightness and a cut-out square. Randomness is the caller's generator, so a batch depends on its seed alone.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.batches import split_evenly
from model.config import Auto, check_fields, option
from pipeline.images.geometry import Geometry

MANY = 10_000  # training images from which "auto" is decided by a trial

_PIXELS_AT_ONCE = 8192  # their places, words and results stay in the processor's cache
_UNIT = 256  # places are counted in parts of a pixel
_N_WAVES = 5  # each way

RECIPES: dict[str, dict[str, float | bool]] = {
    "none": {},
    "affine": {"shift": 0.06, "rotate": 6.0, "zoom": 0.08},
    "faces": {"shift": 0.06, "flip": True, "rotate": 6.0, "zoom": 0.08, "brightness": 0.05, "contrast": 0.1},
    "objects": {"shift": 0.08, "flip": True, "rotate": 10.0, "zoom": 0.12, "brightness": 0.1, "contrast": 0.2},
    "digits": {"shift": 0.07, "rotate": 9.0, "zoom": 0.1, "shear": 0.1, "elastic": 0.03},
}


@dataclass(frozen=True)
class AugmentConfig:
    """How images are varied during training. The recipe sets what is left at "auto"."""

    augment: str = option("auto", "recipe of random changes to training images", choices=("auto", *RECIPES))
    shift: float | Auto = option("auto", "largest shift, as a share of the side", check="fraction")
    flip: bool | Auto = option("auto", "mirror every other image")
    rotate: float | Auto = option("auto", "largest rotation, in degrees", check="at_least_0")
    zoom: float | Auto = option("auto", "largest change of size, as a share", check="fraction")
    shear: float | Auto = option("auto", "largest shear, as a share of the height", check="fraction")
    elastic: float | Auto = option("auto", "typical elastic displacement, as a share of the side", check="fraction")
    brightness: float | Auto = option("auto", "largest change of brightness, as a share of white", check="fraction")
    contrast: float | Auto = option("auto", "largest change of contrast, as a share", check="fraction")
    cutout: float | Auto = option("auto", "side of a square painted gray, as a share of the side", check="fraction")

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def is_on(self) -> bool:
        """Whether anything is changed at all (of a resolved configuration)."""
        return any(getattr(self, name) for name in _STRENGTHS)


_STRENGTHS = tuple(field.name for field in dataclasses.fields(AugmentConfig) if field.name != "augment")


def resolve_augmentation(config: AugmentConfig, m: int) -> AugmentConfig:
    """Turn every "auto" into a value: the recipe ``affine`` below 10,000 training images, else ``none``.

    Small shifts, turns and zooms change no class. On 140 to 2,100 training images of faces, digits, clothes and
    insects they gained 0 to 4.4 points on validation images; mirroring, which other recipes add, cost some of that
    on digits. With many images it depends on the images, and `pipeline.training.augmentation_trial` looks first.
    """
    name = ("affine" if m < MANY else "none") if config.augment == "auto" else config.augment
    recipe = RECIPES[name]
    off = {name: False if name == "flip" else 0.0 for name in _STRENGTHS}
    values: dict[str, Any] = {
        name: recipe.get(name, off[name]) if getattr(config, name) == "auto" else getattr(config, name)
        for name in _STRENGTHS
    }
    return AugmentConfig(name, **values)


def augment(
    pixels: NDArray[np.uint8],
    geometry: Geometry,
    config: AugmentConfig,
    rng: np.random.Generator,
    *,
    alike: bool = False,
) -> NDArray[np.uint8]:
    """Change a batch of images at random.

    Parameters
    ----------
    pixels : ndarray of shape (m, n_x), uint8
        Unchanged.
    geometry : Geometry
    config : AugmentConfig
        Resolved.
    rng : Generator
    alike : bool
        Change all images in the same way (but for cutout).

    Returns
    -------
    ndarray of shape (m, n_x), uint8
    """
    m, (height, width, channels) = len(pixels), geometry.shape
    n = 1 if alike else m
    rows, columns, shapes = _motions(n, height, width, config, rng)
    gain, offset = _spread(rng, config.contrast, n), _spread(rng, config.brightness, n) * 255
    if alike:
        rows, columns, gain, offset = (drawn.repeat(m, axis=0) for drawn in (rows, columns, gain, offset))
    images, changed = pixels.reshape(m, height, width, channels), np.empty((m, height, width, channels), np.uint8)
    for part in split_evenly(m, max(1, _PIXELS_AT_ONCE // (height * width))):
        _look_up(images[part], rows[part] @ shapes, columns[part] @ shapes, changed[part])
        if config.contrast or config.brightness:
            _relight(changed[part], gain[part], offset[part])
    if config.cutout:
        _cut_out(changed, float(config.cutout), rng)
    return changed.reshape(m, -1)


def _spread(rng: np.random.Generator, largest: Any, m: int) -> NDArray[np.float32]:
    """Return m numbers between -largest and largest."""
    return (rng.random(m, dtype=np.float32) * 2 - 1) * np.float32(largest)


def _motions(
    m: int, height: int, width: int, config: AugmentConfig, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return what row and what column of the old image each new pixel is taken from, as mixtures of common shapes.

    Returns
    -------
    rows, columns : ndarray of shape (m, k), float32
    shapes : ndarray of shape (k, height * width), float32
        ``rows @ shapes`` are the rows, for all pixels, in 1/256 of a pixel.
    """
    angle = np.deg2rad(_spread(rng, config.rotate, m))
    zoom, shear = 1 + _spread(rng, config.zoom, m), _spread(rng, config.shear, m)
    down, right = _spread(rng, config.shift, m) * height, _spread(rng, config.shift, m) * width
    mirror = np.where(rng.random(m) < 0.5, np.float32(-1), np.float32(1)) if config.flip else np.ones(m, np.float32)
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    rows = np.stack([down + (height - 1) / 2, cos, sin], axis=1)
    columns = np.stack(
        [right + (width - 1) / 2, mirror * (shear * cos - sin), mirror * (shear * sin + cos)], axis=1
    )  # (m, 3)
    shapes = _planes(height, width)
    if config.elastic:
        sides = float(config.elastic) * height, float(config.elastic) * width
        rows, columns = (
            np.concatenate([flat, rng.standard_normal((m, _N_WAVES**2), dtype=np.float32) * side], axis=1)
            for flat, side in zip((rows, columns), sides, strict=True)
        )
        shapes = np.concatenate([shapes, _waves(height, width)])
    return (rows * _UNIT).astype(np.float32), (columns * _UNIT).astype(np.float32), shapes


@functools.lru_cache(maxsize=4)
def _planes(height: int, width: int) -> NDArray[np.float32]:
    """Return 1, y and x of every pixel, from the middle: (3, height * width)."""
    y, x = np.mgrid[:height, :width].astype(np.float32).reshape(2, -1)
    return np.stack([np.ones_like(y), y - (height - 1) / 2, x - (width - 1) / 2])


@functools.lru_cache(maxsize=4)
def _waves(height: int, width: int) -> NDArray[np.float32]:
    """Return waves (25, height * width) that make smooth fields of spread about 1 when mixed at random.

    Elastic deformation (Simard, Steinkraus, Platt 2003) as smooth as noise blurred over a seventh of the side, without
    a blur for every image.
    """
    n = np.arange(_N_WAVES)
    falling = np.exp(-0.5 * (np.pi * n / 7) ** 2)
    along, across = (np.cos(np.pi * np.outer(n, (np.arange(side) + 0.5) / side)) for side in (height, width))
    strength = np.outer(falling, falling).ravel()
    strength /= np.sqrt((strength**2).sum() / 4)
    return (np.kron(along, across) * strength[:, None]).astype(np.float32)


def _look_up(
    images: NDArray[np.uint8], rows: NDArray[np.float32], columns: NDArray[np.float32], out: NDArray[np.uint8]
) -> None:
    """Interpolate images (m, height, width, channels) bilinearly at places; beyond the edge its pixels go on.

    In whole numbers: a 32-bit word holds a pixel and the one below it, so that one product interpolates both.
    """
    m, height, width, channels = images.shape
    down, top = _split_places(rows, height)
    right, left = _split_places(columns, width)
    top *= width
    top += left
    top += (np.arange(m, dtype=np.int32) * (height * width))[:, None]
    first = top.astype(np.intp)
    words = np.zeros(m * height * width + 1, np.uint32)  # the last one stands beside the last pixel, and counts nothing
    pixels = words[:-1].reshape(m, height, width)
    for channel in range(channels):
        pixels[:, -1] = images[:, -1, :, channel]
        pixels[:, :-1] = images[:, 1:, :, channel]
        pixels <<= 16
        pixels |= images[..., channel]
        here, beside = np.take(words, first, mode="clip"), np.take(words[1:], first, mode="clip")
        beside -= here  # borrows from the upper half are paid back by the sum
        beside *= right
        here <<= 8
        here += beside
        below = here >> 16
        here &= 0xFFFF
        below -= here
        below *= down
        here <<= 8
        here += below
        here += 1 << 15
        here >>= 16
        out[..., channel] = here.reshape(m, height, width)


def _split_places(places: NDArray[np.float32], side: int) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """Return the part of a pixel, in 1/256, and the pixel that places lie beyond, inside the image."""
    np.clip(places, 0, (side - 1) * _UNIT, out=places)
    whole = places.astype(np.int32)
    part = (whole & (_UNIT - 1)).view(np.uint32)
    whole >>= 8
    return part, whole


def _relight(images: NDArray[np.uint8], gain: NDArray[np.float32], offset: NDArray[np.float32]) -> None:
    """Change contrast (about the mean of each image) and brightness."""
    light = images.reshape(len(images), -1).astype(np.float32)
    offset = offset - gain * light.mean(axis=1) + np.float32(0.5)
    light *= (1 + gain)[:, None]
    light += offset[:, None]
    np.clip(light, 0, 255, out=light)
    images[...] = light.reshape(images.shape)


def _cut_out(images: NDArray[np.uint8], share: float, rng: np.random.Generator) -> None:
    """Paint a square of each image (m, height, width, channels) in its mean colour (DeVries, Taylor 2017)."""
    m, height, width, _ = images.shape
    side = max(1, round(share * max(height, width)))
    tops, lefts = rng.integers(-side // 2, height - side // 2, m), rng.integers(-side // 2, width - side // 2, m)
    for image, top, left in zip(images, tops, lefts, strict=True):
        image[max(top, 0) : top + side, max(left, 0) : left + side] = image.mean(axis=(0, 1)).round()
