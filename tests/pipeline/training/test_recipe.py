"""What "auto" becomes for images, and what cannot work together."""

from __future__ import annotations

import dataclasses

import pytest

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED, PretrainConfig
from model.errors import ConfigError
from pipeline.errors import InputError
from pipeline.images.augment import AugmentConfig
from pipeline.images.geometry import Geometry
from pipeline.training.recipe import DataFacts, Recipe, RunConfig, resolve_recipe

GEOMETRY = Geometry(28, 28, "gray", "crop")
MOVED = AugmentConfig(augment="none", shift=0.1)


def resolved(recipe=None, *, m=500, n_classes=3, geometry=GEOMETRY, augmentation=None):
    return resolve_recipe(recipe or Recipe(), DataFacts(m, n_classes, geometry, augmentation))


@pytest.mark.parametrize("m", [1, 50, 5_000, 20_000])
def test_nothing_auto_is_left_and_it_stays_as_it_is(m):
    found = resolved(m=m)
    configs = (found.network, found.training, found.pretraining, found.augmentation)
    assert not [config for config in configs if "auto" in vars(config).values()]
    assert resolved(Recipe(*configs), m=m) == found


def test_many_augmented_images_are_trained_on_for_longer():
    digits = Recipe(augmentation=AugmentConfig("digits"))
    assert resolved(m=20_000).training.epochs == 12
    assert resolved(digits, m=20_000).training.epochs == 20
    assert resolved(m=20_000, augmentation=resolved(digits, m=20_000).augmentation).training.epochs == 20
    assert resolved(digits, m=5_000).training.epochs == 20  # as without augmentation
    given = dataclasses.replace(digits, training=TrainingConfig(epochs=7))
    assert resolved(given, m=20_000).training.epochs == 7


@pytest.mark.parametrize(("size", "rate"), [((32, 32), 0.3), ((20, 33), 0.1)])
def test_enlarged_filters_learn_more_slowly(size, rate):
    geometry = Geometry(*size, "rgb", "crop")
    found = resolved(geometry=geometry, augmentation=MOVED)
    assert found.pretraining.pretrain == "sparse_filtering"
    assert found.training.layer_rates == (rate, 1.0, 1.0)
    plain = resolved(Recipe(pretraining=NOT_PRETRAINED), geometry=geometry, augmentation=MOVED)
    assert plain.training.layer_rates == ()
    asked = resolved(Recipe(training=TrainingConfig(layer_rates=(0.7,))), geometry=geometry, augmentation=MOVED)
    assert asked.training.layer_rates == (0.7, 1.0, 1.0)
    two = resolved(Recipe(pretraining=PretrainConfig("rica", 2)), geometry=geometry)
    assert two.training.layer_rates == (0.1, 0.3, 1.0)


@pytest.mark.parametrize(
    ("recipe", "geometry", "expected"),
    [
        (Recipe(), GEOMETRY, "sparse_filtering"),  # few images are shifted
        (Recipe(augmentation=AugmentConfig("none")), GEOMETRY, "none"),
        (Recipe(), Geometry(7, 28, "gray", "crop"), "none"),
        (Recipe(NetworkConfig(hidden=())), GEOMETRY, "none"),
        (Recipe(augmentation=AugmentConfig("none"), run=RunConfig(pretrain_on="photos")), GEOMETRY, "sparse_filtering"),
        (Recipe(augmentation=AugmentConfig("none"), pretraining=PretrainConfig(pretrain_layers=2)), GEOMETRY,
         "sparse_filtering"),
    ],
)  # fmt: skip
def test_edges_are_learned_if_they_help_or_are_asked_for(recipe, geometry, expected):
    assert resolved(recipe, geometry=geometry).pretraining.pretrain == expected


@pytest.mark.parametrize(
    ("network", "pretraining", "message"),
    [
        (NetworkConfig(hidden=(4,)), PretrainConfig("rica", 2), "pretrain_layers: 2 asked for, but .* 1 hid"),
        (NetworkConfig(), PretrainConfig("none", 2), "pretrain_layers: needs a pretrained layer 1"),
        (NetworkConfig(), PretrainConfig(pretrain_layers=3), "pretrain_layers: 3 asked for, but .* 2 hid"),
        (NetworkConfig(hidden=()), PretrainConfig("rica"), "pretrain: there is no hidden layer to pretrain"),
        (NetworkConfig(hidden=()), PretrainConfig("rica", 2), "pretrain: there is no hidden layer to pretrain"),
    ],
)
def test_layers_that_cannot_be_pretrained_are_refused(network, pretraining, message):
    with pytest.raises(ConfigError, match=message):
        resolved(Recipe(network, pretraining=pretraining))


def test_photographs_that_nothing_learns_from_are_refused():
    with pytest.raises(InputError, match="leave out one of them"):
        resolved(Recipe(pretraining=NOT_PRETRAINED, run=RunConfig(pretrain_on="photos")))


def test_fine_tuning_takes_smaller_steps_unless_told_otherwise():
    tuning = RunConfig(start_from="model.h5")
    usual = resolved().training.learning_rate
    assert resolved(Recipe(run=tuning)).training.learning_rate == pytest.approx(usual / 10)
    given = Recipe(training=TrainingConfig(learning_rate=0.5), run=tuning)
    assert resolved(given).training.learning_rate == 0.5
