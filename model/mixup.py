"""Mixup: a network that learns from mixtures of two examples is less confident about examples between classes."""

from __future__ import annotations

import numpy as np

from model.activations import Array


def mix(X: Array, Y: Array, weights: Array, alpha: float, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Mix every example of a batch with another one (Zhang, Cisse, Dauphin, Lopez-Paz 2018).

    The cost of a mixture is the cost of both targets, each times its share and the weight of its example. Because the
    cost is linear in the targets, this equals the cost of one mixed target with one weight.

    Parameters
    ----------
    X : ndarray of shape (n_x, m)
    Y : ndarray of shape (n_L, m)
        Targets.
    weights : ndarray of shape (m,)
        Weights of the examples.
    alpha : float
        The share is drawn from a Beta(alpha, alpha) distribution, once for the batch.
    rng : Generator

    Returns
    -------
    X, Y, weights
        New arrays of the same shapes. In column i, the larger share is that of example i.
    """
    share = X.dtype.type(rng.beta(alpha, alpha))
    share = max(share, 1 - share)
    other = rng.permutation(X.shape[1])
    both = share * weights + (1 - share) * weights[other]
    part = np.divide(share * weights, both, out=np.ones_like(both), where=both > 0)
    return X * share + X.T[other].T * (1 - share), Y * part + Y.T[other].T * (1 - part), both
