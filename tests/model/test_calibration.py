"""Temperature and uncertainty: they help if they can be fitted, and change nothing if they cannot."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist
from scipy.special import log_softmax
from sklearn.metrics import log_loss

from model.activations import sigmoid
from model.calibration import (
    FEWEST_FOR_TEMPERATURE,
    Calibration,
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
    """Draw labels, and logits that are `sharpness` times too large for them."""
    logits = rng.normal(0, 1.5, (n_classes, m))
    P = np.exp(log_softmax(logits, axis=0))
    labels = (rng.random(m) > np.cumsum(P, axis=0)).sum(axis=0)
    return logits * sharpness, labels


@pytest.mark.parametrize("sharpness", [0.7, 3.0])
def test_temperature_maximises_the_likelihood_and_helps_on_new_examples(sharpness):
    rng = np.random.default_rng(0)
    logits, labels = draw(rng, 3000, sharpness)
    T = fit_temperature(logits, labels, 3, "softmax")
    cost = lambda T: -log_softmax(logits / T, axis=0)[labels, np.arange(3000)].mean()  # noqa: E731
    assert pytest.approx(minimize_scalar(cost, bounds=(0.5, 10), method="bounded").x, rel=1e-3) == T
    new, truth = draw(rng, 3000, sharpness)
    before, after = (log_loss(truth, np.exp(log_softmax(new / t, axis=0)).T) for t in (1, T))
    assert after < before


def test_temperature_of_a_sigmoid_head_is_recovered():
    rng = np.random.default_rng(1)
    z = rng.normal(0, 2, 2000)
    labels = (rng.random(2000) < sigmoid(z)).astype(int)
    assert fit_temperature(4 * z[None], labels, 2, "sigmoid") == pytest.approx(4, rel=0.15)


def test_temperature_stays_1_if_it_cannot_be_fitted():
    rng = np.random.default_rng(2)
    logits, labels = draw(rng, FEWEST_FOR_TEMPERATURE - 1, 5)
    assert fit_temperature(logits, labels, 3, "softmax") == 1  # too few
    logits, _ = draw(rng, 1000, 5)
    assert fit_temperature(logits, logits.argmax(axis=0), 3, "softmax") == 1  # none misclassified: it would become 0.5
    well, labels = draw(np.random.default_rng(5), 110, 1)
    T = fit_temperature(well, labels, 3, "softmax")
    assert T == 1 or abs(np.log(T)) < 0.5


def test_temperature_stays_within_its_bounds():
    rng = np.random.default_rng(3)
    logits, labels = draw(rng, 1000, 100)
    assert fit_temperature(logits, labels, 3, "softmax") == pytest.approx(10, rel=1e-3)


@pytest.fixture
def network():
    config = NetworkConfig(hidden=(6,), activation="tanh", head="softmax", batch_norm=False)
    return initialize((4, 6, 3), config, np.random.default_rng(0)), config


def test_folding_the_temperature_divides_the_logits(network):
    parameters, config = network
    X = np.random.default_rng(1).random((4, 50), np.float32)
    _, before, hidden = network_outputs(X, parameters, config)
    _, after, hidden_after = network_outputs(X, fold_temperature(parameters, 2.5), config)
    np.testing.assert_allclose(after, before / 2.5, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(hidden, hidden_after)
    assert parameters is not fold_temperature(parameters, 2.5)


def test_network_outputs_have_the_probabilities_of_the_network(network):
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


def test_distances_are_finite_with_empty_classes_and_silent_units():
    hidden = np.zeros((4, 10), np.float32)
    hidden[0] = np.arange(10)
    means, whitening = fit_distance(hidden, np.zeros(10, int), 2)
    assert np.isfinite(distances(hidden, means, whitening)).all()
    far = hidden.copy()
    far[2] = 1  # a unit that was silent in all training
    assert distances(far, means, whitening).min() > distances(hidden, means, whitening).max()


def draw_outputs(m, rng):
    """Draw probabilities (3, m) and a last hidden layer (8, m)."""
    P = rng.dirichlet([0.3] * 3, m).T
    return P, rng.normal(size=(8, m))


def test_threshold_is_exceeded_by_the_requested_share():
    rng = np.random.default_rng(5)
    training = rng.normal(size=(8, 500)), rng.integers(0, 3, 500)
    found = calibrate(1.0, *draw_outputs(2000, rng), training, 3)
    for rate in (0.01, 0.05, 0.3):
        assert np.mean(found.uncertainties(*draw_outputs(20_000, rng)) > found.threshold(rate)) == pytest.approx(
            rate, rel=0.35
        )


def test_either_sign_alone_raises_the_uncertainty():
    rng = np.random.default_rng(6)
    training = rng.normal(size=(8, 500)), rng.integers(0, 3, 500)
    found = calibrate(1.0, *draw_outputs(500, rng), training, 3)
    sure, unsure = np.array([[1.0], [0], [0]]), np.array([[0.34], [0.33], [0.33]])
    near, far = np.zeros((8, 1)), np.full((8, 1), 20.0)
    threshold = found.threshold(0.05)
    assert found.uncertainties(sure, near)[0] < threshold
    assert found.uncertainties(sure, far)[0] > 1 > threshold
    assert found.uncertainties(unsure, near)[0] > found.threshold(0.1)
    assert found.uncertainties(sure, 2 * far)[0] > found.uncertainties(sure, far)[0]


def test_uncertainty_is_the_larger_rank_among_the_validation_values():
    others = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    calibration = Calibration(
        temperature=1.0,
        m=5,
        log_others=np.log(others),
        distance=np.arange(5.0),
        uncertainty=np.linspace(0, 1, 5),
        means=np.zeros((1, 2)),
        whitening=np.eye(1),
    )
    P = np.array([[0.9, 0.8, 0.9, 0.9, 0.9], [0.1, 0.2, 0.1, 0.1, 0.1]])
    distance = np.array([[0.0, 0.0, 1.0, 3.5, 6.0]])
    np.testing.assert_allclose(calibration.uncertainties(P, distance), [0, 0.25, 0.25, 0.875, 2], atol=1e-9)
    by_probability, by_distance = calibration.ranks(P, distance)
    np.testing.assert_allclose(by_probability, [0, 0.25, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(by_distance, [0, 0, 0.25, 0.875, 2], atol=1e-9)
    without_distance = dataclasses.replace(calibration, distance=np.empty(0))
    np.testing.assert_allclose(without_distance.uncertainties(P, distance), [0, 0.25, 0, 0, 0], atol=1e-9)


def test_log_other_probability_distinguishes_certain_predictions():
    P = np.array([[1 - 1e-6, 1 - 1e-9, 0.5], [1e-6, 1e-9, 0.5]])
    np.testing.assert_allclose(np.exp(log_other_probability(P)), [1e-6, 1e-9, 0.5], rtol=1e-2)


def test_calibrating_without_validation_examples_raises():
    with pytest.raises(ValueError, match="no validation examples"):
        calibrate(1.0, np.empty((3, 0)), np.empty((8, 0)), (np.zeros((8, 5)), np.zeros(5, int)), 3)
