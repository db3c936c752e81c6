"""The one shape of all images of a data set: size, colour, and how images of another aspect ratio are fitted."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

from model.errors import ConfigError

COLORS = {"gray": 1, "rgb": 3}

FITS = {
    "crop": "cut out the largest middle part that has the geometry's aspect ratio",
    "pad": "keep the whole image, with black bars",
    "stretch": "keep the whole image, distorted",
}

_LARGEST_SIDE = 4096
MAX_PIXELS = 120_000_000  # of an image file, unless another limit is given


@dataclass(frozen=True)
class Geometry:
    """The one shape of all images of a data set, in pixels: height, width, colour, and how they were fitted.

    `exact` says whether large JPEGs are decoded at full size first. `scale` is the value of white in images that are
    not 8-bit (0: by their type). Neither changes the shape of the images, so geometries that differ only in them are
    equal.
    """

    height: int
    width: int
    color: str = "rgb"
    fit: str = "crop"
    exact: bool = field(default=True, compare=False)
    scale: float = field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        if self.color not in COLORS:
            raise ConfigError(f"color: {self.color!r} is unknown; choose one of {', '.join(COLORS)}")
        if self.fit not in FITS:
            raise ConfigError(f"fit: {self.fit!r} is unknown; choose one of {', '.join(FITS)}")
        if not all(type(side) is int for side in (self.height, self.width)):
            raise ConfigError(f"size: {self.height}x{self.width} does not work; give whole numbers")
        if not (1 <= self.height <= _LARGEST_SIDE and 1 <= self.width <= _LARGEST_SIDE):
            raise ConfigError(
                f"size: {self.height}x{self.width} does not work; give 1 to {_LARGEST_SIDE} pixels a side"
            )
        if not (isinstance(self.scale, int | float) and 0 <= self.scale < math.inf):
            raise ConfigError(f"scale: {self.scale!r} does not work; give the value of white, such as 65535")

    @property
    def channels(self) -> int:
        """Return 1 for gray images, 3 for rgb."""
        return COLORS[self.color]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (height, width, channels), the shape of one image's array."""
        return (self.height, self.width, self.channels)

    @property
    def n_x(self) -> int:
        """Return the number of inputs of the network: height x width x channels."""
        return self.height * self.width * self.channels

    def to_json(self) -> str:
        """Return the geometry as a JSON object, without `exact` and `scale` if they have their defaults."""
        values = dataclasses.asdict(self)
        for name in ("exact", "scale"):
            if values[name] == getattr(Geometry, name):
                del values[name]
        return json.dumps(values)

    def settings(self) -> dict[str, Any]:
        """Return the settings of `pipeline.data.config.DataConfig` that result in this geometry."""
        return {"size": f"{self.height}x{self.width}", "color": self.color, "fit": self.fit} | {
            "exact": self.exact,
            "scale": self.scale,
        }

    @classmethod
    def from_json(cls, text: str) -> Geometry:
        """Return the geometry that `to_json` wrote."""
        return cls(**json.loads(text))


def parse_size(size: str) -> tuple[int, int] | None:
    """Return (height, width) for a text such as ``"64"`` or ``"64x48"``; None for ``"auto"``.

    Raises
    ------
    ConfigError
        If the text is neither.
    """
    if size == "auto":
        return None
    match = re.fullmatch(r"\s*(\d{1,6})\s*(?:[xX×]\s*(\d{1,6})\s*)?", str(size))
    if match is None or not all(1 <= int(n) <= _LARGEST_SIDE for n in match.groups() if n):
        raise ConfigError(
            f"size: {size!r} does not work; give pixels a side such as 64, or HEIGHTxWIDTH such as 64x48 "
            f"(1 to {_LARGEST_SIDE})"
        )
    return int(match[1]), int(match[2] or match[1])
