"""Folding: every affine step at prediction becomes part of W and b, so that a saved network is a plain L-layer net.

Batch normalisation by running statistics, and the standardisation of the input, are affine. Folded in, they cost
nothing at prediction, no other code needs to know them, and each row of W1 can be shown as an image. The temperature is
folded by `model.calibration`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model import batch_norm
from model.activations import Array
from model.config import NetworkConfig
from model.parameters import Parameters


def fold_batch_norm(parameters: Parameters, config: NetworkConfig) -> tuple[Parameters, NetworkConfig]:
    """Return the same network without batch normalisation: W' = gain W, b' = offset (see `batch_norm.fold`)."""
    plain = Parameters(parameters.layer_dims, dtype=parameters.flat.dtype)
    for l in range(1, parameters.L + 1):
        W, b, gamma = parameters[l]
        running = parameters.running_statistics(l)
        if gamma is not None and running is not None:
            gain, b = batch_norm.fold(gamma, b, *running)
            W = gain * W
        plain[l].W[:] = W
        plain[l].b[:] = b
    return plain, replace(config, batch_norm=False)


def fold_input(parameters: Parameters, shift: Array, scale: Array) -> Parameters:
    """Return a network that gives for inputs x what `parameters` gives for scale * (x - shift).

    Parameters
    ----------
    parameters : Parameters
        Without batch normalisation.
    shift, scale : ndarray of shape (n_x, 1) or (1, 1)

    Returns
    -------
    folded : Parameters
        With W1' = W1 * scale and b1' = b1 - W1' shift, computed in float64.
    """
    folded = parameters.copy()
    W, b, _ = folded[1]
    wide = W.astype(np.float64) * np.reshape(scale, (1, -1))
    b -= wide @ np.broadcast_to(shift, (W.shape[1], 1))
    W[:] = wide
    return folded
