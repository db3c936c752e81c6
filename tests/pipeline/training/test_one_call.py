"""Training in one call makes the same run as training step by step."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.finish import finish
from pipeline.training.one_call import train_classifier
from pipeline.training.prepare import prepare


@pytest.mark.slow
def test_it_makes_the_run_that_the_steps_make(faces, tmp_path):
    settings = {"epochs": 1, "hidden": (4,), "pretrain": "none", "augment": "none", "threads": 1}
    result = train_classifier(faces, tmp_path / "a", **settings)
    run = prepare(faces, tmp_path / "b", **settings)
    with run.dataset:
        list(run.epochs())
        expected = finish(run)
    assert np.array_equal(result.classifier.parameters.flat, expected.classifier.parameters.flat)
    assert {path.name for path in (tmp_path / "a").iterdir()} == {path.name for path in (tmp_path / "b").iterdir()}
