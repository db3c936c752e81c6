"""Batch normalisation: what it promises of its output, its statistics, and that folding it away changes nothing."""

import numpy as np
import pytest

from model import batch_norm
from model.activations import ACTIVATIONS
from model.config import NetworkConfig
from model.folding import fold_batch_norm, fold_input
from model.network import class_probabilities, forward
from model.parameters import initialize


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_output_has_mean_beta_and_deviation_gamma(rng):
    Z = np.asfortranarray(rng.normal(3, 5, size=(4, 500)))
    gamma, beta = rng.uniform(0.5, 2, (4, 1)), rng.normal(size=(4, 1))
    out, cache = batch_norm.batch_norm_forward(Z.copy("F"), gamma, beta, np.zeros((4, 1)), np.ones((4, 1)))
    np.testing.assert_allclose(out.mean(axis=1, keepdims=True), beta, atol=1e-12)
    np.testing.assert_allclose(out.std(axis=1, keepdims=True), gamma, rtol=1e-5)
    np.testing.assert_allclose(cache.Z_hat, (Z - Z.mean(1, keepdims=True)) / np.sqrt(Z.var(1, keepdims=True) + 1e-5))


def test_running_statistics_come_to_those_of_the_data(rng):
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


def test_a_unit_that_never_changes_does_no_harm():
    Z = np.full((2, 8), 3.0, order="F")
    gamma, beta = np.ones((2, 1)), np.full((2, 1), 0.5)
    out, cache = batch_norm.batch_norm_forward(Z, gamma, beta, np.zeros((2, 1)), np.ones((2, 1)))
    np.testing.assert_array_equal(out, 0.5)
    dZ = batch_norm.batch_norm_backward(np.ones((2, 8)), cache, dgamma=np.zeros((2, 1)), dbeta=np.zeros((2, 1)))
    assert np.isfinite(dZ).all()


def trained_like(config, rng, layer_dims=(12, 7, 5, 3), dtype=np.float64, noise=0.3):
    """A network whose numbers are all away from where they start."""
    parameters = initialize(layer_dims, config, rng, dtype)
    parameters.flat += rng.normal(size=parameters.flat.size) * noise
    parameters.running[:] = rng.uniform(0.5, 2, parameters.running.size)
    return parameters


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_folding_leaves_every_probability_as_it_is(rng, activation):
    config = NetworkConfig(hidden=(7, 5), head="softmax", activation=activation, batch_norm=True)
    parameters = trained_like(config, rng)
    X = rng.random((12, 40))
    plain, plain_config = fold_batch_norm(parameters, config)
    assert plain_config.batch_norm is False
    assert plain.running.size == 0
    np.testing.assert_allclose(
        class_probabilities(X, plain, plain_config), class_probabilities(X, parameters, config), atol=1e-13
    )


def test_folding_single_precision_agrees_to_1e_6(rng):
    config = NetworkConfig(hidden=(200, 100), head="softmax", batch_norm=True)
    parameters = trained_like(config, rng, (400, 200, 100, 10), np.float32, noise=0.02)
    X = rng.random((400, 30), dtype=np.float32)
    plain, plain_config = fold_batch_norm(parameters, config)
    np.testing.assert_allclose(
        class_probabilities(X, plain, plain_config), class_probabilities(X, parameters, config), atol=1e-6
    )


@pytest.mark.parametrize("n", [1, 12])
def test_folding_a_standardisation_of_the_input(rng, n):
    config = NetworkConfig(hidden=(7, 5), head="softmax", batch_norm=False)
    parameters = trained_like(config, rng)
    before = parameters.flat.copy()
    shift, scale = rng.random((n, 1)), rng.uniform(0.5, 4, (n, 1))
    X = rng.random((12, 40))
    folded = fold_input(parameters, shift, scale)
    np.testing.assert_allclose(
        class_probabilities(X, folded, config), class_probabilities(scale * (X - shift), parameters, config), atol=1e-13
    )
    np.testing.assert_array_equal(parameters.flat, before)


def test_training_normalises_by_the_batch_and_predicting_does_not(rng):
    config = NetworkConfig(hidden=(7, 5), head="softmax", batch_norm=True)
    parameters = trained_like(config, rng)
    X = rng.random((12, 40))
    before = parameters.running.copy()
    alone = np.concatenate([forward(X[:, [k]], parameters, config)[0].copy() for k in range(40)], axis=1)
    np.testing.assert_allclose(forward(X, parameters, config)[0], alone, atol=1e-12)
    np.testing.assert_array_equal(parameters.running, before)
    together, _ = forward(X, parameters, config, training=True)
    assert not np.allclose(together, alone)
    assert not np.array_equal(parameters.running, before)
