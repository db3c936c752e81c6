"""What settings become for a data set, without training anything."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from model.config import NetworkConfig, TrainingConfig, resolve
from model.errors import ConfigError
from model.parameters import LayerShapes, Parameters, layer_shapes
from pipeline.images.augment import AugmentConfig, resolve_augmentation
from pipeline.playground.images import ImageSet
from pipeline.settings import NONE, value_text
from pipeline.training.pretrain import resolve_pretraining
from pipeline.training.recipe import Recipe

MOST_PARAMETERS = 20_000_000  # a training holds about six numbers for each: 0.5 GB


@dataclass(frozen=True)
class Plan:
    """What settings come to for images: nothing is "auto" any more."""

    network: NetworkConfig
    training: TrainingConfig
    augmentation: AugmentConfig
    layers: list[LayerShapes]

    @property
    def n_parameters(self) -> int:
        """Numbers that are learned."""
        return sum(row.n_parameters for row in self.layers)

    def texts(self) -> dict[str, str]:
        """Return all settings as words."""
        values = {**vars(self.network), **vars(self.training), **vars(self.augmentation)}
        return {name: value_text(value) or NONE for name, value in values.items()}


def make_plan(recipe: Recipe, image_set: ImageSet) -> Plan:
    """Resolve settings for images, and list the shapes of the network, without training anything.

    Raises
    ------
    ConfigError
        When they cannot work together, or the network is too large to be trained beside a page; the message begins
        with the setting's name.
    """
    m, n_classes = image_set.counts["train"], len(image_set.classes)
    if recipe.training.patience and not image_set.counts["validation"]:
        raise ConfigError("patience: early stopping needs validation images, and there are none; set it to 0")
    augmentation = resolve_augmentation(recipe.augmentation, m)
    training = resolve_pretraining(recipe.training, recipe.network, augmentation, image_set.geometry, None)
    network, training = resolve(recipe.network, training, n_x=image_set.geometry.n_x, m=m, n_classes=n_classes)
    dims = network.layer_dims(image_set.geometry.n_x, n_classes)
    size = sum((before + 1) * units for before, units in itertools.pairwise(dims))
    if size > MOST_PARAMETERS:
        raise ConfigError(
            f"hidden: the network has {size:,} parameters, more than the {MOST_PARAMETERS:,} that are trained here; "
            "give fewer units, or train it in a terminal"
        )
    layers = layer_shapes(Parameters(dims, batch_norm=network.batch_norm is True), network)
    return Plan(network, training, augmentation, layers)
