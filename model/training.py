"""The training loop: one generator, which yields a record after each epoch and leaves everything else to its caller.

A run is a `TrainingState` (everything that changes) under a `TrainingConfig` (everything that does not):

    state = start(network_config, training_config, n_x=..., m=..., n_classes=...)
    for record in train(state, ArrayBatches(X, labels)):
        print(record.epoch, record.cost)
    network = state.result

Printing, plotting, saving and stopping happen around the loop. All randomness comes from the seed, the epoch and the
step (see `model.randomness`), so a state that is saved after an epoch holds all that is needed to resume exactly.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model import optimizers
from model.activations import Array
from model.batches import Batch, BatchSource, split_evenly
from model.bound import FirstLayerBound
from model.config import NetworkConfig, ResolvedTraining, TrainingConfig, resolve
from model.errors import ConfigError, DimensionError, Diverged
from model.heads import HEADS
from model.mixup import mix
from model.network import Workspace, cost_and_gradients, forward, labels_from
from model.parameters import Parameters, initialize
from model.randomness import RandomStream
from model.schedules import learning_rate_at


@dataclass(frozen=True)
class EpochRecord:
    """The outcome of one epoch. Costs and accuracies are means over examples; NaN if there is no validation.

    `cost` and `accuracy` are collected while the weights change, with dropout, label smoothing and mixup (the label of
    a mixture is that of the example with the larger share), and `cost` includes the L2 penalty. The validation figures
    are those of the network as it would be used.
    """

    epoch: int
    cost: float
    accuracy: float
    validation_cost: float
    validation_accuracy: float
    learning_rate: float
    seconds: float
    is_best: bool


@dataclass
class TrainingState:
    """Everything that changes while a network is trained; after any epoch, enough to resume exactly.

    Attributes
    ----------
    network : NetworkConfig
        Without "auto".
    training : ResolvedTraining
    n_classes : int
    parameters : Parameters
        As trained, with batch normalisation.
    moments : ndarray of shape (k, P)
        What the optimiser carries from step to step.
    average : Parameters or None
        Exponential moving average of the parameters, if `training.average` is on.
    best : Parameters or None
        The parameters with the lowest validation cost so far.
    epoch, step : int
        Numbers of epochs and steps done.
    history : list of EpochRecord
    """

    network: NetworkConfig
    training: ResolvedTraining
    n_classes: int
    parameters: Parameters
    moments: Array
    average: Parameters | None = None
    best: Parameters | None = None
    epoch: int = 0
    step: int = 0
    history: list[EpochRecord] = field(default_factory=list)

    @property
    def current(self) -> Parameters:
        """The weights as they would be used now: the moving average if there is one."""
        return self.average or self.parameters

    @property
    def result(self) -> Parameters:
        """The weights to keep: the current ones, or the best by validation if they are known and asked for.

        In a run that is not finished, the weights have not settled: the best ones are then kept too.
        """
        wanted = self.training.restore_best or not self.is_finished
        return self.best if wanted and self.best is not None else self.current

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are done, or `patience` epochs have passed since the best."""
        if self.epoch >= self.training.epochs:
            return True
        best = [record.epoch for record in self.history if record.is_best]
        return bool(self.training.patience and best and self.epoch - best[-1] >= self.training.patience)


def start(
    network: NetworkConfig,
    training: TrainingConfig,
    *,
    n_x: int,
    m: int,
    n_classes: int,
    parameters: Parameters | None = None,
) -> TrainingState:
    """Prepare a run: resolve "auto" values and initialise the parameters from `training.seed`.

    Parameters
    ----------
    network, training : NetworkConfig, TrainingConfig
    n_x, m, n_classes : int
        Inputs, training examples, classes.
    parameters : Parameters, optional
        Start from a copy of these instead of random ones.

    Raises
    ------
    ConfigError, DimensionError
        When the configuration does not fit the data, or `parameters` do not fit the configuration.
    """
    network, training = resolve(network, training, n_x=n_x, m=m, n_classes=n_classes)
    layer_dims = network.layer_dims(n_x, n_classes)
    if parameters is None:
        rng = np.random.default_rng(training.seed)
        parameters = initialize(layer_dims, network, rng, training.dtype)
    elif parameters.layer_dims != layer_dims or parameters.batch_norm != network.batch_norm:
        raise DimensionError(
            f"the weights given are of a network {parameters.layer_dims}"
            f"{' with batch_norm' if parameters.batch_norm else ''}, the configuration asks for {layer_dims}"
            f"{' with batch_norm' if network.batch_norm else ''}"
        )
    else:
        parameters = parameters.like(parameters.flat.astype(training.dtype), parameters.running.astype(training.dtype))
    n_moments = optimizers.OPTIMIZERS[training.optimizer].n_moments
    return TrainingState(
        network,
        training,
        n_classes,
        parameters,
        np.zeros((n_moments, parameters.flat.size), parameters.flat.dtype),
        average=parameters.copy() if training.average else None,
    )


