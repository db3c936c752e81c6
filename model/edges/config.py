"""Hyperparameters of what is learned without labels, before the training."""

from __future__ import annotations

from dataclasses import dataclass

from model.config import check_fields, option
from model.edges.first_layer import PRETRAINERS
from model.errors import ConfigError


@dataclass(frozen=True)
class PretrainConfig:
    """How the first layers learn edges from images without labels, and how images are normalised for them.

    A field may be ``"auto"``; `pipeline.training.recipe.resolve_recipe` turns it into a value.
    """

    pretrain: str = option(
        "auto",
        "how layer 1 learns edges from photographs, without labels, before the training; its learning rate is then 0.3 "
        "of that of other layers (0.1 if images have more than 32 pixels a side), unless layer_rates are given",
        choices=("auto", "none", *PRETRAINERS),
    )
    pretrain_layers: int = option(
        1,
        "number of hidden layers that learn without labels: layer 1 edges, layers 2 and 3 combinations of them in the "
        "training images",
        check="one_to_three",
    )
    largest_change: float = option(
        0.3,
        "how far the training may move the weights of each pretrained unit of layer 1, as a share of their length, so "
        "that its edge stays; 0: as far as it likes",
        check="at_least_0",
    )
    normalize_contrast: bool = option(
        False,
        "give every image mean 0 and standard deviation 1 first, in training and in use: bright and dim light are then "
        "alike",
    )

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def is_on(self) -> bool:
        """Whether anything is learned without labels (a resolved configuration)."""
        return self.pretrain != "none"

    def check(self, n_hidden: int) -> None:
        """Make sure that a network with this many hidden layers can be pretrained.

        Raises
        ------
        ConfigError
            When it cannot.
        """
        if self.is_on and not n_hidden:
            raise ConfigError("pretrain: there is no hidden layer to pretrain; give --hidden, or set pretrain to none")
        if not self.is_on and self.pretrain_layers > 1:
            raise ConfigError("pretrain_layers: needs a pretrained layer 1 to build on; leave it at 1, or set pretrain")
        if self.pretrain_layers > max(1, n_hidden):
            raise ConfigError(
                f"pretrain_layers: {self.pretrain_layers} asked for, but the network has {n_hidden} hidden; "
                "give hidden more of them"
            )


NOT_PRETRAINED = PretrainConfig("none")
