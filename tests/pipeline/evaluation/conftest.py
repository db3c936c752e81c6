"""A run on digits, with enough validation images to fit a temperature."""

from __future__ import annotations

import pytest

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED
from pipeline.sources.demo import write_demo
from pipeline.training.finish import finish
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """Return the folder of images, and that of a run on them: enough of them to have a temperature."""
    folder = tmp_path_factory.mktemp("digits")
    images = write_demo("digits", folder / "digits")
    run = prepare(
        images,
        folder / "run",
        recipe=Recipe(NetworkConfig(hidden=(32,)), TrainingConfig(epochs=3), NOT_PRETRAINED),
    )
    with run.dataset:
        list(run.epochs())
        finish(run)
    return images, folder / "run"
