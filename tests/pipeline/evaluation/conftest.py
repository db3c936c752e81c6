"""A run on digits, with enough validation images to fit a temperature."""

from __future__ import annotations

import pytest

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED
from pipeline.sources.demo import write_demo
from pipeline.training.recipe import Recipe


@pytest.fixture(scope="session")
def digits(train_in, tmp_path_factory):
    """Return the folder of images, and that of a run on them: enough of them to have a temperature."""
    folder = tmp_path_factory.mktemp("digits")
    images = write_demo("digits", folder / "digits")
    train_in(
        folder / "run", images, recipe=Recipe(NetworkConfig(hidden=(32,)), TrainingConfig(epochs=3), NOT_PRETRAINED)
    )
    return images, folder / "run"
