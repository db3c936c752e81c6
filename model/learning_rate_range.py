"""The learning-rate range test: finds in a few seconds which learning rates make the cost fall (Smith 2017)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from model.batches import BatchSource
from model.errors import Diverged
from model.training import Trainer, TrainingState, start


def find_learning_rate(
    state: TrainingState, source: BatchSource, *, lowest: float = 1e-6, highest: float = 10.0, n_steps: int = 100
) -> Iterator[tuple[float, float]]:
    """Take steps with increasing learning rates on a copy of a run that has not begun.

    Parameters
    ----------
    state : TrainingState
        From `model.training.start`; left as it is.
    source : BatchSource
    lowest, highest : float
        First and last learning rate of a geometric series.
    n_steps : int

    Yields
    ------
    learning_rate, cost : float
        The learning rate of a step, and the mean cost of its batch before it. Ends early when the cost is four times
        the lowest one so far, or no longer finite.
    """
    n_x, m = state.parameters.layer_dims[0], len(source.labels)
    trial = start(state.network, state.training, n_x=n_x, m=m, n_classes=state.n_classes, parameters=state.parameters)
    run, lowest_cost = Trainer(trial, source.labels), math.inf
    rates = iter(np.geomspace(lowest, highest, n_steps).tolist())
    while True:
        for batch in source.batches(run.batch_size, [state.training.seed, trial.epoch]):
            rate = next(rates, None)
            if rate is None:
                return
            try:
                cost, _ = run.step(batch, rate)
            except Diverged:
                return
            yield rate, cost
            lowest_cost = min(lowest_cost, cost)
            if cost > 4 * lowest_cost:
                return
        trial.epoch += 1


def suggest(rates: list[float], costs: list[float]) -> float:
    """Return the learning rate at which the smoothed cost falls steepest over its logarithm: a good peak learning rate.

    Raises
    ------
    ValueError
        With fewer than ten points.
    """
    if len(rates) < 10:
        raise ValueError(f"only {len(rates)} learning rates could be tried; start from a lower one")
    smooth = np.convolve(np.pad(costs, 2, mode="edge"), np.full(5, 0.2), mode="valid")
    slope = np.gradient(smooth, np.log(rates))
    return rates[int(np.argmin(slope[: int(np.argmin(smooth)) + 1]))]
