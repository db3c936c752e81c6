"""Deeper layers: what is computed about a unit is what it does, checked on networks whose units are known."""

import numpy as np
import pytest

from model.config import NetworkConfig
from model.edges.scores import energy_area
from model.edges.stimuli import (
    layer_activations,
    linear_projection,
    maximally_activating_mean,
    maximise_activation,
    receptive_fields,
    unit_auc,
)
from model.network import forward
from model.parameters import Parameters, initialize

CONFIG = NetworkConfig(hidden=(6, 4), activation="tanh", head="softmax", batch_norm=False)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.fixture
def network(rng):
    return initialize((10, 6, 4, 3), CONFIG, rng, np.float64)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("l", [1, 2, 3])
def test_receptive_fields_are_the_mean_size_of_the_derivatives(activation, l, rng):
    config = NetworkConfig(hidden=(6, 4), activation=activation, head="softmax", batch_norm=False)
    parameters = initialize((10, 6, 4, 3), config, rng, np.float64)
    X = np.asfortranarray(rng.normal(size=(10, 5)))
    squares = np.zeros((parameters.layer_dims[l], 10))
    for pixel in range(10):
        step = np.zeros((10, 1))
        step[pixel] = 1e-6
        up, down = (forward(X + way * step, parameters, config)[1][l - 1].Z.copy() for way in (1, -1))
        squares[:, pixel] = (((up - down) / 2e-6) ** 2).mean(axis=1)
    np.testing.assert_allclose(receptive_fields(l, X, parameters, config), np.sqrt(squares), rtol=1e-4, atol=1e-7)


def test_a_receptive_field_is_the_union_of_those_below(rng):
    parameters = Parameters((100, 4, 2, 2), dtype=np.float64)
    for unit in range(4):
        parameters[1].W[unit, 10 * unit : 10 * unit + 10] = 1
    parameters[2].W[0, :2] = 1
    parameters[2].W[1, 3] = 1
    fields = receptive_fields(2, rng.normal(size=(100, 8)), parameters, CONFIG)
    np.testing.assert_array_equal(np.flatnonzero(fields[0]), np.arange(20))
    np.testing.assert_array_equal(np.flatnonzero(fields[1]), np.arange(30, 40))
    assert energy_area(fields[:, :, None])[0] > energy_area(fields[:, :, None])[1]


def test_layer_activations_are_those_of_the_network(network, rng):
    X = np.asfortranarray(rng.normal(size=(10, 7)))
    activations = layer_activations(X, network, CONFIG)
    assert [len(A) for A in activations] == [6, 4, 3]
    np.testing.assert_allclose(activations[0], np.tanh(network[1].W @ X + network[1].b))


def test_the_mean_is_that_of_the_maximally_activating_images(rng):
    X = rng.normal(size=(10, 40))
    template = rng.normal(size=10)
    activations = np.stack([np.arange(40) == 7, np.zeros(40), template @ X])
    means = maximally_activating_mean(X, activations, n_images=5)
    np.testing.assert_allclose(means[0], X[:, 7] - X.mean(axis=1))
    assert np.all(means[1] == 0)
    assert np.corrcoef(means[2], template)[0, 1] > 0.6
    fields = np.zeros((3, 10))
    fields[:, 4] = 2
    np.testing.assert_allclose(maximally_activating_mean(X, activations, fields, n_images=5), means * (fields > 0))


@pytest.mark.parametrize("l", [1, 2, 3])
def test_optimised_images_activate_their_unit_more_than_2000_random_ones(l, network, rng):
    optimised = maximise_activation(l, network, CONFIG, rng, mean=0.5, std=0.2)
    np.testing.assert_allclose(optimised.mean(axis=1), 0.5)
    np.testing.assert_allclose(optimised.std(axis=1), 0.2)
    others = rng.normal(size=(10, 2000))
    others = 0.5 + 0.2 * (others - others.mean(axis=0)) / others.std(axis=0)
    best = forward(np.asfortranarray(others), network, CONFIG)[1][l - 1].Z.max(axis=1)
    found = np.diag(forward(np.asfortranarray(optimised.T), network, CONFIG)[1][l - 1].Z)
    assert np.all(found > best - 0.05 * np.abs(best))


def test_linear_projection_is_exact_for_a_linear_network(network, rng):
    X = np.asfortranarray(rng.normal(size=(10, 3)) * 1e-4)  # tanh is linear near 0
    Z = forward(X, network, CONFIG)[0]
    np.testing.assert_allclose(linear_projection(3, network) @ X, Z, rtol=1e-5)


def test_auc_agrees_with_scikit_learn(rng):
    from sklearn.metrics import roc_auc_score

    labels = np.repeat([0, 1, 2], 20)
    activations = rng.normal(size=(5, 60)).round(1)  # with ties
    activations[3] = labels == 1
    activations[4] = 0
    expected = [
        max(max(auc, 1 - auc) for auc in (roc_auc_score(labels == c, row) for c in range(3))) for row in activations
    ]
    np.testing.assert_allclose(unit_auc(activations, labels), expected)
    assert unit_auc(activations, labels)[3] == 1
    with pytest.raises(ValueError, match="one class only"):
        unit_auc(activations, np.zeros(60, int))
