"""What the Playground says of settings is what a run uses."""

from __future__ import annotations

import numpy as np
import pytest

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import PretrainConfig
from model.errors import ConfigError
from pipeline.images.augment import AugmentConfig
from pipeline.playground.images import read_image_set
from pipeline.playground.plan import make_plan
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe


def image_set(folder, m, side=8, n_classes=2):
    """Images of noise, of which m are for training."""
    rng = np.random.default_rng(0)
    sizes = {"train": m, "val": 40, "test": 20}
    images = {f"{split}_images": rng.integers(0, 256, (n, side, side), np.uint8) for split, n in sizes.items()}
    labels = {f"{split}_labels": np.arange(n) % n_classes for split, n in sizes.items()}
    np.savez(folder / "noise.npz", **images, **labels)
    return read_image_set(str(folder / "noise.npz"), folder)


@pytest.mark.parametrize(
    ("m", "side", "n_classes", "recipe"),
    [
        (90, 8, 2, Recipe()),
        (90, 6, 3, Recipe(NetworkConfig(hidden=(9, 5)), TrainingConfig(epochs=2, patience=1))),
        (1_200, 8, 3, Recipe(training=TrainingConfig(optimizer="sgd"), augmentation=AugmentConfig("objects"))),
        (90, 34, 2, Recipe(NetworkConfig(hidden=(8,)), pretraining=PretrainConfig("rica"))),
        pytest.param(10_000, 8, 2, Recipe(augmentation=AugmentConfig("digits")), marks=pytest.mark.slow),
        (10_000, 8, 2, Recipe(augmentation=AugmentConfig("none"))),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_the_plan_is_what_a_run_uses(tmp_path, m, side, n_classes, recipe):
    images = image_set(tmp_path, m, side, n_classes)

    plan = make_plan(recipe, images)

    with (run := prepare(images.data, tmp_path / "run", recipe=recipe)).dataset:
        found = plan.recipe
        assert found.network == run.state.network
        assert found.training == run.state.training
        assert (found.pretraining, found.augmentation) == (run.pretraining, run.augmentation)
        assert plan.n_parameters == run.state.parameters.flat.size
    assert plan.texts()["epochs"] == str(run.state.training.epochs)


def test_a_network_too_large_for_a_page_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"^hidden: the network has .* more than the 20,000,000"):
        make_plan(Recipe(NetworkConfig(hidden=(9_000, 9_000))), image_set(tmp_path, 50))
