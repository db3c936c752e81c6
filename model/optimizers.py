"""Optimisers: a table of rules. Each updates the flat parameter vector with the flat gradient, in place.

All parameters are in one vector (`model.parameters.Parameters`), so a rule is a few lines over a block of it. `apply`
takes the vector in blocks of at most 65,536 values, which stay in the processor's cache while the rule goes over them
several times. To add a rule, write a function and a line in the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from model import compiled
from model.activations import Array

_BLOCK = 65_536
_WORTH_COMPILING = 1e9  # parameter updates in a run: compiled code saves a second in them, and takes 0.4 s to load
_FLUSH_EVERY, _FLUSHED = 64, 1e-33  # with a decay of 0.9, a larger value is not denormal 64 steps later


class OptimizerSettings(Protocol):
    """The settings of the rules; `model.config.TrainingConfig` has them."""

    @property
    def optimizer(self) -> str: ...

    @property
    def momentum(self) -> float: ...

    @property
    def beta1(self) -> float: ...

    @property
    def beta2(self) -> float: ...

    @property
    def epsilon(self) -> float: ...

    @property
    def weight_decay(self) -> float: ...


class Block(NamedTuple):
    """A part of the flat vector with one learning-rate factor; `decays` is true for W, false for b and gamma."""

    start: int
    stop: int
    rate: float
    decays: bool


Update = Callable[[Array, Array, Array, float, int, OptimizerSettings], None]


class Optimizer(NamedTuple):
    """``update(w, g, moments, rate, t, config)`` changes w in place; t counts steps from 1; g may be overwritten."""

    update: Update
    n_moments: int  # vectors as large as the parameters that it carries from step to step
    rate_at_256: float  # learning rate that "auto" starts from, for batches of 256
    compiled: Callable[[np.dtype], Update | None] = lambda dtype: None  # the same rule, compiled for a dtype


def _sgd(w: Array, g: Array, moments: Array, rate: float, t: int, config: OptimizerSettings) -> None:
    g *= rate
    w -= g


def _momentum(w: Array, g: Array, moments: Array, rate: float, t: int, config: OptimizerSettings) -> None:
    """v = momentum v + g; w -= rate v (Polyak 1964)."""
    (v,) = moments
    v *= config.momentum
    v += g
    w -= rate * v


def _nesterov(w: Array, g: Array, moments: Array, rate: float, t: int, config: OptimizerSettings) -> None:
    """v = momentum v + g; w -= rate (g + momentum v) (Sutskever, Martens, Dahl, Hinton 2013)."""
    (v,) = moments
    v *= config.momentum
    v += g
    g += config.momentum * v
    g *= rate
    w -= g


def _rmsprop(w: Array, g: Array, moments: Array, rate: float, t: int, config: OptimizerSettings) -> None:
    """s = momentum s + (1 - momentum) g^2; w -= rate g / (sqrt(s) + epsilon) (Tieleman, Hinton 2012)."""
    (s,) = moments
    s *= config.momentum
    s += (1 - config.momentum) * np.square(g)
    denominator = np.sqrt(s)
    denominator += config.epsilon
    g /= denominator
    g *= rate
    w -= g


def _adam_passes(
    w: Array,
    g: Array,
    M: Array,
    V: Array,
    beta1: np.floating,
    beta2: np.floating,
    epsilon: np.floating,
    step: np.floating,
) -> None:
    """Update M, V and w in several passes over memory."""
    M *= beta1
    M += g
    g *= g
    V *= beta2
    V += g
    denominator = np.sqrt(V, out=g)
    denominator += epsilon
    np.divide(M, denominator, out=denominator)
    denominator *= step
    w -= denominator


def _adam(
    w: Array,
    g: Array,
    moments: Array,
    rate: float,
    t: int,
    config: OptimizerSettings,
    change: compiled.Change = _adam_passes,
) -> None:
    """Adam (Kingma, Ba 2015, algorithm 1), with the (1 - beta) of both moments moved into the step size.

    The stored moments are M = m / (1 - beta1) and V = v / (1 - beta2), which saves two operations. With them,
    m_hat / (sqrt(v_hat) + epsilon) = step M / (sqrt(V) + epsilon / scale).
    """
    scale = math.sqrt((1 - config.beta2) / (1 - config.beta2**t))
    step = rate * (1 - config.beta1) / (1 - config.beta1**t) / scale
    number = w.dtype.type
    M, V = moments
    change(w, g, M, V, number(config.beta1), number(config.beta2), number(config.epsilon / scale), number(step))


def _compiled_adam(dtype: np.dtype) -> Update | None:
    change = compiled.adam(dtype)
    return change and partial(_adam, change=change)


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer(_sgd, 0, 0.3),
    "momentum": Optimizer(_momentum, 1, 0.05),
    "nesterov": Optimizer(_nesterov, 1, 0.05),
    "rmsprop": Optimizer(_rmsprop, 1, 0.003),
    "adam": Optimizer(_adam, 2, 0.004, _compiled_adam),
    # weight decay is separate from the gradient (Loshchilov, Hutter 2019)
    "adamw": Optimizer(_adam, 2, 0.004, _compiled_adam),
}


def update_for(optimizer: str, dtype: np.dtype, n_updates: float) -> Update:
    """Return the form of a rule that is faster for a run of `n_updates` parameter updates; both agree bit for bit."""
    rule = OPTIMIZERS[optimizer]
    return (n_updates > _WORTH_COMPILING and rule.compiled(dtype)) or rule.update


def split_blocks(blocks: Sequence[Block]) -> list[Block]:
    """Cut blocks into smaller ones that fit into the cache."""
    return [
        Block(start, min(start + _BLOCK, piece.stop), piece.rate, piece.decays)
        for piece in blocks
        for start in range(piece.start, piece.stop, _BLOCK)
    ]


def apply(
    update: Update,
    w: Array,
    g: Array,
    moments: Array,
    blocks: Iterable[Block],
    rate: float,
    t: int,
    config: OptimizerSettings,
) -> None:
    """Take one step: change w (P,) and moments (k, P) in place, overwrite g (P,).

    `update` is a form of the rule that `config` names, from `update_for`.
    Decoupled weight decay (adamw) subtracts the share rate * weight_decay from every W before the step. Moments that
    have almost vanished, such as those of a dead unit, are set to 0: processors are slow with denormal numbers.
    """
    decay = config.weight_decay if config.optimizer == "adamw" else 0.0
    for start, stop, multiplier, decays in blocks:
        own_rate = rate * multiplier
        piece = w[start:stop]
        if decay and decays:
            piece *= 1 - own_rate * decay
        own_moments = moments[:, start:stop]
        if t % _FLUSH_EVERY == 0:
            own_moments[np.abs(own_moments) < _FLUSHED] = 0
        update(piece, g[start:stop], own_moments, own_rate, t, config)
