"""Learning-rate schedules: a table of factors on `learning_rate` over the run.

``factor(progress, config)`` takes the share of all steps done, 0 to 1, and returns a factor, usually 0 to 1.
The warm-up is the same for all: a straight line up from 1/25 over the share `config.warmup` of the steps. The progress
of a schedule starts at the end of the warm-up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

_WARMUP_START = 1 / 25


class DecaySettings(Protocol):
    """The settings of how a learning rate falls; `model.config.TrainingConfig` has them."""

    @property
    def decay_rate(self) -> float: ...

    @property
    def decay_steps(self) -> int: ...


class ScheduleSettings(DecaySettings, Protocol):
    """All settings of a schedule; `model.config.ResolvedTraining` has them."""

    @property
    def learning_rate(self) -> float: ...

    @property
    def schedule(self) -> str: ...

    @property
    def warmup(self) -> float: ...


def _constant(progress: float, config: DecaySettings) -> float:
    return 1.0


def _step(progress: float, config: DecaySettings) -> float:
    """Multiply by `decay_rate` after each of `decay_steps` equal parts of the run."""
    return config.decay_rate ** min(int(progress * config.decay_steps), config.decay_steps - 1)


def _exponential(progress: float, config: DecaySettings) -> float:
    """Fall by the same factor in every step, to `decay_rate` at the end."""
    return config.decay_rate**progress


def _cosine(progress: float, config: DecaySettings) -> float:
    """Fall along half a cosine wave to 0 (Loshchilov, Hutter 2017)."""
    return (1 + math.cos(math.pi * progress)) / 2


def _one_cycle(progress: float, config: DecaySettings) -> float:
    """Fall in a straight line to 0; with the warm-up before it, the "1cycle" policy (Smith, Topin 2018)."""
    return 1 - progress


SCHEDULES: dict[str, Callable[[float, DecaySettings], float]] = {
    "constant": _constant,
    "step": _step,
    "exponential": _exponential,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
}


def learning_rate_at(step: int, n_steps: int, config: ScheduleSettings) -> float:
    """Return the learning rate of one step (0 to n_steps - 1) ."""
    progress = step / max(n_steps, 1)
    if progress < config.warmup:
        return config.learning_rate * (_WARMUP_START + (1 - _WARMUP_START) * progress / config.warmup)
    after_warmup = (progress - config.warmup) / (1 - config.warmup)
    return config.learning_rate * SCHEDULES[config.schedule](after_warmup, config)
