"""What settings become for a data set, without training anything."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from model.errors import ConfigError
from model.parameters import LayerShapes, Parameters, layer_shapes
from pipeline.playground.images import ImageSet
from pipeline.settings import CONFIGURATIONS, NONE
from pipeline.text import value_text
from pipeline.training.recipe import DataFacts, Recipe, ResolvedRecipe, resolve_recipe

MOST_PARAMETERS = 20_000_000  # a training holds about six arrays of this size: 0.5 GB


@dataclass(frozen=True)
class Plan:
    """The resolved settings for images, and the shapes of the network."""

    recipe: ResolvedRecipe
    layers: list[LayerShapes]

    @property
    def n_parameters(self) -> int:
        """Number of parameters that are learned."""
        return sum(row.n_parameters for row in self.layers)

    def texts(self) -> dict[str, str]:
        """Return all settings as text."""
        configs = [vars(getattr(self.recipe, section)) for section in CONFIGURATIONS]
        return {name: value_text(value) or NONE for config in configs for name, value in config.items()}


def make_plan(recipe: Recipe, image_set: ImageSet) -> Plan:
    """Resolve settings for images as a training run does, but for the trial of augmentations, and list the shapes.

    Raises
    ------
    ConfigError
        When the settings cannot work together, or the network is too large to be trained beside a page; the message
        begins with the name of the setting.
    """
    m, n_classes, geometry = image_set.counts["train"], len(image_set.classes), image_set.geometry
    if recipe.training.patience and not image_set.counts["validation"]:
        raise ConfigError("patience: early stopping needs validation images, and there are none; set it to 0")
    resolved = resolve_recipe(recipe, DataFacts(m, n_classes, geometry))
    network = resolved.network
    dims = network.layer_dims(geometry.n_x, n_classes)
    size = sum((before + 1) * units for before, units in itertools.pairwise(dims))
    if size > MOST_PARAMETERS:
        raise ConfigError(
            f"hidden: the network has {size:,} parameters, more than the {MOST_PARAMETERS:,} that are trained here; "
            "give fewer units, or train it in a terminal"
        )
    return Plan(resolved, layer_shapes(Parameters(dims, batch_norm=network.batch_norm is True), network))
