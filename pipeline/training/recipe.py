"""Everything that decides what comes out of a training run, but for the images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model.config import NetworkConfig, TrainingConfig, check_fields, option
from pipeline.data.config import Auto
from pipeline.images.augment import AugmentConfig


@dataclass(frozen=True)
class RunConfig:
    """What a training starts from, and what of the machine it may use."""

    start_from: str = option("", "train this model.h5 further, with its layers, classes and image size")
    pretrain_on: str = option("", "folder of photographs for --pretrain, instead of some that are installed")
    memory: float = option(1000.0, "MB of images to hold in memory", check="positive")
    threads: int | Auto = option("auto", "for matrix products: all cores or 1, as found quicker", check="positive")

    def __post_init__(self) -> None:
        check_fields(self)


DEFAULT_MEMORY = 1_000_000_000  # bytes of images held in memory before training reads from the file instead


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out of a training, but for the images.

    Attributes
    ----------
    network, training, augmentation
        Configurations; their "auto" values are resolved for the images.
    pretrain_on : str or Path, optional
        Folder of photographs for `training.pretrain`; None: those that come with scikit-learn and scikit-image.
    memory : int
        Bytes of images to hold in memory.
    threads : int, optional
        That share a matrix product; by default all cores or one, whichever is quicker in a few trial steps. The same
        number on the same machine gives the same weights, bit for bit.
    """

    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    augmentation: AugmentConfig = AugmentConfig()
    pretrain_on: str | Path | None = None
    memory: int = DEFAULT_MEMORY
    threads: int | None = None