def train(
    state: TrainingState,
    source: BatchSource,
    validation: BatchSource | None = None,
    bound: FirstLayerBound | None = None,
) -> Iterator[EpochRecord]:
    """Train `state`, in place, to the end of its configuration; yield a record after each epoch.

    With a `bound`, layer 1 stays near the weights in it.

    The same number of BLAS threads (``threadpoolctl``) on the same machine gives the same weights, bit for bit.

    Without `validation` the last weights are the result: there is no best epoch, no early stopping, and no accuracy on
    new examples.

    Raises
    ------
    Diverged
        When the cost is no longer finite; the message names the step.
    ConfigError, DimensionError, ValueError
        When the data does not fit, see `check_sources`.
    """
    check_sources(state, source, validation)
    run = Trainer(state, source.labels, bound)
    while not state.is_finished:
        yield run.epoch(source, validation)


def check_sources(state: TrainingState, source: BatchSource, validation: BatchSource | None) -> None:
    """Make sure that a run can be trained on this data.

    Raises
    ------
    ConfigError
        When the run is to stop early, and there is no validation data.
    DimensionError, ValueError
        When the data does not fit: another n_x, labels outside the classes, no examples.
    """
    for name, part in (("training", source), ("validation", validation)):
        if part is not None:
            _check_source(name, part, state)
    if validation is None and state.training.patience:
        raise ConfigError("patience: early stopping needs validation data; give some, or set patience to 0")


def _check_source(name: str, source: BatchSource, state: TrainingState) -> None:
    n_x = state.parameters.layer_dims[0]
    if source.n_x != n_x:
        raise DimensionError(f"{name} data: examples have {source.n_x} inputs, the network takes {n_x}")
    if not len(source.labels):
        raise ValueError(f"{name} data: there are no examples")
    lowest, highest = int(source.labels.min()), int(source.labels.max())
    if lowest < 0 or highest >= state.n_classes:
        raise ValueError(
            f"{name} data: labels run from {lowest} to {highest}, expected 0 to {state.n_classes - 1} "
            f"for {state.n_classes} classes"
        )


Weights = tuple[Parameters, Array, Parameters | None]  # parameters, moments, average


class Trainer:
    """What an epoch needs besides the state: buffers and constants, which can be made from it at any time."""

    def __init__(self, state: TrainingState, labels: NDArray[np.integer], bound: FirstLayerBound | None = None) -> None:
        self.state, self.bound = state, bound
        own = state.parameters
        self.gradients = own.like(np.zeros_like(own.flat), own.running)
        self.workspace = Workspace()
        self.before = own.copy(), state.moments.copy(), state.average and state.average.copy()
        self.blocks = optimizers.split_blocks(_blocks_of(state.parameters, state.training.layer_rates))
        self.class_weights = _class_weights(labels, state)
        self.batch_size = state.training.batch_size
        self.steps_per_epoch = len(split_evenly(len(labels), self.batch_size))
        self.n_steps = state.training.epochs * self.steps_per_epoch
        n_updates = self.n_steps * own.flat.size
        self.update_rule = optimizers.update_for(state.training.optimizer, own.flat.dtype, n_updates)

    def epoch(self, source: BatchSource, validation: BatchSource | None) -> EpochRecord:
        """Go over `source` once, then evaluate on `validation`."""
        state, begin = self.state, time.perf_counter()
        now, step = (state.parameters, state.moments, state.average), state.step
        _assign(self.before, now)
        cost = correct = 0.0
        try:
            for batch in source.batches(self.batch_size, [state.training.seed, state.epoch]):
                rate = learning_rate_at(state.step, self.n_steps, state.training)
                batch_cost, batch_correct = self.step(batch, rate)
                cost += batch_cost * len(batch.labels)
                correct += batch_correct
            if not np.isfinite(state.parameters.flat).all():
                raise self._diverged("a weight", rate)
            validation_cost, validation_accuracy = math.nan, math.nan
            if validation is not None:
                validation_cost, validation_accuracy = cost_and_accuracy(state.current, state.network, validation)
                if not math.isfinite(validation_cost):
                    raise self._diverged("the validation cost", rate)
            m = len(source.labels)
            best_so_far = min((r.validation_cost for r in state.history if r.is_best), default=math.inf)
            record = EpochRecord(
                epoch=state.epoch + 1,
                cost=cost / m,
                accuracy=correct / m,
                validation_cost=validation_cost,
                validation_accuracy=validation_accuracy,
                learning_rate=rate,
                seconds=time.perf_counter() - begin,
                is_best=validation_cost < best_so_far,
            )
            best = state.current.copy() if record.is_best else state.best
        except BaseException:  # interrupted, too: a state is always that of a whole epoch
            _assign(now, self.before)
            state.step = step
            raise
        state.best = best
        state.history.append(record)
        state.epoch = len(state.history)
        return record

    def step(self, batch: Batch, rate: float) -> tuple[float, int]:
        """Update the parameters with one batch; return its mean cost and the number of correct predictions."""
        state, config, m = self.state, self.state.training, len(batch.labels)
        dtype = state.parameters.flat.dtype
        Y = HEADS[state.network.head].targets(batch.labels, state.n_classes, config.label_smoothing, dtype)
        example_weights = np.full(m, 1 / m, dtype)
        if batch.weights is not None:
            example_weights *= batch.weights
        if self.class_weights is not None:
            example_weights *= self.class_weights[batch.labels]
        X, seed = batch.X, [config.seed, state.epoch, state.step]
        if config.mixup:
            X, Y, example_weights = mix(
                X, Y, example_weights, config.mixup, np.random.default_rng([*seed, RandomStream.MIXUP])
            )
        rng = None
        if state.network.dropout or state.network.input_dropout:
            rng = np.random.default_rng([*seed, RandomStream.DROPOUT])
        with np.errstate(over="ignore", invalid="ignore"):  # a diverging run is reported once, below
            cost, logits = cost_and_gradients(
                X,
                Y,
                example_weights,
                state.parameters,
                self.gradients,
                state.network,
                l2=config.l2,
                rng=rng,
                workspace=self.workspace,
            )
            if not math.isfinite(cost):
                raise self._diverged("the cost", rate)
            state.step += 1
            self._update(rate)
        return cost, n_correct(logits, batch.labels)

    def _update(self, rate: float) -> None:
        """Update the parameters and their average with the gradients."""
        state, config, gradient = self.state, self.state.training, self.gradients.flat
        clip(gradient, config.clip_norm)
        optimizers.apply(
            self.update_rule, state.parameters.flat, gradient, state.moments, self.blocks, rate, state.step, config
        )
        if self.bound:
            self.bound.hold(state.parameters[1].W)
        if state.average:
            decay = min(config.average, (1 + state.step) / (10 + state.step))  # forgets the initial weights soon
            for start, stop, *_ in self.blocks:
                piece = slice(start, stop)
                state.average.flat[piece] *= decay
                state.average.flat[piece] += (1 - decay) * state.parameters.flat[piece]
            state.average.running[:] = state.parameters.running

    def _diverged(self, what: str, rate: float) -> Diverged:
        state = self.state
        if state.step == 0:
            return Diverged(
                f"{what} is NaN or infinite before the first step: no learning rate can help. The examples or the "
                "weights to start from are too large; scale pixels to 0..1"
            )
        kept = " The weights from before this epoch are kept." if state.epoch else ""
        return Diverged(
            f"training diverged: {what} became NaN or infinite at step {state.step + 1} (epoch {state.epoch + 1}, "
            f"learning rate {rate:.3g}).{kept} Lower learning_rate, or set "
            "clip_norm to 1"
        )


