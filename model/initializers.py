"""Initial values of W: a table. b always starts at 0.

Every entry returns W (n, n_prev), drawn from the given generator. With the wrong standard deviation, signals grow or
fade from layer to layer; with a standard deviation of 0 (``zeros``) every unit of a layer computes and learns the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from model.activations import Array


def _zeros(n: int, n_prev: int, rng: np.random.Generator) -> Array:
    """Return zeros: all units are equal and stay equal. A demonstration of what fails, not a choice."""
    return np.zeros((n, n_prev))


def _he(n: int, n_prev: int, rng: np.random.Generator) -> Array:
    """Return W of variance 2 / n_prev, so that ReLU keeps the signal's size (He, Zhang, Ren, Sun 2015, eq. 10)."""
    return rng.standard_normal((n, n_prev)) * np.sqrt(2 / n_prev)


def _xavier(n: int, n_prev: int, rng: np.random.Generator) -> Array:
    """Return W of variance 2 / (n_prev + n), between what forward and backward need (Glorot, Bengio 2010, eq. 12)."""
    return rng.standard_normal((n, n_prev)) * np.sqrt(2 / (n_prev + n))


def _lecun(n: int, n_prev: int, rng: np.random.Generator) -> Array:
    """Return W of variance 1 / n_prev (LeCun, Bottou, Orr, Müller 1998, eq. 16)."""
    return rng.standard_normal((n, n_prev)) * np.sqrt(1 / n_prev)


def _orthogonal(n: int, n_prev: int, rng: np.random.Generator) -> Array:
    """Return W with orthogonal rows (columns, if n > n_prev), times sqrt(2) (Saxe, McClelland, Ganguli 2014)."""
    Q, R = np.linalg.qr(rng.standard_normal((max(n, n_prev), min(n, n_prev))))
    Q *= np.sign(np.diag(R))  # makes the distribution uniform over orthogonal matrices
    return np.sqrt(2) * (Q if n >= n_prev else Q.T)


INITIALIZERS: dict[str, Callable[[int, int, np.random.Generator], Array]] = {
    "he": _he,
    "xavier": _xavier,
    "lecun": _lecun,
    "orthogonal": _orthogonal,
    "zeros": _zeros,
}
