"""Activation functions compared with their formulas, their slopes with finite differences, and extreme inputs."""

import numpy as np
import pytest
from scipy import special

from model.activations import ACTIVATIONS, sigmoid

Z = np.concatenate([np.linspace(-6, 6, 41), [-1e-3, 1e-3, 0.7]]).reshape(2, 22)
REFERENCES = {
    "identity": lambda z: z,
    "sigmoid": special.expit,
    "tanh": np.tanh,
    "relu": lambda z: z * (z > 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.exp(np.minimum(z, 0)) - 1),
    "gelu": lambda z: 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    "softplus": lambda z: np.log1p(np.exp(z)),
}


def slope(name: str, Z: np.ndarray) -> np.ndarray:
    entry = ACTIVATIONS[name]
    A = entry.forward(Z, np.empty_like(Z))
    return entry.backward(np.ones_like(Z), Z, A, np.empty_like(Z))


def test_every_activation_is_tested_here():
    assert set(REFERENCES) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_are_those_of_the_formula(name):
    A = ACTIVATIONS[name].forward(Z, np.empty_like(Z))
    np.testing.assert_allclose(A, REFERENCES[name](Z), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_those_of_the_formula(name):
    away = np.where(np.abs(Z) < 1e-6, 0.3, Z)
    numerical = (REFERENCES[name](away + 1e-6) - REFERENCES[name](away - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope(name, away), numerical, atol=1e-8)


def test_gelu_is_close_to_z_times_the_normal_distribution():
    A = ACTIVATIONS["gelu"].forward(Z, np.empty_like(Z))
    np.testing.assert_allclose(A, Z * special.ndtr(Z), atol=1e-3)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_backward_gives_the_same_when_it_overwrites_its_input(name):
    rng = np.random.default_rng(0)
    dA = rng.normal(size=Z.shape)
    A = ACTIVATIONS[name].forward(Z, np.empty_like(Z))
    elsewhere = ACTIVATIONS[name].backward(dA, Z, A, np.empty_like(Z))
    np.testing.assert_array_equal(ACTIVATIONS[name].backward(dA, Z, A, dA), elsewhere)
    np.testing.assert_array_equal(elsewhere, slope(name, Z) * np.random.default_rng(0).normal(size=Z.shape))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_large_inputs_neither_overflow_nor_change_the_dtype(name, dtype):
    large = np.array([[-1e4, -100.0, 0.0, 100.0, 1e4]], dtype)
    A = ACTIVATIONS[name].forward(large, np.empty_like(large))
    dZ = ACTIVATIONS[name].backward(np.ones_like(large), large, A, np.empty_like(large))
    assert A.dtype == dZ.dtype == dtype
    assert np.isfinite(A).all()
    assert np.isfinite(dZ).all()


def test_sigmoid_is_exact_at_its_ends_and_its_middle():
    np.testing.assert_array_equal(sigmoid(np.array([-1e4, 0.0, 1e4])), [0, 0.5, 1])
