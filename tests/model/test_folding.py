"""Folding batch normalisation and standardisation into W and b changes no probability."""

import numpy as np
import pytest

from model.activations import ACTIVATIONS
from model.config import NetworkConfig
from model.folding import fold_batch_norm, fold_input
from model.network import class_probabilities
from model.parameters import initialize


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def trained_like(config, rng, layer_dims=(12, 7, 5, 3), dtype=np.float64, noise=0.3):
    """Return a network in which every parameter and running statistic differs from its initial value."""
    parameters = initialize(layer_dims, config, rng, dtype)
    parameters.flat += rng.normal(size=parameters.flat.size) * noise
    parameters.running[:] = rng.uniform(0.5, 2, parameters.running.size)
    return parameters


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_folding_batch_norm_changes_no_probability(rng, activation):
    config = NetworkConfig(hidden=(7, 5), head="softmax", activation=activation, batch_norm=True)
    parameters = trained_like(config, rng)
    X = rng.random((12, 40))
    plain, plain_config = fold_batch_norm(parameters, config)
    assert plain_config.batch_norm is False
    assert plain.running.size == 0
    np.testing.assert_allclose(
        class_probabilities(X, plain, plain_config), class_probabilities(X, parameters, config), atol=1e-13
    )


def test_folding_batch_norm_in_single_precision_agrees_to_1e_6(rng):
    config = NetworkConfig(hidden=(200, 100), head="softmax", batch_norm=True)
    parameters = trained_like(config, rng, (400, 200, 100, 10), np.float32, noise=0.02)
    X = rng.random((400, 30), dtype=np.float32)
    plain, plain_config = fold_batch_norm(parameters, config)
    np.testing.assert_allclose(
        class_probabilities(X, plain, plain_config), class_probabilities(X, parameters, config), atol=1e-6
    )


@pytest.mark.parametrize("n", [1, 12])
def test_folding_the_standardisation_of_the_input_changes_no_probability(rng, n):
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
