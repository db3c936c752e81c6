"""Survey a sample of the images of a source, and resolve the ``"auto"`` settings of the geometry from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.data.config import DataConfig
from pipeline.images.decode import declared_size, from_array, is_gray, open_image
from pipeline.images.errors import ImageError
from pipeline.images.geometry import COLORS, Geometry, parse_size
from pipeline.sources.source import Source
from pipeline.text import count

LONGEST_AUTO_SIDE = 64
SHORTEST_AUTO_SIDE = 16
INPUTS_PER_IMAGE = 16
SURVEYED = 200  # images


@dataclass(frozen=True)
class Survey:
    """What is known of the images of a source: all that the ``"auto"`` rules of the geometry need.

    Attributes
    ----------
    m : int
        The number of images of the source.
    sizes : tuple of (height, width)
        The different sizes of the images surveyed.
    gray : bool
        Whether every image surveyed has R = G = B in every pixel.
    """

    m: int
    sizes: tuple[tuple[int, int], ...]
    gray: bool


def resolve_geometry(config: DataConfig, survey: Survey) -> Geometry:
    """Turn every ``"auto"`` of size, colour and fit into a value, by the rules in `DataConfig`."""
    color = config.color if config.color != "auto" else "gray" if survey.gray else "rgb"
    fit = config.fit if config.fit != "auto" else "crop"
    height, width = parse_size(config.size) or _auto_size(survey, COLORS[color])
    return Geometry(height, width, color, fit, config.exact, config.scale)


def _auto_size(survey: Survey, channels: int) -> tuple[int, int]:
    if len(survey.sizes) == 1 and max(survey.sizes[0]) <= LONGEST_AUTO_SIDE:
        return survey.sizes[0]
    aspects = [height / width for height, width in survey.sizes]
    same = bool(aspects) and max(aspects) <= 1.01 * min(aspects)
    aspect = aspects[0] if same else 1.0
    side = LONGEST_AUTO_SIDE
    while True:
        height, width = _sides(side, aspect)
        if height * width * channels <= INPUTS_PER_IMAGE * survey.m or side // 2 < SHORTEST_AUTO_SIDE:
            return height, width
        side //= 2


def _sides(longer: int, aspect: float) -> tuple[int, int]:
    """Return the (height, width) with this aspect ratio (height / width) whose longer side is `longer`."""
    height, width = (longer, longer / aspect) if aspect >= 1 else (longer * aspect, longer)
    return max(1, round(height)), max(1, round(width))


def choose_geometry(source: Source, config: DataConfig) -> tuple[Geometry, str]:
    """Return the geometry for a source, and a note if images are shrunk without being asked for.

    The images are surveyed only if a setting depends on them.
    """
    if config.size != "auto" and config.color != "auto":
        return resolve_geometry(config, Survey(0, (), False)), ""
    found = survey(source, config)
    geometry = resolve_geometry(config, found)
    return geometry, shrinking_note(geometry, found) if config.size == "auto" else ""


def shrinking_note(geometry: Geometry, survey: Survey) -> str:
    """Say that images are shrunk, why, and how to keep more of them; empty if they are not."""
    side = max(geometry.height, geometry.width)
    largest = max((max(size) for size in survey.sizes), default=0)
    if largest <= side:
        return ""
    sizes = [f"{height}x{width}" for height, width in survey.sizes]
    which = f"of {sizes[0]}" if len(sizes) == 1 else f"with sides up to {largest} pixels"
    if side == LONGEST_AUTO_SIDE:
        why = f"{LONGEST_AUTO_SIDE} pixels a side are the most that is chosen without --size"
        keep = f"--size {sizes[0] if len(sizes) == 1 and largest <= 2 * side else 2 * side}"
    else:
        most = f"at most {INPUTS_PER_IMAGE} inputs for each image"
        why = f"with {count(survey.m, 'image')}, a network that sees more pixels overfits ({most})"
        keep = f"--size {min(largest, LONGEST_AUTO_SIDE)}"
    return f"images {which} are shrunk to {geometry.height}x{geometry.width}: {why}; {keep} keeps more"


def survey(source: Source, config: DataConfig) -> Survey:
    """Survey up to `SURVEYED` images, evenly spread over the source."""
    max_pixels, scale = config.max_pixels, config.scale
    m = len(source.samples)
    sizes: set[tuple[int, int]] = set()
    gray = True
    for i in np.unique(np.linspace(0, m - 1, min(m, SURVEYED)).astype(int)):
        try:
            data = source.read(source.samples[i])
            if not isinstance(data, bytes):
                image = from_array(data, scale)
                size = (image.height, image.width)
            elif gray:
                decoded = open_image(data, max_pixels=max_pixels, draft=64, scale=scale)
                image, size = decoded.image, decoded.size
            else:  # an image in colour is known, so the size in the header is enough
                size = declared_size(data, max_pixels=max_pixels)
        except ImageError:
            continue
        sizes.add(size)
        gray = gray and is_gray(image)
    return Survey(m, tuple(sorted(sizes)), gray)
