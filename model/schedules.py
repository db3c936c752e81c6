"""Learning-rate schedules: a table of factors on `learning_rate` over the run.

``factor(progress, config)`` takes the share of all steps done, 0 to 1, and returns a factor, usually 0 to 1.
The warm-up is the same for all: a straight line up from 1/25 over the first `config.warmup` of the steps; a
schedule's own progress starts where the warm-up ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.config import TrainingConfig

_WARMUP_START = 1 / 25


def _constant(progress: float, config: TrainingConfig) -> float:
    return 1.0


def _step(progress: float, config: TrainingConfig) -> float:
    """Times `decay_rate` after each of `decay_steps` equal stretches."""
    return config.decay_rate ** min(int(progress * config.decay_steps), config.decay_steps - 1)


def _exponential(progress: float, config: TrainingConfig) -> float:
    """Falls by the same factor in every step, to `decay_rate` at the end."""
    return config.decay_rate**progress


def _cosine(progress: float, config: TrainingConfig) -> float:
    """Half a cosine wave down to 0 (Loshchilov, Hutter 2017)."""
    return (1 + math.cos(math.pi * progress)) / 2


def _one_cycle(progress: float, config: TrainingConfig) -> float:
    """A straight line down to 0; with the warm-up before it, the "1cycle" policy (Smith, Topin 2018)."""
    return 1 - progress


SCHEDULES: dict[str, Callable[[float, TrainingConfig], float]] = {
    "constant": _constant,
    "step": _step,
    "exponential": _exponential,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
}


def learning_rate_at(step: int, n_steps: int, config: TrainingConfig) -> float:
    """Return the learning rate of one step (0 to n_steps - 1) under `config` (resolved: no "auto" left)."""
    assert config.learning_rate != "auto"
    progress = step / max(n_steps, 1)
    if progress < config.warmup:
        return config.learning_rate * (_WARMUP_START + (1 - _WARMUP_START) * progress / config.warmup)
    after_warmup = (progress - config.warmup) / (1 - config.warmup)
    return config.learning_rate * SCHEDULES[config.schedule](after_warmup, config)
