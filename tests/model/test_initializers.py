"""Initial values of W: the variance that each rule promises, and what happens with zeros."""

import numpy as np
import pytest

from model.activations import ACTIVATIONS
from model.batches import ArrayBatches
from model.config import NetworkConfig, TrainingConfig
from model.initializers import INITIALIZERS
from model.training import start, train

N, N_PREV = 400, 600
VARIANCES = {"he": 2 / N_PREV, "xavier": 2 / (N_PREV + N), "lecun": 1 / N_PREV, "zeros": 0.0}


@pytest.mark.parametrize("name", VARIANCES)
def test_weights_have_mean_0_and_the_variance_of_their_rule(name):
    W = INITIALIZERS[name](N, N_PREV, np.random.default_rng(0))
    assert W.shape == (N, N_PREV)
    assert abs(W.mean()) < 5 * np.sqrt(VARIANCES[name] / W.size) + 1e-15
    assert W.var() == pytest.approx(VARIANCES[name], rel=0.02)


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (40, 40)])
def test_orthogonal_weights_have_right_angles_and_gain_sqrt_2(shape):
    W = INITIALIZERS["orthogonal"](*shape, np.random.default_rng(0))
    assert W.shape == shape
    narrow = W @ W.T if shape[0] <= shape[1] else W.T @ W
    np.testing.assert_allclose(narrow, 2 * np.eye(min(shape)), atol=1e-12)


def test_every_initializer_is_tested_here():
    assert set(INITIALIZERS) == {*VARIANCES, "orthogonal"}


@pytest.mark.parametrize("name", sorted(set(INITIALIZERS) - {"zeros"}))
def test_the_same_seed_gives_the_same_weights(name):
    first, same, other = (INITIALIZERS[name](5, 7, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


def test_he_keeps_a_signal_through_twenty_relu_layers_and_lecun_lets_it_fade():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 200))

    def growth_over_20_layers(name: str) -> float:
        A = X
        for _ in range(20):
            Z = INITIALIZERS[name](300, 300, rng) @ A
            A = ACTIVATIONS["relu"].forward(Z, np.empty_like(Z))
        return float(np.square(A).mean() / np.square(X).mean())

    assert 0.2 < growth_over_20_layers("he") < 5
    assert growth_over_20_layers("lecun") < 1e-4


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_zeros_keep_all_units_of_a_layer_equal_in_training(activation):
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.normal(size=(6, 80)))
    labels = (X[0] * X[1] > 0).astype(int)
    network = NetworkConfig(hidden=(5, 4), activation=activation, initializer="zeros", batch_norm=False)
    training = TrainingConfig(epochs=20, optimizer="momentum", learning_rate=0.1, batch_size=16, dtype="float64")
    state = start(network, training, n_x=6, m=80, n_classes=2)
    list(train(state, ArrayBatches(X, labels)))
    for l in (1, 2):
        W = state.parameters[l].W
        np.testing.assert_allclose(W, np.broadcast_to(W[:1], W.shape), atol=1e-12)
