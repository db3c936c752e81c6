"""Augmentation: every image is changed a little each time it is trained on, and never when it is evaluated.

All images of a batch are changed together. The geometric changes (shift, flip, rotation, zoom, shear, elastic
deformation) are combined: they give one position in the old image for each pixel of the new one, and the image is
interpolated once at these positions. Contrast, brightness and a cut-out square follow. The caller's generator is the
only source of randomness, so a batch depends on its seed alone. Which recipe suits a data set is decided by its size
here, and by a trial in `pipeline.training.augmentation_trial`.
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

MANY = 10_000  # from this number of training images on, a trial decides "auto"

_PIXELS_AT_ONCE = 8192  # few enough that all arrays of the interpolation stay in the processor's cache
UNITS_PER_PIXEL = 256  # positions are counted in 1/256 of a pixel
_N_WAVES = 5  # in each direction

RECIPES: dict[str, dict[str, float | bool]] = {
    "none": {},
    "affine": {"shift": 0.06, "rotate": 6.0, "zoom": 0.08},
    "faces": {"shift": 0.06, "flip": True, "rotate": 6.0, "zoom": 0.08, "brightness": 0.05, "contrast": 0.1},
    "objects": {"shift": 0.08, "flip": True, "rotate": 10.0, "zoom": 0.12, "brightness": 0.1, "contrast": 0.2},
    "digits": {"shift": 0.07, "rotate": 9.0, "zoom": 0.1, "shear": 0.1, "elastic": 0.03},
}


@dataclass(frozen=True)
class AugmentConfig:
    """How training images are augmented. The recipe sets the options that are left at "auto"."""

    augment: str = option("auto", "augmentation recipe for training images", choices=("auto", *RECIPES))
    shift: float | Auto = option("auto", "largest shift of a training image, as a share of its side", check="fraction")
    flip: bool | Auto = option("auto", "mirror every other training image")
    rotate: float | Auto = option("auto", "largest rotation of a training image, in degrees", check="at_least_0")
    zoom: float | Auto = option("auto", "largest change of the size of a training image, as a share", check="fraction")
    shear: float | Auto = option(
        "auto", "largest shear of a training image, as a share of its height", check="fraction"
    )
    elastic: float | Auto = option(
        "auto", "typical elastic displacement of pixels of a training image, as a share of its side", check="fraction"
    )
    brightness: float | Auto = option(
        "auto", "largest change of brightness of a training image, as a share of white", check="fraction"
    )
    contrast: float | Auto = option(
        "auto", "largest change of contrast of a training image, as a share", check="fraction"
    )
    cutout: float | Auto = option(
        "auto",
        "side of a gray square that hides a part of a training image, as a share of the image's side",
        check="fraction",
    )

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def is_on(self) -> bool:
        """Whether a resolved configuration changes images at all."""
        return any(getattr(self, name) for name in _STRENGTHS)


_STRENGTHS = tuple(field.name for field in dataclasses.fields(AugmentConfig) if field.name != "augment")


def resolve_augmentation(config: AugmentConfig, m: int) -> AugmentConfig:
    """Replace every "auto" by a value: the recipe ``affine`` below 10,000 training images, otherwise ``none``.

    Small shifts, rotations and zooms do not change the class of an image. With 140 to 2,100 training images of faces,
    digits, clothes and insects they gained 0 to 4.4 points of validation accuracy; mirroring, which other recipes add,
    lost part of that on digits. With many images the gain depends on the images, so
    `pipeline.training.augmentation_trial` measures it first.
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
    """Return randomly changed copies of a batch of images.

    Parameters
    ----------
    pixels : ndarray of shape (m, n_x), uint8
    geometry : Geometry
    config : AugmentConfig
        Without "auto".
    rng : Generator
    alike : bool
        Change all images in the same way, except for cutout.

    Returns
    -------
    ndarray of shape (m, n_x), uint8
    """
    m, (height, width, channels) = len(pixels), geometry.shape
    n = 1 if alike else m
    rows, columns, shapes = _motions(n, height, width, config, rng)
    gain, offset = _draw_uniform(rng, config.contrast, n), _draw_uniform(rng, config.brightness, n) * 255
    if alike:
        rows, columns, gain, offset = (drawn.repeat(m, axis=0) for drawn in (rows, columns, gain, offset))
    images, changed = pixels.reshape(m, height, width, channels), np.empty((m, height, width, channels), np.uint8)
    for part in split_evenly(m, max(1, _PIXELS_AT_ONCE // (height * width))):
        interpolate(images[part], rows[part] @ shapes, columns[part] @ shapes, changed[part])
        if config.contrast or config.brightness:
            _relight(changed[part], gain[part], offset[part])
    if config.cutout:
        _cut_out(changed, float(config.cutout), rng)
    return changed.reshape(m, -1)


def _draw_uniform(rng: np.random.Generator, largest: Any, m: int) -> NDArray[np.float32]:
    """Draw m values uniformly between -largest and largest."""
    return (rng.random(m, dtype=np.float32) * 2 - 1) * np.float32(largest)


def _motions(
    m: int, height: int, width: int, config: AugmentConfig, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the position in the old image that each new pixel is taken from.

    The positions are linear combinations of `shapes`: a constant (shift), y and x (rotation, zoom, shear), and smooth
    waves (elastic deformation). So one matrix product gives them for all images and pixels.

    Returns
    -------
    rows, columns : ndarray of shape (m, k), float32
        Coefficients for each image.
    shapes : ndarray of shape (k, height * width), float32
        ``rows @ shapes`` and ``columns @ shapes`` are the positions of all pixels, in 1/256 of a pixel.
    """
    angle = np.deg2rad(_draw_uniform(rng, config.rotate, m))
    zoom, shear = 1 + _draw_uniform(rng, config.zoom, m), _draw_uniform(rng, config.shear, m)
    down, right = _draw_uniform(rng, config.shift, m) * height, _draw_uniform(rng, config.shift, m) * width
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
    return (rows * UNITS_PER_PIXEL).astype(np.float32), (columns * UNITS_PER_PIXEL).astype(np.float32), shapes


@functools.lru_cache(maxsize=4)
def _planes(height: int, width: int) -> NDArray[np.float32]:
    """Return 1, y and x of every pixel, measured from the centre: (3, height * width)."""
    y, x = np.mgrid[:height, :width].astype(np.float32).reshape(2, -1)
    return np.stack([np.ones_like(y), y - (height - 1) / 2, x - (width - 1) / 2])


@functools.lru_cache(maxsize=4)
def _waves(height: int, width: int) -> NDArray[np.float32]:
    """Return waves (25, height * width) whose random combinations are smooth fields of standard deviation about 1.

    They replace the blurred noise of elastic deformation (Simard, Steinkraus, Platt 2003): the fields are as smooth as
    noise blurred over a seventh of the side, but no image needs a blur of its own.
    """
    n = np.arange(_N_WAVES)
    falling = np.exp(-0.5 * (np.pi * n / 7) ** 2)
    along, across = (np.cos(np.pi * np.outer(n, (np.arange(side) + 0.5) / side)) for side in (height, width))
    strength = np.outer(falling, falling).ravel()
    strength /= np.sqrt((strength**2).sum() / 4)
    return (np.kron(along, across) * strength[:, None]).astype(np.float32)


def interpolate(
    images: NDArray[np.uint8], rows: NDArray[np.float32], columns: NDArray[np.float32], out: NDArray[np.uint8]
) -> None:
    """Interpolate images bilinearly at given positions; beyond an edge, the pixels of the edge are repeated.

    All arithmetic is in whole numbers. A 32-bit word holds a pixel in its lower 16 bits and the pixel below it in its
    upper 16, so one multiplication interpolates both rows horizontally. An example with the pixels

        100  40        word on the left:  60 << 16 | 100
         60  80        word on the right: 80 << 16 |  40

    at a position a quarter of a pixel (64/256) to the right: 256 * left + 64 * (right - left) is to be
    (256 * 60 + 64 * 20) << 16 | (256 * 100 - 64 * 60), which is 256 times 65 and 256 times 85. The difference of the
    words is -60 in its lower half and therefore borrows 1 from its upper half; times 64, it has borrowed 64. Adding
    256 * 100 makes the lower half positive again, and the carry of that sum returns exactly what was borrowed. (The
    arithmetic is modulo 2^32, and each half of the sum is between 0 and 255 * 256, so it fits in 16 bits.) The two
    halves are then interpolated vertically in the same way, and rounded.

    Parameters
    ----------
    images : ndarray of shape (m, height, width, channels), uint8
    rows, columns : ndarray of shape (m, height * width), float32
        Positions in 1/256 of a pixel, for every pixel of the result; clipped to the image in place.
    out : ndarray of shape (m, height, width, channels), uint8
        Array that the result is written to.
    """
    m, height, width, channels = images.shape
    down, top = _split_positions(rows, height)
    right, left = _split_positions(columns, width)
    top *= width
    top += left
    top += (np.arange(m, dtype=np.int32) * (height * width))[:, None]
    first = top.astype(np.intp)
    words = np.zeros(m * height * width + 1, np.uint32)  # the extra word is right of the last pixel, with weight 0
    pixels = words[:-1].reshape(m, height, width)
    for channel in range(channels):
        pixels[:, -1] = images[:, -1, :, channel]
        pixels[:, :-1] = images[:, 1:, :, channel]
        pixels <<= 16
        pixels |= images[..., channel]
        here, beside = np.take(words, first, mode="clip"), np.take(words[1:], first, mode="clip")
        beside -= here  # what the lower half borrows from the upper one, the sum below returns
        beside *= right
        here <<= 8
        here += beside  # both rows, interpolated horizontally, in 1/256 of a gray value
        below = here >> 16
        here &= 0xFFFF
        below -= here
        below *= down
        here <<= 8
        here += below
        here += 1 << 15  # one half, so that the shift rounds
        here >>= 16
        out[..., channel] = here.reshape(m, height, width)


def _split_positions(positions: NDArray[np.float32], side: int) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """Return the fraction of a pixel, in 1/256, and the whole pixels of positions, which are clipped to the image."""
    np.clip(positions, 0, (side - 1) * UNITS_PER_PIXEL, out=positions)
    whole = positions.astype(np.int32)
    fraction = (whole & (UNITS_PER_PIXEL - 1)).view(np.uint32)
    whole >>= 8
    return fraction, whole


def _relight(images: NDArray[np.uint8], gain: NDArray[np.float32], offset: NDArray[np.float32]) -> None:
    """Change contrast (around the mean of each image) and brightness, in place."""
    light = images.reshape(len(images), -1).astype(np.float32)
    offset = offset - gain * light.mean(axis=1) + np.float32(0.5)
    light *= (1 + gain)[:, None]
    light += offset[:, None]
    np.clip(light, 0, 255, out=light)
    images[...] = light.reshape(images.shape)


def _cut_out(images: NDArray[np.uint8], share: float, rng: np.random.Generator) -> None:
    """Fill a random square of each image (m, height, width, channels) with its mean colour (DeVries, Taylor 2017)."""
    m, height, width, _ = images.shape
    side = max(1, round(share * max(height, width)))
    tops, lefts = rng.integers(-side // 2, height - side // 2, m), rng.integers(-side // 2, width - side // 2, m)
    for image, top, left in zip(images, tops, lefts, strict=True):
        image[max(top, 0) : top + side, max(left, 0) : left + side] = image.mean(axis=(0, 1)).round()
