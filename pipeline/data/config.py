"""How pictures become data: the size, colour and fit of every picture, and how the set is split.

`DataConfig` holds what a person may choose, with the one default of each choice; command-line flags derive from its
fields. `Geometry` is what those choices come to for a given set of pictures: `resolve_geometry` turns every ``"auto"``
into a value by a stated rule, and the geometry is stored with the data set and with the model.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from typing import Literal

from model.config import ConfigError, check_fields, option

Auto = Literal["auto"]

COLORS = {"gray": 1, "rgb": 3}
FITS = {
    "crop": "cut the largest middle part that has the geometry's aspect",
    "pad": "keep the whole picture, with black bars",
    "stretch": "keep the whole picture, distorted",
}
LONGEST_AUTO_SIDE = 64
SHORTEST_AUTO_SIDE = 16
PIXELS_PER_PICTURE = 16
LARGEST_MAX_PIXELS = 178_956_970  # Pillow itself refuses anything above
_LARGEST_SIDE = 4096


@dataclass(frozen=True)
class Geometry:
    """The one shape of all pictures of a data set, in pixels: height, width, colour, and how they were fitted.

    `exact` says whether large JPEGs are decoded at full size first; files written before this was a choice do not have
    it, and were. Two geometries are equal without regard to it: the pictures have one shape.
    """

    height: int
    width: int
    color: str = "rgb"
    fit: str = "crop"
    exact: bool = field(default=True, compare=False)

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

    @property
    def channels(self) -> int:
        """Return 1 for gray pictures, 3 for rgb."""
        return COLORS[self.color]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (height, width, channels), the shape of one picture's array."""
        return (self.height, self.width, self.channels)

    @property
    def n_x(self) -> int:
        """Return the number of inputs of the network: height x width x channels."""
        return self.height * self.width * self.channels

    def to_json(self) -> str:
        """Return the geometry as a JSON object, without `exact` where that is what a reader takes for granted."""
        values = dataclasses.asdict(self)
        if self.exact:
            del values["exact"]
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> Geometry:
        """Return the geometry that `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Survey:
    """What a look at a sample of the pictures showed: all that the ``"auto"`` rules of a geometry need.

    `sizes` are the (height, width) found, each once; `gray` says whether every picture looked at has R = G = B.
    """

    m: int
    sizes: tuple[tuple[int, int], ...]
    gray: bool


@dataclass(frozen=True)
class DataConfig:
    """How pictures are read and split.

    The ``"auto"`` rules, applied to a sample of the pictures (see `pipeline.ingestion.ingest.survey`):

    - ``color``: gray where every picture's content is gray (R = G = B in every pixel), else rgb.
    - ``size``: the size of the pictures where all have one and the same, with no side over 64 pixels. Otherwise the
      longer side is 64 pixels, halved while n_x (inputs of the network) is more than 16 times m (pictures found), but
      not below 16: a network with far more inputs than examples learns them by heart. The aspect is that of the
      pictures where all have the same (to 1 %), else square.
    - ``fit``: crop.
    """

    size: str | Auto = option("auto", "of all pictures, in pixels: 64 for 64x64, or HEIGHTxWIDTH")
    color: str | Auto = option("auto", "of all pictures", choices=("auto", *COLORS))
    fit: str | Auto = option("auto", "another aspect is cut, gets black bars, or is distorted", choices=("auto", *FITS))
    validation: float = option(0.15, "share of the pictures that steers the training", check="fraction")
    test: float = option(0.15, "share of the pictures kept for the final test", check="fraction")
    group_by: str = option(
        "", "keep pictures together that share: a column of the manifest, 'folder', or a pattern in the path (S\\d+)"
    )
    split_seed: int = option(0, "of the random split", check="at_least_0")
    near_duplicates: bool = option(True, "also keep near duplicates (64 pixels a side and up) on one side of the split")
    drop_leaks: bool = option(False, "of ready-made splits: leave out training pictures that are also in another split")
    exact: bool = option(False, "decode large JPEGs at full size: slower, and hardly another picture")
    max_pixels: int = option(120_000_000, "a picture of more pixels is refused", check="positive")
    strict: bool = option(False, "stop at the first file that cannot be read")

    def __post_init__(self) -> None:
        check_fields(self)
        parse_size(self.size)
        if self.validation + self.test >= 1:
            raise ConfigError(
                f"validation and test: {self.validation} + {self.test} leave nothing to train on; "
                "give shares that add up to less than 1"
            )
        if self.max_pixels > LARGEST_MAX_PIXELS:
            raise ConfigError(f"max_pixels: {self.max_pixels} does not work; give {LARGEST_MAX_PIXELS} at most")


@dataclass(frozen=True)
class RunConfig:
    """What a training starts from, and what of the machine it may use."""

    start_from: str = option("", "train this model.h5 further, with its layers, classes and picture size")
    pretrain_on: str = option("", "folder of photographs for --pretrain, instead of some that are installed")
    memory: float = option(1000.0, "MB of pictures to hold in memory", check="positive")
    threads: int | Auto = option("auto", "for matrix products: all cores or 1, as found quicker", check="positive")

    def __post_init__(self) -> None:
        check_fields(self)


def parse_size(size: str) -> tuple[int, int] | None:
    """Return (height, width) of a text such as ``"64"`` or ``"64x48"``; None of ``"auto"``.

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


def resolve_geometry(config: DataConfig, survey: Survey) -> Geometry:
    """Turn every ``"auto"`` of size, colour and fit into a value, by the rules `DataConfig` states."""
    color = config.color if config.color != "auto" else "gray" if survey.gray else "rgb"
    fit = config.fit if config.fit != "auto" else "crop"
    height, width = parse_size(config.size) or _auto_size(survey, COLORS[color])
    return Geometry(height, width, color, fit, config.exact)


def _auto_size(survey: Survey, channels: int) -> tuple[int, int]:
    if len(survey.sizes) == 1 and max(survey.sizes[0]) <= LONGEST_AUTO_SIDE:
        return survey.sizes[0]
    aspects = [height / width for height, width in survey.sizes]
    same = bool(aspects) and max(aspects) <= 1.01 * min(aspects)
    aspect = aspects[0] if same else 1.0
    side = LONGEST_AUTO_SIDE
    while True:
        height, width = _sides(side, aspect)
        if height * width * channels <= PIXELS_PER_PICTURE * survey.m or side // 2 < SHORTEST_AUTO_SIDE:
            return height, width
        side //= 2


def _sides(longer: int, aspect: float) -> tuple[int, int]:
    """Return (height, width) of this aspect (height / width) whose longer side is `longer`."""
    height, width = (longer, longer / aspect) if aspect >= 1 else (longer * aspect, longer)
    return max(1, round(height)), max(1, round(width))
