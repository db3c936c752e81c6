"""A run on real images: it learns, and its folder holds what is promised."""

from __future__ import annotations

import csv
import itertools
import json

import numpy as np
import pytest
from PIL import Image

from pipeline.training.prepare import prepare
from pipeline.training.resume import resume


@pytest.mark.slow
def test_beats_majority_and_chance_on_held_out_faces(train_in, faces, tmp_path):
    result = train_in(tmp_path / "run", faces)

    assert result.evaluated_on == "test"
    assert result.scores["test"].accuracy > 0.85
    majority = next(b for b in result.baselines if b.name == "majority class")
    assert majority.accuracy == pytest.approx(0.5, abs=0.1)
    assert result.scores["test"].low > majority.accuracy


def test_run_folder_holds_what_is_promised(run_path):
    assert {"model.h5", "checkpoint.h5", "data.h5", "config.toml", "history.csv", "metrics.json", "report.html",
            "filters.png"} <= {path.name for path in run_path.iterdir()}  # fmt: skip
    metrics = json.loads((run_path / "metrics.json").read_text())
    with (run_path / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert len(history) == 15
    assert metrics["splits"]["test"]["m"] == 30
    with Image.open(run_path / "filters.png") as image:
        assert np.asarray(image.convert("L")).std() > 5  # something is drawn
    assert not [path for path in run_path.iterdir() if path.name.startswith(".")]


def test_what_stops_an_epoch_undoes_it(faces, small, tmp_path):
    """140 training images in batches of 32 are five steps: the eighth batch is in the second epoch."""

    class Stop(Exception):
        pass

    batches = itertools.count(1)

    def stop():
        if next(batches) == 8:
            raise Stop

    run = prepare(faces, tmp_path / "run", recipe=small)
    with run.dataset:
        epochs = run.epochs(before_batch=stop)
        next(epochs)
        weights = run.state.parameters.flat.copy()
        with pytest.raises(Stop):
            next(epochs)
        assert run.state.epoch == 1
        np.testing.assert_array_equal(run.state.parameters.flat, weights)
    with (resumed := resume(tmp_path / "run")).dataset:
        np.testing.assert_array_equal(resumed.state.parameters.flat, weights)
