"""Activation functions: a table, forward and backward of each side by side.

Each entry maps Z (n_l, m) to A = g(Z) element by element, and dA to dZ = dA * g'(Z). Both write into `out`, so that the
simple ones allocate no array of that size. To add an activation, write two functions and add a line to the table.
Output layers are not here: their activation belongs to a cost (see `model.heads`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class Activation(NamedTuple):
    """One activation function.

    ``forward(Z, out)`` writes A = g(Z) into `out` and returns it; ``backward(dA, Z, A, out)`` writes
    dZ = dA * g'(Z). `out` may be dA itself, never Z or A.
    """

    forward: Callable[[Array, Array], Array]
    backward: Callable[[Array, Array, Array, Array], Array]
    formula: str


def _identity(Z: Array, out: Array) -> Array:
    np.copyto(out, Z)
    return out


def _identity_backward(dA: Array, Z: Array, A: Array, out: Array) -> Array:
    np.copyto(out, dA)
    return out


def sigmoid(Z: Array, out: Array | None = None) -> Array:
    """Return the logistic function 1 / (1 + exp(-Z)), computed as (1 + tanh(Z / 2)) / 2, which cannot overflow."""
    out = np.multiply(Z, 0.5, out=out)
    np.tanh(out, out=out)
    out += 1
    out *= 0.5
    return out


def _sigmoid_backward(dA: Array, Z: Array, A: Array, out: Array) -> Array:
    slope = 1 - A
    slope *= A
    return np.multiply(dA, slope, out=out)


def _tanh(Z: Array, out: Array) -> Array:
    return np.tanh(Z, out=out)


def _tanh_backward(dA: Array, Z: Array, A: Array, out: Array) -> Array:
    slope = np.square(A)
    np.subtract(1, slope, out=slope)
    return np.multiply(dA, slope, out=out)


def _relu(Z: Array, out: Array) -> Array:
    return np.maximum(Z, 0, out=out)


def _relu_backward(dA: Array, Z: Array, A: Array, out: Array) -> Array:
    return np.multiply(dA, A > 0, out=out)


_LEAK = 0.01


def _leaky_relu(Z: Array, out: Array) -> Array:
    np.multiply(Z, _LEAK, out=out)
    return np.maximum(Z, out, out=out)


def _leaky_relu_backward(dA: Array, Z: Array, A: Array, out: Array) -> Array:
    slope = np.where(Z > 0, Z.dtype.type(1), Z.dtype.type(_LEAK))
    return np.multiply(dA, slope, out=out)


def _elu(Z: Array, out: Array) -> Array:
    np.minimum(Z, 0, out=out)
    np.expm1(out, out=out)
    return np.maximum(Z, out, out=out)


def _elu_backward(dA: Array, Z: Array, A: Array, out: Array) -> Array:
    slope = np.minimum(A, 0)  # exp(Z) = A + 1 for Z < 0, and 1 otherwise
    slope += 1
    return np.multiply(dA, slope, out=out)


_GELU_CUBIC, _GELU_SCALE = 0.044715, float(np.sqrt(2 / np.pi))


def _gelu_tanh(Z: Array) -> Array:
    """Return tanh(sqrt(2/pi) (Z + 0.044715 Z^3)), which forward and backward share."""
    T = np.square(Z)
    T *= _GELU_CUBIC
    T += 1
    T *= Z
    T *= _GELU_SCALE
    return np.tanh(T, out=T)


def _gelu(Z: Array, out: Array) -> Array:
    T = _gelu_tanh(Z)
    T += 1
    T *= 0.5
    return np.multiply(Z, T, out=out)


def _gelu_backward(dA: Array, Z: Array, A: Array, out: Array) -> Array:
    T = _gelu_tanh(Z)
    inner_slope = np.square(Z)
    inner_slope *= 3 * _GELU_CUBIC
    inner_slope += 1
    inner_slope *= _GELU_SCALE
    slope = 1 - np.square(T)
    slope *= inner_slope
    slope *= Z
    slope += 1 + T
    slope *= 0.5
    return np.multiply(dA, slope, out=out)


def _softplus(Z: Array, out: Array) -> Array:
    return np.logaddexp(Z, 0, out=out)


def _softplus_backward(dA: Array, Z: Array, A: Array, out: Array) -> Array:
    return np.multiply(dA, sigmoid(Z), out=out)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(_identity, _identity_backward, "A = Z"),
    "sigmoid": Activation(sigmoid, _sigmoid_backward, "A = 1 / (1 + exp(-Z))"),
    "tanh": Activation(_tanh, _tanh_backward, "A = tanh(Z)"),
    "relu": Activation(_relu, _relu_backward, "A = max(0, Z)"),
    "leaky_relu": Activation(_leaky_relu, _leaky_relu_backward, "A = max(0.01 Z, Z)"),
    "elu": Activation(_elu, _elu_backward, "A = Z if Z > 0, else exp(Z) - 1"),
    "gelu": Activation(_gelu, _gelu_backward, "A = Z (1 + tanh(sqrt(2/pi) (Z + 0.044715 Z^3))) / 2"),
    "softplus": Activation(_softplus, _softplus_backward, "A = log(1 + exp(Z))"),
}
