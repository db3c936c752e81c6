"""What several tests of the training do."""

from __future__ import annotations

import pytest

from pipeline.training.finish import finish
from pipeline.training.prepare import prepare


@pytest.fixture(scope="session")
def train_in():
    """Return a function that trains in a folder, to the end, and returns the result."""

    def train(folder, source, **options):
        run = prepare(source, folder, **options)
        with run.dataset:
            list(run.epochs())
            return finish(run)

    return train
