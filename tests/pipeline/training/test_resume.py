"""A run that was interrupted, or is finished, is opened again from its checkpoint."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from pipeline.classifier import ImageClassifier
from pipeline.data.config import DataConfig
from pipeline.errors import InputError
from pipeline.training.finish import finish
from pipeline.training.prepare import prepare
from pipeline.training.resume import resume


def test_resumed_run_ends_like_an_undisturbed_one(faces, run_path, small, tmp_path):
    run = prepare(faces, tmp_path / "run", recipe=small)
    with run.dataset:
        for record in run.epochs():
            if record.epoch == 6:
                break
    resumed = resume(tmp_path / "run")
    with resumed.dataset:
        assert resumed.state.epoch == 6
        list(resumed.epochs())
        found = finish(resumed).classifier

    np.testing.assert_array_equal(found.parameters.flat, ImageClassifier.load(run_path).parameters.flat)


def test_resume_refuses_other_data(faces, small, tmp_path):
    run = prepare(faces, tmp_path / "run", recipe=small)
    with run.dataset:
        next(run.epochs())
        run.save_checkpoint()
    (tmp_path / "run" / "data.h5").unlink()
    other = prepare(faces, tmp_path / "other", data=DataConfig(split_seed=9), recipe=small)
    other.dataset.close()
    shutil.copy(tmp_path / "other" / "data.h5", tmp_path / "run" / "data.h5")

    with pytest.raises(InputError, match="has changed since"):
        resume(tmp_path / "run")


def test_a_folder_of_runs_names_those_that_can_be_resumed(tmp_path):
    for name in ("done", "first", "prepared"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    for name in ("done/checkpoint.h5", "done/report.html", "first/checkpoint.h5", "prepared/data.h5"):
        (tmp_path / "runs" / name).touch()
    with pytest.raises(InputError, match=r"holds several runs; name one of them: \S+/runs/first, \S+/runs/done$"):
        resume(tmp_path / "runs")
    with pytest.raises(InputError, match="start over with the command that began the run, and  --name prepared --over"):
        resume(tmp_path / "runs" / "prepared")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="name the folder of a run"):
        resume(tmp_path / "empty")


def test_the_time_that_the_preparation_took_is_resumed_too(faces, small, tmp_path):
    run = prepare(faces, tmp_path / "run", recipe=small)
    with run.dataset:
        next(run.epochs())
    assert run.seconds["reading images"] > 0
    with (resumed := resume(tmp_path / "run")).dataset:
        assert resumed.seconds == run.seconds
