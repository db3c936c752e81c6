"""Scores, and what must not be counted."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, recall_score

from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.evaluation.baselines import baselines
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.scores import score, split_probabilities


@pytest.fixture(scope="module")
def classifier(run_path):
    return ImageClassifier.load(run_path)


def test_score_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 300).T
    labels = rng.integers(0, 4, 300)
    found = score(probabilities, labels, ("a", "b", "c", "d"))

    predicted = probabilities.argmax(axis=0)
    assert found.accuracy == accuracy_score(labels, predicted)
    assert found.log_loss == pytest.approx(log_loss(labels, probabilities.T))
    np.testing.assert_allclose(found.recall, recall_score(labels, predicted, average=None))
    assert found.low < found.accuracy < found.high
    assert np.sum(found.confusion) == 300
    assert found.confusion[1][2] == np.count_nonzero((labels == 1) & (predicted == 2))


def test_perfect_score_still_has_an_interval():
    found = score(np.eye(2)[:, [0, 1] * 15], np.array([0, 1] * 15), ("a", "b"))
    assert found.accuracy == 1
    assert found.low < 0.95


def test_images_of_the_training_are_left_out(classifier, run_path, faces):
    from_folder, notes = evaluate(classifier, faces)
    from_file, no_notes = evaluate(classifier, run_path / "data.h5")

    assert from_folder == from_file  # both are the 30 test images
    assert "170 of 200" in notes[0]
    assert not no_notes
    everything, _ = evaluate(classifier, faces, include_trained=True)
    assert everything.m == 200


def test_folder_with_classes_in_another_order_is_matched_by_name(classifier, faces, tmp_path):
    shutil.copytree(faces / "other", tmp_path / "all" / "other")
    only, _ = evaluate(classifier, tmp_path / "all", include_trained=True)

    assert only.support == (0, 100)
    assert only.recall[1] > 0.8


def test_unknown_class_is_named(classifier, faces, tmp_path):
    shutil.copytree(faces / "face", tmp_path / "all" / "faces")
    with pytest.raises(InputError, match="faces, which the model does not know; it knows face, other"):
        evaluate(classifier, tmp_path / "all", include_trained=True)


def test_nothing_left_is_said(classifier, run_path, tmp_path):
    with pytest.raises(InputError, match="took part in the training"):
        evaluate(classifier, _only_training(run_path / "data.h5", tmp_path / "only-training.h5"))


def _only_training(path, target):
    import h5py

    shutil.copy(path, target)
    with h5py.File(target, "r+") as file:
        split = file["split"][()]
        split[split == 2] = 3
        split[split == 0] = 2
        file["split"][...] = split
    return target


def test_baselines_learn_from_training_images_only(run_path):
    with Dataset.open(run_path / "data.h5") as dataset:
        majority, logistic = baselines(dataset, "test")
        _, labels, indices = split_probabilities(ImageClassifier.load(run_path), dataset, "test")

    assert len(indices) == 30
    assert majority.accuracy == pytest.approx(max(np.mean(labels == 0), np.mean(labels == 1)), abs=0.01)
    assert logistic.accuracy > majority.accuracy
