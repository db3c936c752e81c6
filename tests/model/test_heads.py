"""Heads: costs compared with scikit-learn and SciPy, gradients with finite differences, and extreme logits."""

import numpy as np
import pytest
from scipy import special
from sklearn.metrics import log_loss

from model.heads import HEADS

RNG = np.random.default_rng(1)
LABELS = {"softmax": (RNG.integers(0, 4, 9), 4), "sigmoid": (RNG.integers(0, 2, 9), 2)}


def example(name: str, smoothing: float = 0.0):
    labels, n_classes = LABELS[name]
    head = HEADS[name]
    logits = np.random.default_rng(2).normal(size=(head.n_outputs(n_classes), len(labels))) * 3
    return head, labels, n_classes, logits, head.targets(labels, n_classes, smoothing, np.dtype(np.float64))


@pytest.mark.parametrize("name", HEADS)
def test_mean_loss_is_scikit_learns_log_loss(name):
    head, labels, n_classes, logits, Y = example(name)
    expected = log_loss(labels, head.class_probabilities(logits).T, labels=range(n_classes))
    assert head.losses(logits, Y).mean() == pytest.approx(expected, rel=1e-12)


def test_probabilities_are_scipys():
    head, *_, logits, _ = example("softmax")
    np.testing.assert_allclose(head.class_probabilities(logits), special.softmax(logits, axis=0), rtol=1e-12)
    head, *_, logits, _ = example("sigmoid")
    np.testing.assert_allclose(head.class_probabilities(logits)[1], special.expit(logits[0]), rtol=1e-12)


def test_sigmoid_is_softmax_over_logits_0_and_z():
    sigmoid, labels, _, logits, Y = example("sigmoid", smoothing=0.1)
    softmax = HEADS["softmax"]
    both = np.concatenate([np.zeros_like(logits), logits])
    np.testing.assert_allclose(sigmoid.class_probabilities(logits), softmax.class_probabilities(both), rtol=1e-12)
    np.testing.assert_allclose(
        sigmoid.losses(logits, Y), softmax.losses(both, softmax.targets(labels, 2, 0.1, np.dtype(np.float64)))
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("name", HEADS)
def test_gradient_is_that_of_the_weighted_cost(name, smoothing):
    head, labels, _, logits, Y = example(name, smoothing)
    weights = np.random.default_rng(3).random(len(labels))
    numerical = np.empty_like(logits)
    for k in np.ndindex(logits.shape):
        nudge = np.zeros_like(logits)
        nudge[k] = 1e-6
        numerical[k] = (head.losses(logits + nudge, Y) - head.losses(logits - nudge, Y)) @ weights / 2e-6
    np.testing.assert_allclose(head.backward(logits, Y, weights), numerical, atol=1e-8)


@pytest.mark.parametrize("name", HEADS)
def test_smoothed_targets_distribute_the_share_over_the_classes(name):
    _, labels, n_classes, _, Y = example(name, smoothing=0.2)
    of_label = Y[labels, np.arange(len(labels))] if len(Y) > 1 else np.where(labels == 1, Y[0], 1 - Y[0])
    np.testing.assert_allclose(of_label, 0.8 + 0.2 / n_classes)
    assert len(Y) == 1 or np.allclose(Y.sum(axis=0), 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", HEADS)
def test_extreme_logits_have_finite_costs_and_probabilities(name, dtype):
    head = HEADS[name]
    n = head.n_outputs(2)
    logits = np.array([[1e4, -1e4, 1e4, -1e4], [-1e4, 1e4, -1e4, 1e4]], dtype)[2 - n :]
    Y = head.targets(np.array([0, 1, 1, 0]), 2, 0.0, np.dtype(dtype))  # right, right, wrong, wrong
    losses = head.losses(logits, Y)
    assert losses.dtype == dtype
    assert np.isfinite(losses).all()
    assert (losses[:2] == 0).all()
    assert (losses[2:] >= 1e4).all()
    np.testing.assert_array_equal(head.class_probabilities(logits), [[1, 0, 1, 0], [0, 1, 0, 1]])
    np.testing.assert_allclose(head.class_probabilities(logits / 7).sum(axis=0), 1, rtol=1e-6)


def test_softmax_does_not_change_when_all_logits_shift():
    head, *_, logits, Y = example("softmax")
    np.testing.assert_allclose(head.activate(logits + 500), head.activate(logits), rtol=1e-10)
    np.testing.assert_allclose(head.losses(logits + 500, Y), head.losses(logits, Y), rtol=1e-10)


def test_sigmoid_head_with_three_classes_raises():
    with pytest.raises(ValueError, match="separates two classes, not 3; use the softmax head"):
        HEADS["sigmoid"].n_outputs(3)
