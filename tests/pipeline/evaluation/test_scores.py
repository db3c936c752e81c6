"""Scores agree with an independent implementation, and say how uncertain they are."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, recall_score

from pipeline.evaluation.scores import most_confused, score


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


def test_most_confused_lists_only_errors_the_most_frequent_first():
    confusion = [[9, 0, 2], [5, 8, 0], [0, 1, 7]]
    assert most_confused(confusion, "abc") == [("b", "a", 5), ("a", "c", 2), ("c", "b", 1)]
    assert most_confused(confusion, "abc", limit=1) == [("b", "a", 5)]
