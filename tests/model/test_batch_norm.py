"""Batch normalisation: the statistics of its output, its running statistics, and training versus prediction."""

import numpy as np
import pytest

from model import batch_norm
from model.config import NetworkConfig
from model.network import forward
from model.parameters import initialize


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_output_has_mean_beta_and_standard_deviation_gamma(rng):
    Z = np.asfortranarray(rng.normal(3, 5, size=(4, 500)))
    gamma, beta = rng.uniform(0.5, 2, (4, 1)), rng.normal(size=(4, 1))
    out, cache = batch_norm.batch_norm_forward(Z.copy("F"), gamma, beta, np.zeros((4, 1)), np.ones((4, 1)))
    np.testing.assert_allclose(out.mean(axis=1, keepdims=True), beta, atol=1e-12)
    np.testing.assert_allclose(out.std(axis=1, keepdims=True), gamma, rtol=1e-5)
    np.testing.assert_allclose(cache.Z_hat, (Z - Z.mean(1, keepdims=True)) / np.sqrt(Z.var(1, keepdims=True) + 1e-5))


def test_running_statistics_approach_those_of_the_data(rng):
    mean, variance = np.zeros((3, 1)), np.ones((3, 1))
    for _ in range(300):
        Z = np.asfortranarray(rng.normal([[1.0], [-2.0], [7.0]], [[1.0], [3.0], [0.5]], size=(3, 64)))
        batch_norm.batch_norm_forward(Z, np.ones((3, 1)), np.zeros((3, 1)), mean, variance)
    np.testing.assert_allclose(mean[:, 0], [1, -2, 7], atol=0.4)
    np.testing.assert_allclose(variance[:, 0], [1, 9, 0.25], rtol=0.2)


def test_running_variance_is_the_unbiased_one(rng):
    Z = np.asfortranarray(rng.normal(size=(3, 5)))
    mean, variance = np.zeros((3, 1)), np.zeros((3, 1))
    batch_norm.batch_norm_forward(Z.copy("F"), np.ones((3, 1)), np.zeros((3, 1)), mean, variance)
    np.testing.assert_allclose(mean, 0.1 * Z.mean(axis=1, keepdims=True))
    np.testing.assert_allclose(variance, 0.1 * Z.var(axis=1, ddof=1, keepdims=True))


def test_a_constant_unit_gives_beta_and_a_finite_gradient():
    Z = np.full((2, 8), 3.0, order="F")
    gamma, beta = np.ones((2, 1)), np.full((2, 1), 0.5)
    out, cache = batch_norm.batch_norm_forward(Z, gamma, beta, np.zeros((2, 1)), np.ones((2, 1)))
    np.testing.assert_array_equal(out, 0.5)
    dZ = batch_norm.batch_norm_backward(np.ones((2, 8)), cache, dgamma=np.zeros((2, 1)), dbeta=np.zeros((2, 1)))
    assert np.isfinite(dZ).all()


def test_training_normalises_by_the_batch_and_prediction_by_running_statistics(rng):
    config = NetworkConfig(hidden=(7, 5), head="softmax", batch_norm=True)
    parameters = initialize((12, 7, 5, 3), config, rng, np.float64)
    parameters.flat += 0.3 * rng.normal(size=parameters.flat.size)
    parameters.running[:] = rng.uniform(0.5, 2, parameters.running.size)
    X = rng.random((12, 40))
    before = parameters.running.copy()
    separately = np.concatenate([forward(X[:, [k]], parameters, config)[0].copy() for k in range(40)], axis=1)
    np.testing.assert_allclose(forward(X, parameters, config)[0], separately, atol=1e-12)
    np.testing.assert_array_equal(parameters.running, before)
    together, _ = forward(X, parameters, config, training=True)
    assert not np.allclose(together, separately)
    assert not np.array_equal(parameters.running, before)
