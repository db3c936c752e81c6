"""How long a training step takes: with which number of threads it is faster, and how long a run will take."""

from __future__ import annotations

import os
import statistics
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from model.batches import BatchSource, split_evenly
from model.training import Trainer, TrainingState, start
from pipeline.evaluation.baselines import estimate_baseline_seconds

if TYPE_CHECKING:
    from pipeline.training.run import TrainingRun

_STEPS_TO_TIME = 12
_WORTH_SHARING = 50_000_000  # multiplications in a training step; below, a second thread costs more than it gains
_CLEARLY_FASTER = 0.9
_FIGURES = 4.0  # seconds to load the libraries, to calibrate and to draw
_SECONDS_TO_FIT = 1.5e-6  # a Gabor function to the weights of an edge detector, for each pixel
_VALIDATION = 1.1  # seconds of an epoch with validation, for each second without


def fastest_threads(state: TrainingState, source: BatchSource) -> int:
    """Return the number of threads for matrix products with which a training step is faster: 1 or all cores.

    It is found by trying, because it depends on more than the size of the products: if the processor has other work to
    do, such as augmentation, threads that wait for each other are slower than a single one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    products = 3 * state.training.batch_size * sum(n * n_prev for n_prev, n in state.parameters.shapes())
    if cores == 1 or products < _WORTH_SHARING:
        return 1
    is_faster = seconds_per_step(state, source, cores) < _CLEARLY_FASTER * seconds_per_step(state, source, 1)
    return cores if is_faster else 1


def estimate_seconds(run: TrainingRun) -> float:
    """Time a few training steps on a copy of the network, and return the seconds that all remaining ones will take."""
    training = run.state.training
    n_steps = training.epochs * len(split_evenly(len(run.train_source.labels), training.batch_size))
    if n_steps <= run.state.step:
        return 0.0
    return seconds_per_step(run.state, run.train_source, run.threads) * _VALIDATION * (n_steps - run.state.step)


def estimate_finish_seconds(run: TrainingRun) -> float:
    """Return about how many seconds pass after the last epoch: scores of all splits, baselines, figures."""
    height, width, _ = run.preprocessor.geometry.shape
    n_1, n_steps = run.state.parameters.layer_dims[1], len(run.dataset) / run.state.training.batch_size
    predicting = n_steps * seconds_per_step(run.state, run.train_source, run.threads) / 3  # forward, without backward
    fitting = n_1 * height * width * _SECONDS_TO_FIT if run.pretraining.is_on else 0.0
    return _FIGURES + predicting + fitting + estimate_baseline_seconds(run.dataset)


def seconds_per_step(state: TrainingState, source: BatchSource, threads: int) -> float:
    """Return the median seconds of a few training steps on a copy of the network, waiting for the batch included."""
    from threadpoolctl import threadpool_limits

    copy = start(
        state.network,
        state.training,
        n_x=source.n_x,
        m=len(source.labels),
        n_classes=state.n_classes,
        parameters=state.parameters,
    )
    trainer, times = Trainer(copy, source.labels), [time.perf_counter()]
    with threadpool_limits(threads):
        for batch in source.batches(trainer.batch_size, [0]):
            trainer.step(batch, 0.0)
            times.append(time.perf_counter())
            if len(times) > _STEPS_TO_TIME:
                break
    seconds = [end - begin for begin, end in pairwise(times)]
    return statistics.median(seconds[1:] or seconds)  # the first step warms up
