"""Unsupervised pretraining of layers 2 and 3, on top of an edge-detecting layer 1: edges that go together, nearby.

Every unit of layer 2 is given one of 3 x 3 overlapping windows, half the image a side, and learns its weights on what
the units of layer 1 that look into it answer to images, without labels; layer 3 learns likewise over all of layer 2.
The weights outside a window start at 0 and are free to move in training. That layer 2 is local is thus put in, not
learned: random weights in the same windows are local, too. What is learned, and what it is good for, is measured by
`benchmarks/parts.py` and told in docs/edges.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from model.activations import ACTIVATIONS, Array
from model.edges.first_layer import whiten

WINDOWS, WINDOW_SIDE = 3, 0.5  # windows a side, and the side of each as a share of the image's
FEWEST = 4  # units a window; so few hardly compete for what they answer to
Learner = Callable[[Array, int, np.random.Generator], Array]


def k_means(A: Array, n: int, rng: np.random.Generator) -> Array:
    """Return the centres of n clusters of whitened answers A (n_prev, m), as (n, n_prev) (Coates, Lee, Ng 2011)."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    Z, P = whiten(A, min(len(A), 2 * n))
    Z = Z / np.maximum(np.linalg.norm(Z, axis=0), 1e-6)
    means = KMeans(n, n_init=1, max_iter=50, random_state=int(rng.integers(2**31)))
    with threadpool_limits(1), warnings.catch_warnings():  # several threads round differently
        warnings.simplefilter("ignore", ConvergenceWarning)  # of images that are alike: there are fewer clusters
        return means.fit(Z.T).cluster_centers_ @ P


def windows_of(W1: Array, shape: tuple[int, int, int]) -> list[np.ndarray]:
    """Return for each window the units of layer 1 whose weights are centred in it; all units where there are none.

    Parameters
    ----------
    W1 : ndarray of shape (n_1, n_x), float
    shape : (height, width, channels)
        Of the images; n_x numbers.

    Returns
    -------
    list of ndarray of int
        `WINDOWS` squared of them, row by row. A unit is in up to four.
    """
    energy = (W1.reshape(-1, *shape) ** 2).sum(axis=3)
    total = np.maximum(energy.sum(axis=(1, 2)), 1e-30)
    y = (energy.sum(axis=2) @ np.arange(shape[0]) / total + 0.5) / shape[0]
    x = (energy.sum(axis=1) @ np.arange(shape[1]) / total + 0.5) / shape[1]
    starts = np.linspace(0, 1 - WINDOW_SIDE, WINDOWS)
    found = [
        np.flatnonzero((y >= top) & (y < top + WINDOW_SIDE) & (x >= left) & (x < left + WINDOW_SIDE))
        for top in starts
        for left in starts
    ]
    return [units if len(units) else np.arange(len(W1)) for units in found]


def pretrain_upper_layers(
    Z1: Array,
    W1: Array,
    shape: tuple[int, int, int],
    widths: Sequence[int],
    activation: str,
    *,
    rng: np.random.Generator,
    learn: Learner = k_means,
) -> list[tuple[Array, Array]]:
    """Learn layer 2 over windows of layer 1's answers, and layer 3 over all of layer 2's.

    Parameters
    ----------
    Z1 : ndarray of shape (n_1, m), float32
        W1 times the unlabelled images, m some thousands; they may be variations of fewer.
    W1 : ndarray of shape (n_1, n_x), float
    shape : (height, width, channels)
    widths : sequence of int
        n_2, or n_2 and n_3. With fewer than `FEWEST` units of layer 2 a window, each of them sees all of layer 1.
    activation : str
    rng : Generator
        The same one gives the same weights.
    learn : callable, optional
        Takes answers A (n, m), a number of units and `rng`; returns a weight of each unit for each row of A.

    Returns
    -------
    list of (W, b)
        Of layers 2, 3: shapes (n_l, n_{l-1}) and (n_l, 1), float64, such that every unit's Z has mean 0 and spread 1.

    Raises
    ------
    ValueError
        When layer 1 answers to all images alike, or there are fewer images than units to learn.
    """
    layers, Z, windows = [], Z1, windows_of(W1, shape)
    for n in widths:
        if n < FEWEST * len(windows):
            windows = [np.arange(len(Z))]
        if Z.shape[1] < n:
            raise ValueError(
                f"pretrain_layers: {Z.shape[1]} images are too few to learn {n} units from; vary them (augment), "
                "or set pretrain_layers to 1"
            )
        A = _answers(Z, activation)
        W = np.zeros((n, len(A)))
        for k, inputs in enumerate(windows):
            units = np.arange(k, n, len(windows))
            if not A[inputs].any():
                raise ValueError("pretrain_layers: the images are all alike to layer 1; there is nothing to learn")
            if len(units):
                W[np.ix_(units, inputs)] = learn(A[inputs], len(units), rng)
        Z = W.astype(np.float32) @ A
        spread = np.maximum(Z.std(axis=1, keepdims=True), 1e-6)
        layers.append((W / spread, -Z.mean(axis=1, keepdims=True, dtype=np.float64) / spread))
        windows = [np.arange(n)]
    return layers


def _answers(Z: Array, activation: str) -> Array:
    """Return what a layer answers, its Z normalised unit by unit as batch normalisation would."""
    Z = Z - Z.mean(axis=1, keepdims=True)
    Z /= np.maximum(Z.std(axis=1, keepdims=True), 1e-6)
    return ACTIVATIONS[activation].forward(Z, np.empty_like(Z))
