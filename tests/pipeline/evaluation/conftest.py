"""A run on digits, with enough validation images to fit a temperature."""

from __future__ import annotations

import pytest

from model.config import NetworkConfig, TrainingConfig
from pipeline.sources.demo import write_demo
from pipeline.training.prepare import prepare


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """Return the folder of images, and that of a run on them: enough of them to have a temperature."""
    folder = tmp_path_factory.mktemp("digits")
    images = write_demo("digits", folder / "digits")
    run = prepare(
        images,
        folder / "run",
        network=NetworkConfig(hidden=(32,)),
        training=TrainingConfig(epochs=3, pretrain="none"),
    )
    with run.dataset:
        list(run.epochs())
        run.finish()
    return images, folder / "run"
