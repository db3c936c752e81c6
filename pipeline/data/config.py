"""How images are read and split: the settings, each with its one default."""

from __future__ import annotations

from dataclasses import dataclass

from model.config import Auto, check_fields, option
from model.errors import ConfigError
from pipeline.data.splits import Shares
from pipeline.images.geometry import COLORS, FITS, MAX_PIXELS, parse_size

_SPELLINGS = {"gray": "gray", "grey": "gray", "grayscale": "gray", "greyscale": "gray", "rgb": "rgb"}
LARGEST_MAX_PIXELS = 178_956_970  # Pillow rejects images of more pixels


@dataclass(frozen=True)
class DataConfig:
    """How images are read and split.

    The ``"auto"`` rules, applied to a sample of the images (see `pipeline.ingestion.survey.survey`):

    - ``color``: gray if the content of every image is gray (R = G = B in every pixel), else rgb.
    - ``size``: the size of the images if all have the same size, with no side over 64 pixels. Otherwise the longer
      side is 64 pixels, halved while n_x (inputs of the network) is more than 16 times m (images found), but not below
      16: a network with far more inputs than examples overfits. The aspect ratio is that of the images if all have the
      same (to 1 %), else 1.
    - ``fit``: crop.
    """

    size: str | Auto = option("auto", "size of all images, in pixels: 64 for 64x64, or HEIGHTxWIDTH")
    color: str | Auto = option("auto", "colour of all images", choices=("auto", *COLORS))
    fit: str | Auto = option(
        "auto",
        "how images of another aspect ratio are fitted: cut (crop), padded with black (pad) or distorted (stretch)",
        choices=("auto", *FITS),
    )
    validation: float = option(0.15, "share of the images held out to choose the best epoch by", check="fraction")
    test: float = option(0.15, "share of the images held out for the final test", check="fraction")
    group_by: str = option(
        "",
        "what images of one group share, so that all are in one split: their folder, a column of the manifest, or what "
        "a pattern such as S\\d+ finds in the path",
    )
    split_seed: int = option(0, "random seed of the split", check="at_least_0")
    near_duplicates: bool = option(True, "keep near duplicates in one split, too (images of 64 pixels a side and up)")
    drop_leaks: bool = option(False, "leave out training images that are also in another split (ready-made splits)")
    exact: bool = option(False, "decode large JPEGs at full size: slower, with almost identical results")
    scale: float = option(
        0.0,
        "value of white in images that are not 8-bit, such as 4095; 0: by their type (docs/data.md)",
        check="at_least_0",
    )
    max_pixels: int = option(
        MAX_PIXELS, "largest number of pixels of an image; larger ones are rejected", check="positive"
    )
    strict: bool = option(False, "stop at the first file that cannot be read")

    def __post_init__(self) -> None:
        if isinstance(self.color, str):
            object.__setattr__(self, "color", _SPELLINGS.get(self.color.lower(), self.color))
        check_fields(self)
        parse_size(self.size)
        if self.validation + self.test >= 1:
            raise ConfigError(
                f"validation and test: {self.validation} + {self.test} leave nothing to train on; "
                "give shares that add up to less than 1"
            )
        if self.max_pixels > LARGEST_MAX_PIXELS:
            raise ConfigError(f"max_pixels: {self.max_pixels} does not work; give {LARGEST_MAX_PIXELS} at most")

    @property
    def shares(self) -> Shares:
        """Return how to divide images."""
        return Shares(self.validation, self.test, self.split_seed)
