"""Batch normalisation (Ioffe, Szegedy 2015): Z_hat = (Z - mean) / sqrt(variance + epsilon), then gamma Z_hat + beta.

Forward and backward stand side by side, followed by the folding into W and b of a trained network. A layer with batch
normalisation has no b before it, since subtracting the mean would remove it; the beta after it is stored as the
layer's b. `model.network` decides which layers have it: all hidden layers or none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from model.activations import Array

EPSILON = 1e-5
RUNNING_RATE = 0.1  # weight of the newest batch in the running statistics


class BatchNormCache(NamedTuple):
    """What backward needs from forward: normalised values (n, m), 1 / standard deviation (n, 1), gamma (n, 1)."""

    Z_hat: Array
    inverse_std: Array
    gamma: Array


def batch_norm_forward(
    Z: Array,
    gamma: Array,
    beta: Array,
    running_mean: Array,
    running_variance: Array,
    *,
    Z_hat: Array | None = None,
) -> tuple[Array, BatchNormCache]:
    """Normalise Z (n, m) by the mean and variance over its m examples, in place; update the running statistics.

    The running variance is the unbiased one (divided by m - 1). gamma, beta and the statistics have shape (n, 1);
    `Z_hat` is an optional buffer of shape (n, m), which the cache keeps.
    """
    m = Z.shape[1]
    average = np.full((m, 1), 1 / m, Z.dtype)
    mean = Z @ average
    Z_hat = np.subtract(Z, mean, out=Z_hat)
    np.square(Z_hat, out=Z)
    variance = Z @ average
    inverse_std = 1 / np.sqrt(variance + Z.dtype.type(EPSILON))
    Z_hat *= inverse_std
    np.multiply(Z_hat, gamma, out=Z)
    Z += beta
    running_mean += RUNNING_RATE * (mean - running_mean)
    running_variance += RUNNING_RATE * (variance * (m / max(m - 1, 1)) - running_variance)
    return Z, BatchNormCache(Z_hat, inverse_std, gamma)


def batch_norm_backward(dZ: Array, cache: BatchNormCache, *, dgamma: Array, dbeta: Array) -> Array:
    """Turn the gradient after the normalisation (n, m) into the one before it, in place; fill dgamma, dbeta (n, 1).

    With g = dZ on entry: dbeta = sum g, dgamma = sum g Z_hat, and dZ becomes
    (gamma / std) (g - mean(g) - Z_hat mean(g Z_hat)), with means over the examples. The Z_hat of the cache is
    overwritten, so a cache serves one backward pass only.
    """
    Z_hat, inverse_std, gamma = cache
    m = dZ.shape[1]
    np.matmul(dZ, np.ones((m, 1), dZ.dtype), out=dbeta)
    np.einsum("nm,nm->n", dZ, Z_hat, out=dgamma[:, 0])
    dZ -= dbeta / m
    Z_hat *= dgamma / m
    dZ -= Z_hat
    dZ *= gamma * inverse_std
    return dZ


def batch_norm_inference(Z: Array, gamma: Array, beta: Array, running_mean: Array, running_variance: Array) -> Array:
    """Normalise Z (n, m) by the running statistics, in place."""
    gain, offset = fold(gamma, beta, running_mean, running_variance)
    Z *= gain
    Z += offset
    return Z


def fold(gamma: Array, beta: Array, running_mean: Array, running_variance: Array) -> tuple[Array, Array]:
    """Return gain and offset (n, 1) such that gain * Z + offset is the normalisation by running statistics."""
    gain = gamma / np.sqrt(running_variance + gamma.dtype.type(EPSILON))
    return gain, beta - gain * running_mean
