"""Is the backward pass right? Compares its gradient with one measured by nudging every parameter."""

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

    n_k = (J(theta_k + step) - J(theta_k - step)) / (2 step). Dropout masks are drawn from `seed` anew for each
    evaluation, hence the same each time. A right backward pass in float64 gives about 1e-10, a wrong one above
    1e-3; kinks (ReLU at 0) crossed by the nudge give something between.

    Parameters
    ----------
    X, Y, weights : ndarray of shape (n_x, m), (n_L, m), (m,), float64
    parameters : Parameters
        float64; unchanged on return.
    config : NetworkConfig
    l2, seed, step
        As in `model.network.cost_and_gradients`; the nudge.

    Raises
    ------
    ValueError
        When the parameters are not float64: single precision cannot tell right from wrong.
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
