"""Gradient checking: the backward pass compared with a gradient measured by nudging every parameter.

It finds the mistakes with which a network still trains, only worse. It costs two forward passes for each parameter, so
it is for networks of a few dozen parameters, in tests and for learning.
"""

from __future__ import annotations

import numpy as np

from model.activations import Array
from model.config import NetworkConfig
from model.network import cost_and_gradients
from model.parameters import Parameters


def check_gradients(
    X: Array,
    Y: Array,
    weights: Array,
    parameters: Parameters,
    config: NetworkConfig,
    *,
    l2: float = 0.0,
    seed: int = 0,
    step: float = 1e-5,
) -> float:
    """Return ||a - n|| / (||a|| + ||n||) of the analytic gradient a and the numerical one n, over all parameters.

    n_k = (J(theta_k + step) - J(theta_k - step)) / (2 step). Every evaluation draws its dropout masks from `seed`, so
    they are the same each time. In float64 a correct backward pass gives about 1e-10 and a wrong one more than 1e-3;
    a value in between arises if the nudge crosses a kink (ReLU at 0).

    Parameters
    ----------
    X, Y, weights : ndarray of shape (n_x, m), (n_L, m), (m,), float64
    parameters : Parameters
        float64; unchanged on return.
    config : NetworkConfig
    l2 : float
        L2 penalty, as in `model.network.cost_and_gradients`.
    seed : int
        Seed of the dropout masks.
    step : float
        How far each parameter is nudged.

    Raises
    ------
    ValueError
        When the parameters are not float64: single precision cannot distinguish right from wrong.
    """
    if parameters.flat.dtype != np.float64:
        raise ValueError(f"check_gradients needs float64 parameters, got {parameters.flat.dtype}")
    trial = parameters.copy()
    analytic = parameters.like(np.zeros_like(parameters.flat))
    unused = parameters.like(np.zeros_like(parameters.flat))

    def cost(gradients: Parameters) -> float:
        rng = np.random.default_rng(seed)
        return cost_and_gradients(X, Y, weights, trial, gradients, config, l2=l2, rng=rng)[0]

    cost(analytic)
    numerical = np.empty_like(trial.flat)
    for k, value in enumerate(parameters.flat):
        trial.flat[k] = value + step
        above = cost(unused)
        trial.flat[k] = value - step
        numerical[k] = (above - cost(unused)) / (2 * step)
        trial.flat[k] = value
    size = np.linalg.norm(analytic.flat) + np.linalg.norm(numerical)
    return float(np.linalg.norm(analytic.flat - numerical) / size) if size else 0.0
