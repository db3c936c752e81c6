"""Unsupervised pretraining of layers 2 and 3, on top of a layer 1 of edge detectors: edges that occur together.

Every unit of layer 2 gets one of 3 x 3 overlapping windows, each half as wide and half as high as the image. It learns
its weights from the activations of the layer-1 units centred in that window, without labels; layer 3 learns in the
same way from all of layer 2. Weights outside a window start at 0 and are free to change in training. So the locality
of layer 2 is built in, not learned: random weights in the same windows are local, too. What is learned, and whether it
helps, is measured by `benchmarks/parts.py` and described in docs/edges.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from model.activations import ACTIVATIONS, Array
from model.edges.first_layer import whiten

WINDOWS, WINDOW_SIDE = 3, 0.5  # windows a side, and the side of each as a share of the image's
FEWEST_UNITS = 4  # for each window; fewer hardly compete for what they respond to
Learner = Callable[[Array, int, np.random.Generator], Array]


def k_means(A: Array, n: int, rng: np.random.Generator) -> Array:
    """Return the centres (n, n_prev) of n clusters of whitened activations A (n_prev, m) (Coates, Lee, Ng 2011)."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    Z, P = whiten(A, min(len(A), 2 * n))
    Z = Z / np.maximum(np.linalg.norm(Z, axis=0), 1e-6)
    means = KMeans(n, n_init=1, max_iter=50, random_state=int(rng.integers(2**31)))
    with threadpool_limits(1), warnings.catch_warnings():  # several threads round differently
        warnings.simplefilter("ignore", ConvergenceWarning)  # identical images give fewer clusters than n
        return means.fit(Z.T).cluster_centers_ @ P


def windows_of(W1: Array, shape: tuple[int, int, int]) -> list[np.ndarray]:
    """Return, for each window, the units of layer 1 whose weights are centred in it; all units if none is.

    Parameters
    ----------
    W1 : ndarray of shape (n_1, n_x), float
    shape : (height, width, channels)
        Shape of the images.

    Returns
    -------
    list of ndarray of int
        One array for each of the `WINDOWS` x `WINDOWS` windows, row by row. A unit is in up to four windows.
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
    """Learn layer 2 from the activations of layer 1 within windows, and layer 3 from all activations of layer 2.

    Parameters
    ----------
    Z1 : ndarray of shape (n_1, m), float32
        W1 X for some thousand unlabelled images X; these may be augmented versions of fewer images.
    W1 : ndarray of shape (n_1, n_x), float
    shape : (height, width, channels)
    widths : sequence of int
        n_2, or n_2 and n_3. With fewer than `FEWEST_UNITS` units of layer 2 for each window, all units see all of
        layer 1.
    activation : str
    rng : Generator
        The same state gives the same weights.
    learn : callable, optional
        Takes activations A (n, m), a number of units and `rng`; returns weights (units, n).

    Returns
    -------
    list of (W, b)
        For layers 2, 3: shapes (n_l, n_{l-1}) and (n_l, 1), float64, such that the Z of every unit has mean 0 and
        standard deviation 1.

    Raises
    ------
    ValueError
        When layer 1 is inactive for all images, or there are fewer images than units to learn.
    """
    layers, Z, windows = [], Z1, windows_of(W1, shape)
    for n in widths:
        if n < FEWEST_UNITS * len(windows):
            windows = [np.arange(len(Z))]
        if Z.shape[1] < n:
            raise ValueError(
                f"pretrain_layers: {Z.shape[1]} images are too few to learn {n} units from; augment them, "
                "or set pretrain_layers to 1"
            )
        A = _activations(Z, activation)
        W = np.zeros((n, len(A)))
        for k, inputs in enumerate(windows):
            units = np.arange(k, n, len(windows))
            if not A[inputs].any():
                raise ValueError(
                    "pretrain_layers: layer 1 is inactive for all images, so there is nothing to learn; "
                    "set pretrain_layers to 1"
                )
            if len(units):
                W[np.ix_(units, inputs)] = learn(A[inputs], len(units), rng)
        Z = W.astype(np.float32) @ A
        std = np.maximum(Z.std(axis=1, keepdims=True), 1e-6)
        layers.append((W / std, -Z.mean(axis=1, keepdims=True, dtype=np.float64) / std))
        windows = [np.arange(n)]
    return layers


def _activations(Z: Array, activation: str) -> Array:
    """Return A of a layer whose Z is normalised unit by unit, as batch normalisation would do it."""
    Z = Z - Z.mean(axis=1, keepdims=True)
    Z /= np.maximum(Z.std(axis=1, keepdims=True), 1e-6)
    return ACTIVATIONS[activation].forward(Z, np.empty_like(Z))
