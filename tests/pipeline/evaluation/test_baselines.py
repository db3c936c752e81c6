"""Baselines are fitted on the training split, and scored on another one."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest

from pipeline.data.dataset import Dataset
from pipeline.data.splits import Split
from pipeline.evaluation.baselines import baselines


def score_baselines(path):
    with Dataset.open(path) as dataset:
        return baselines(dataset, "test")


def poison(path, target, change):
    """Copy a data set, and change the labels (0 or 1) of its training images."""
    shutil.copy(path, target)
    with h5py.File(target, "r+") as file:
        labels, is_train = file["labels"][()], file["split"][()] == Split.TRAIN
        labels[is_train] = change(labels[is_train])
        file["labels"][...] = labels
    return target


def test_logistic_regression_beats_the_majority_class_on_faces(run_path):
    majority, logistic = score_baselines(run_path / "data.h5")
    assert majority.accuracy == pytest.approx(0.5, abs=0.01)
    assert logistic.accuracy > 0.8


def test_baselines_learn_from_the_training_images_only(run_path, tmp_path):
    _, logistic = score_baselines(poison(run_path / "data.h5", tmp_path / "swapped.h5", lambda labels: 1 - labels))
    assert logistic.accuracy < 0.2  # it predicts the labels it was given, and those are wrong
    rng = np.random.default_rng(0)
    shuffled = poison(run_path / "data.h5", tmp_path / "shuffled.h5", rng.permutation)
    assert 0.2 < score_baselines(shuffled)[1].accuracy < 0.8  # chance


def test_the_majority_class_is_that_of_the_training_images(run_path, tmp_path):
    def mostly_second(labels):
        return np.where(np.arange(len(labels)) < 5, 0, 1)

    majority, _ = score_baselines(poison(run_path / "data.h5", tmp_path / "second.h5", mostly_second))
    assert majority.note == "always predicts other"
