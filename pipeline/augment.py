"""Augmentation: every picture a little different each time it is trained on, never when it is judged.

All pictures of a batch are changed at once. Geometric changes (shift, flip, rotation, zoom, shear, elastic deformation)
are put together into one place to look up for each pixel, and the picture is interpolated once; then come contrast,
brightness and a cut-out square. Randomness is the caller's generator, so a batch depends on its seed alone.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.config import Auto, check_fields, option
from pipeline.config import Geometry

MANY = 10_000  # training pictures from which "auto" changes none

RECIPES: dict[str, dict[str, float | bool]] = {
    "none": {},
    "affine": {"shift": 0.06, "rotate": 6.0, "zoom": 0.08},
    "faces": {"shift": 0.06, "flip": True, "rotate": 6.0, "zoom": 0.08, "brightness": 0.05, "contrast": 0.1},
    "objects": {"shift": 0.08, "flip": True, "rotate": 10.0, "zoom": 0.12, "brightness": 0.1, "contrast": 0.2},
    "digits": {"shift": 0.07, "rotate": 9.0, "zoom": 0.1, "shear": 0.1, "elastic": 0.03},
}


@dataclass(frozen=True)
class AugmentConfig:
    """How pictures are varied during training. The recipe sets what is left at "auto"."""

    augment: str = option("auto", "recipe of random changes to training pictures", choices=("auto", *RECIPES))
    shift: float | Auto = option("auto", "largest shift, as a share of the side", check="fraction")
    flip: bool | Auto = option("auto", "mirror every other picture")
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
    """Turn every "auto" into a value: the recipe ``affine`` below 10,000 training pictures, else ``none``.

    Small shifts, turns and zooms change no class. On 140 to 2,100 training pictures of faces, digits, clothes and
    insects they gained 0 to 4.4 points on validation pictures; mirroring, which other recipes add, cost some of that
    on digits. With many pictures they gain less, and cost training time.
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
    pixels: NDArray[np.uint8], geometry: Geometry, config: AugmentConfig, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Change a batch of pictures at random.

    Parameters
    ----------
    pixels : ndarray of shape (m, n_x), uint8
        Unchanged.
    geometry : Geometry
    config : AugmentConfig
        Resolved.
    rng : Generator

    Returns
    -------
    ndarray of shape (m, n_x), uint8
    """
    m, (height, width, channels) = len(pixels), geometry.shape
    rows, columns = _places(m, height, width, config, rng)
    changed = _look_up(pixels.reshape(m, height * width, channels), rows, columns, width)
    if config.contrast or config.brightness:
        gain, offset = _spread(rng, config.contrast, m), _spread(rng, config.brightness, m) * 255
        mean = changed.mean(axis=(1, 2)).astype(np.float32)
        changed *= (1 + gain)[:, None, None]
        changed += (offset - gain * mean)[:, None, None]
    if config.cutout:
        _cut_out(changed.reshape(m, height, width, channels), float(config.cutout), rng)
    np.rint(changed, out=changed)
    np.clip(changed, 0, 255, out=changed)
    return changed.astype(np.uint8).reshape(m, -1)


def _spread(rng: np.random.Generator, largest: Any, m: int) -> NDArray[np.float32]:
    """Return m numbers between -largest and largest."""
    return (rng.random(m, dtype=np.float32) * 2 - 1) * np.float32(largest)


def _places(
    m: int, height: int, width: int, config: AugmentConfig, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the row and the column (m, height * width) in the old picture that each new pixel is taken from."""
    angle = np.deg2rad(_spread(rng, config.rotate, m))
    zoom, shear = 1 + _spread(rng, config.zoom, m), _spread(rng, config.shear, m)
    down, right = _spread(rng, config.shift, m) * height, _spread(rng, config.shift, m) * width
    mirror = np.where(rng.random(m) < 0.5, np.float32(-1), np.float32(1)) if config.flip else np.ones(m, np.float32)
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    y, x = np.mgrid[:height, :width].astype(np.float32).reshape(2, -1)
    y, x = y - (height - 1) / 2, x - (width - 1) / 2
    rows = np.outer(cos, y) + np.outer(sin, x)
    columns = np.outer(mirror * (shear * cos - sin), y) + np.outer(mirror * (shear * sin + cos), x)
    rows += (down + (height - 1) / 2)[:, None]
    columns += (right + (width - 1) / 2)[:, None]
    if config.elastic:
        for places, side in ((rows, height), (columns, width)):
            places += _waves(m, height, width, rng) * np.float32(float(config.elastic) * side)
    return rows.astype(np.float32, copy=False), columns.astype(np.float32, copy=False)


def _waves(m: int, height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return smooth random fields (m, height * width) of spread about 1 (Simard, Steinkraus, Platt 2003).

    Their smoothness is that of noise blurred over a seventh of the side; they are mixed from a few cosines each
    way, which takes two small products instead of a blur for every picture.
    """
    n = 5
    falling = np.exp(-0.5 * (np.pi * np.arange(n) / 7) ** 2)
    across = np.cos(np.pi * np.outer(np.arange(n), (np.arange(width) + 0.5) / width)).astype(np.float32)
    along = np.cos(np.pi * np.outer(np.arange(n), (np.arange(height) + 0.5) / height)).astype(np.float32)
    weights = rng.standard_normal((m, n, n), dtype=np.float32) * np.outer(falling, falling).astype(np.float32)
    weights /= np.float32(np.sqrt((np.outer(falling, falling) ** 2).sum() / 4))
    return (along.T @ weights @ across).reshape(m, -1).astype(np.float32, copy=False)


def _look_up(
    pixels: NDArray[np.uint8], rows: NDArray[np.float32], columns: NDArray[np.float32], width: int
) -> NDArray[np.float32]:
    """Interpolate pictures (m, height * width, channels) bilinearly at places; beyond the edge its pixels go on."""
    m, n, channels = pixels.shape
    height = n // width
    np.clip(rows, 0, height - 1, out=rows)
    np.clip(columns, 0, width - 1, out=columns)
    top, left = rows.astype(np.int32), columns.astype(np.int32)
    np.minimum(top, max(height - 2, 0), out=top)
    np.minimum(left, max(width - 2, 0), out=left)
    rows -= top
    columns -= left
    first = top * width + left + (np.arange(m, dtype=np.int32) * n)[:, None]
    flat = pixels.reshape(m * n, channels).astype(np.float32)
    down, right = width if height > 1 else 0, 1 if width > 1 else 0
    upper = _between(flat, first, first + right, columns)
    lower = _between(flat, first + down, first + down + right, columns)
    lower -= upper
    lower *= rows[..., None]
    upper += lower
    return upper


def _between(
    flat: NDArray[np.float32], one: NDArray[np.int32], other: NDArray[np.int32], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    start, end = np.take(flat, one, axis=0, mode="clip"), np.take(flat, other, axis=0, mode="clip")
    end -= start
    end *= share[..., None]
    start += end
    return start


def _cut_out(images: NDArray[np.float32], share: float, rng: np.random.Generator) -> None:
    """Paint a square of each picture (m, height, width, channels) in its mean colour (DeVries, Taylor 2017)."""
    m, height, width, _ = images.shape
    side = max(1, round(share * max(height, width)))
    tops, lefts = rng.integers(-side // 2, height - side // 2, m), rng.integers(-side // 2, width - side // 2, m)
    for image, top, left in zip(images, tops, lefts, strict=True):
        image[max(top, 0) : top + side, max(left, 0) : left + side] = image.mean(axis=(0, 1))
