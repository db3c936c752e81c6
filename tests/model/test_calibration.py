"""Temperature and doubt: better where they can be, and no worse where they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist
from scipy.special import log_softmax
from sklearn.metrics import log_loss

from model.activations import sigmoid
from model.calibration import (
    FEWEST_FOR_TEMPERATURE,
    calibrate,
    distances,
    fit_distance,
    fit_temperature,
    fold_temperature,
    log_other_probability,
    network_outputs,
)
from model.config import NetworkConfig
from model.network import class_probabilities
from model.parameters import initialize


def draw(rng, m, sharpness, n_classes=3):
    """Draw logits that are `sharpness` times too far apart, and labels."""
    logits = rng.normal(0, 1.5, (n_classes, m))
    P = np.exp(log_softmax(logits, axis=0))
    labels = (rng.random(m) > np.cumsum(P, axis=0)).sum(axis=0)
    return logits * sharpness, labels


@pytest.mark.parametrize("sharpness", [0.7, 3.0])
def test_temperature_is_the_likeliest_and_helps_on_fresh_examples(sharpness):
    rng = np.random.default_rng(0)
    logits, labels = draw(rng, 3000, sharpness)
    T = fit_temperature(logits, labels, 3, "softmax")
    cost = lambda T: -log_softmax(logits / T, axis=0)[labels, np.arange(3000)].mean()  # noqa: E731
    assert pytest.approx(minimize_scalar(cost, bounds=(0.5, 10), method="bounded").x, rel=1e-3) == T
    fresh, truth = draw(rng, 3000, sharpness)
    before, after = (log_loss(truth, np.exp(log_softmax(fresh / t, axis=0)).T) for t in (1, T))
    assert after < before


def test_two_classes_with_a_sigmoid():
    rng = np.random.default_rng(1)
    z = rng.normal(0, 2, 2000)
    labels = (rng.random(2000) < sigmoid(z)).astype(int)
    assert fit_temperature(4 * z[None], labels, 2, "sigmoid") == pytest.approx(4, rel=0.15)


def test_temperature_stays_1_where_it_cannot_be_known():
    rng = np.random.default_rng(2)
    logits, labels = draw(rng, FEWEST_FOR_TEMPERATURE - 1, 5)
    assert fit_temperature(logits, labels, 3, "softmax") == 1  # too few
    logits, _ = draw(rng, 1000, 5)
    assert fit_temperature(logits, logits.argmax(axis=0), 3, "softmax") == 1  # none wrong: it would go to 0.5
    well, labels = draw(np.random.default_rng(5), 110, 1)
    T = fit_temperature(well, labels, 3, "softmax")
    assert T == 1 or abs(np.log(T)) < 0.5


def test_temperature_keeps_its_bounds():
    rng = np.random.default_rng(3)
    logits, labels = draw(rng, 1000, 100)
    assert fit_temperature(logits, labels, 3, "softmax") == pytest.approx(10, rel=1e-3)


@pytest.fixture
def network():
    config = NetworkConfig(hidden=(6,), activation="tanh", head="softmax", batch_norm=False)
    return initialize((4, 6, 3), config, np.random.default_rng(0)), config


def test_folding_divides_the_logits(network):
    parameters, config = network
    X = np.random.default_rng(1).random((4, 50), np.float32)
    _, before, hidden = network_outputs(X, parameters, config)
    _, after, hidden_after = network_outputs(X, fold_temperature(parameters, 2.5), config)
    np.testing.assert_allclose(after, before / 2.5, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(hidden, hidden_after)
    assert parameters is not fold_temperature(parameters, 2.5)


def test_probabilities_are_those_of_the_network(network):
    X = np.random.default_rng(1).random((4, 50), np.float32)
    np.testing.assert_array_equal(network_outputs(X, *network).probabilities, class_probabilities(X, *network))


def test_distance_is_mahalanobis_to_the_nearest_mean():
    from sklearn.covariance import ledoit_wolf

    rng = np.random.default_rng(4)
    hidden, labels = rng.normal(size=(5, 300)) * np.arange(1, 6)[:, None], rng.integers(0, 3, 300)
    hidden[0] += 5 * labels
    means, whitening = fit_distance(hidden, labels, 3)
    centred = hidden - means[:, labels]
    covariance, _ = ledoit_wolf(centred.T, assume_centered=True)
    points = rng.normal(size=(5, 40)) * 10
    expected = cdist(points.T, means.T, "mahalanobis", VI=np.linalg.inv(covariance)).min(axis=1)
    np.testing.assert_allclose(distances(points, means, whitening), expected, rtol=1e-6)
    np.testing.assert_allclose(means[:, 1], hidden[:, labels == 1].mean(axis=1))


def test_a_class_without_examples_and_units_that_never_fire():
    hidden = np.zeros((4, 10), np.float32)
    hidden[0] = np.arange(10)
    means, whitening = fit_distance(hidden, np.zeros(10, int), 2)
    assert np.isfinite(distances(hidden, means, whitening)).all()
    far = hidden.copy()
    far[2] = 1  # a unit that was silent in all training
    assert distances(far, means, whitening).min() > distances(hidden, means, whitening).max()


def some(m, rng):
    P = rng.dirichlet([0.3] * 3, m).T
    return P, rng.normal(size=(8, m))


def test_limit_loses_the_share_that_was_asked_for():
    rng = np.random.default_rng(5)
    training = rng.normal(size=(8, 500)), rng.integers(0, 3, 500)
    found = calibrate(1.0, *some(2000, rng), training, 3)
    for rate in (0.01, 0.05, 0.3):
        assert np.mean(found.uncertainties(*some(20_000, rng)) > found.threshold(rate)) == pytest.approx(rate, rel=0.35)


def test_either_sign_alone_is_enough_to_doubt():
    rng = np.random.default_rng(6)
    training = rng.normal(size=(8, 500)), rng.integers(0, 3, 500)
    found = calibrate(1.0, *some(500, rng), training, 3)
    sure, unsure = np.array([[1.0], [0], [0]]), np.array([[0.34], [0.33], [0.33]])
    near, far = np.zeros((8, 1)), np.full((8, 1), 20.0)
    threshold = found.threshold(0.05)
    assert found.uncertainties(sure, near)[0] < threshold
    assert found.uncertainties(sure, far)[0] > 1 > threshold
    assert found.uncertainties(unsure, near)[0] > found.threshold(0.1)
    assert found.uncertainties(sure, 2 * far)[0] > found.uncertainties(sure, far)[0]


def test_uncertainty_tells_certain_answers_apart():
    P = np.array([[1 - 1e-6, 1 - 1e-9, 0.5], [1e-6, 1e-9, 0.5]])
    np.testing.assert_allclose(np.exp(log_other_probability(P)), [1e-6, 1e-9, 0.5], rtol=1e-2)


def test_nothing_to_learn_from_is_said():
    with pytest.raises(ValueError, match="no validation examples"):
        calibrate(1.0, np.empty((3, 0)), np.empty((8, 0)), (np.zeros((8, 5)), np.zeros(5, int)), 3)