def _assign(target: Weights, source: Weights) -> None:
    """Overwrite parameters, moments and average with others."""
    target[0].assign(source[0])
    target[1][:] = source[1]
    if target[2] and source[2]:
        target[2].assign(source[2])


def _blocks_of(parameters: Parameters, layer_rates: tuple[float, ...]) -> list[optimizers.Block]:
    """List the blocks of the flat vector: each W, and the other parameters of its layer."""
    blocks, at = [], 0
    for l in range(1, parameters.L + 1):
        rate = layer_rates[l - 1] if layer_rates else 1.0
        W, *others = (view.size for view in parameters[l] if view is not None)
        for size, decays in ((W, True), (sum(others), False)):
            blocks.append(optimizers.Block(at, at + size, rate, decays))
            at += size
    return blocks


def _class_weights(labels: NDArray[np.integer], state: TrainingState) -> Array | None:
    """Return m / (n_classes * count) for each class, shape (n_classes,); None if classes are not balanced."""
    if state.training.class_weight == "none":
        return None
    counts = np.bincount(labels, minlength=state.n_classes)
    present = np.count_nonzero(counts)
    return (len(labels) / (present * np.maximum(counts, 1))).astype(state.parameters.flat.dtype)


def clip(gradient: Array, clip_norm: float) -> None:
    """Scale `gradient` down, in place, to a norm of at most `clip_norm`; 0: no limit (Pascanu et al. 2013)."""
    if clip_norm:
        norm = float(np.linalg.norm(gradient))
        if norm > clip_norm:
            gradient *= clip_norm / norm


def n_correct(logits: Array, labels: NDArray[np.integer]) -> int:
    """Count the examples whose most probable class is their label; logits are (n_L, m), one row for sigmoid."""
    predicted = logits[0] > 0 if len(logits) == 1 else labels_from(logits)
    return int(np.count_nonzero(predicted == labels))


def cost_and_accuracy(parameters: Parameters, config: NetworkConfig, source: BatchSource) -> tuple[float, float]:
    """Return the mean cost (without penalties or smoothing) and the accuracy of a network on a source."""
    head, n_classes, workspace = HEADS[config.head], max(parameters.layer_dims[-1], 2), Workspace()
    cost = correct = total = 0.0
    for batch in source.batches(1024, None):
        with np.errstate(over="ignore", invalid="ignore"):
            logits, _ = forward(batch.X, parameters, config, workspace=workspace)
            losses = head.losses(logits, head.targets(batch.labels, n_classes, 0.0, logits.dtype))
        cost += float(losses.sum() if batch.weights is None else losses @ batch.weights)
        correct, total = correct + n_correct(logits, batch.labels), total + len(batch.labels)
    return cost / total, correct / total
