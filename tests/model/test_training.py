"""The training loop: it learns, it keeps its promises to the letter, and where it has to stop it says why."""

import dataclasses
import itertools
import math
import tracemalloc

import numpy as np
import pytest

from model.batches import ArrayBatches, Batch
from model.config import NetworkConfig, TrainingConfig
from model.errors import DimensionError, Diverged
from model.heads import HEADS
from model.network import class_probabilities, draw_mask, labels_from
from model.optimizers import OPTIMIZERS
from model.parameters import Parameters
from model.training import Trainer, cost_and_accuracy, start, train

NETWORK = NetworkConfig(hidden=(24, 16), batch_norm=True)
TRAINING = TrainingConfig(epochs=6, batch_size=32, learning_rate=0.003)


def begin(source, network=NETWORK, training=TRAINING, n_classes=10, **fields):
    training = dataclasses.replace(training, **fields)
    return start(network, training, n_x=source.n_x, m=len(source.labels), n_classes=n_classes)


def run(source, validation=None, network=NETWORK, **options):
    state = begin(source, network, **options)
    list(train(state, source, validation))
    return state


def small(m=40, n_classes=2, dtype=np.float64):
    rng = np.random.default_rng(5)
    X = np.asfortranarray(rng.normal(size=(6, m)).astype(dtype))
    return X, (np.digitize(X[0] + X[1], [0, 0.8][: n_classes - 1])).astype(int)


# It learns.


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_digits_are_learnt_with_the_rates_that_auto_chooses(digits, optimizer):
    source, validation = digits
    network = NetworkConfig(hidden=(64, 32))
    options = {"optimizer": optimizer, "epochs": 40, "batch_size": "auto", "learning_rate": "auto"}
    state = run(source, validation, network=network, **options)
    assert state.history[-1].validation_accuracy > 0.85
    assert state.history[-1].cost < state.history[0].cost / 2


def test_two_classes_with_the_sigmoid_head():
    X, labels = small(m=200)
    state = run(ArrayBatches(X, labels), n_classes=2, epochs=30)
    assert state.network.head == "sigmoid"
    assert np.mean(labels_from(class_probabilities(X, state.result, state.network)) == labels) > 0.95


def test_logistic_regression_is_a_network_without_hidden_layers(digits):
    state = run(*digits, network=NetworkConfig(hidden=()))
    assert state.history[-1].validation_accuracy > 0.8


# The records.


def test_one_record_per_epoch_with_figures_that_can_be_measured_again(digits):
    source, validation = digits
    state = begin(source)
    for epoch, record in enumerate(train(state, source, validation), start=1):
        assert record.epoch == state.epoch == epoch
        assert state.step == epoch * 19  # 600 examples in batches of 32
        cost, accuracy = cost_and_accuracy(state.parameters, state.network, validation)
        assert record.validation_cost == pytest.approx(cost, rel=1e-6)
        assert record.validation_accuracy == accuracy
        probabilities = class_probabilities(next(validation.batches(300, None)).X, state.parameters, state.network)
        assert accuracy == np.mean(labels_from(probabilities) == validation.labels)
        assert cost == pytest.approx(-np.log(probabilities[validation.labels, np.arange(300)]).mean(), rel=1e-4)
    assert state.is_finished
    assert [r.epoch for r in state.history] == list(range(1, 7))


def test_cost_and_accuracy_of_an_epoch_are_means_over_its_examples():
    X, labels = small(m=43)
    source = ArrayBatches(X, labels)  # in batches of 8 and 7
    state = begin(source, NO_NORM, n_classes=2, batch_size=8, layer_rates=(0.0, 0.0), dtype="float64")
    record = next(train(state, source))
    cost, accuracy = cost_and_accuracy(state.parameters, state.network, source)
    assert record.cost == pytest.approx(cost, rel=1e-12)
    assert record.accuracy == accuracy


def test_the_penalty_is_in_the_cost_and_shrinks_the_weights(digits):
    source, _ = digits
    without, with_l2 = (run(source, optimizer="adam", l2=l2) for l2 in (0.0, 0.01))
    assert with_l2.history[0].cost > without.history[0].cost
    assert np.linalg.norm(with_l2.parameters[1].W) < np.linalg.norm(without.parameters[1].W)


def test_without_validation_there_is_no_best_and_the_last_weights_are_the_result(digits):
    state = run(digits[0])
    assert state.best is None
    assert state.result is state.parameters
    assert all(math.isnan(r.validation_cost) and math.isnan(r.validation_accuracy) for r in state.history)
    assert not any(r.is_best for r in state.history)


def test_early_stopping_without_validation_is_refused(digits):
    with pytest.raises(ValueError, match="patience: early stopping needs validation data"):
        run(digits[0], patience=3)


# The best weights and early stopping.


def overfitting():
    """30 examples with random labels: the validation cost can only rise after a while."""
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.normal(size=(20, 60)))
    labels = rng.integers(0, 2, 60)
    return ArrayBatches(X[:, :30], labels[:30]), ArrayBatches(X[:, 30:], labels[30:])


HOT = {"n_classes": 2, "epochs": 60, "schedule": "constant", "warmup": 0.0, "learning_rate": 0.01, "batch_size": 15}


def test_early_stopping_counts_from_the_best_epoch_and_its_weights_are_the_result():
    source, validation = overfitting()
    state = run(source, validation, patience=4, **HOT)
    costs = [r.validation_cost for r in state.history]
    best = int(np.argmin(costs))
    assert len(costs) == best + 1 + 4 < 60
    assert state.is_finished
    assert cost_and_accuracy(state.result, state.network, validation)[0] == pytest.approx(costs[best])
    assert [r.epoch for r in state.history if r.is_best][-1] == best + 1


def test_the_last_weights_are_the_result_where_the_best_are_not_asked_for():
    source, validation = overfitting()
    state = run(source, validation, restore_best=False, **{**HOT, "epochs": 20})
    assert state.result is state.parameters
    assert cost_and_accuracy(state.result, state.network, validation)[0] == pytest.approx(
        state.history[-1].validation_cost
    )


def test_a_run_that_is_broken_off_keeps_its_best_weights():
    source, validation = overfitting()
    state = begin(source, **{**HOT, "schedule": "one_cycle", "restore_best": "auto"})
    for record in train(state, source, validation):
        if record.epoch == 20:
            break
    costs = [r.validation_cost for r in state.history]
    assert min(costs) < costs[-1]
    assert cost_and_accuracy(state.result, state.network, validation)[0] == pytest.approx(min(costs))


def test_validation_that_comes_later_still_finds_its_best(digits):
    source, validation = digits
    state = begin(source)
    next(train(state, source))
    records = list(train(state, source, validation))
    assert len(records) == 5
    assert records[0].is_best
    assert state.best is not None


# Everything comes from the seed.


def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_does_not(digits):
    network = dataclasses.replace(NETWORK, dropout=0.2, input_dropout=0.1)
    first, same, other = (run(*digits, network=network, seed=seed, mixup=0.2) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.parameters.flat, same.parameters.flat)
    np.testing.assert_array_equal(first.parameters.running, same.parameters.running)
    assert not np.allclose(first.parameters.flat, other.parameters.flat)


def test_stopping_after_any_epoch_and_going_on_changes_nothing(digits):
    source, validation = digits
    network = dataclasses.replace(NETWORK, dropout=0.2)
    whole = run(source, validation, network=network, average=0.9, mixup=0.2)
    parts = begin(source, network, average=0.9, mixup=0.2)
    while not parts.is_finished:
        next(train(parts, source, validation))
    for name in ("parameters", "average", "best"):
        np.testing.assert_array_equal(getattr(parts, name).flat, getattr(whole, name).flat)


def test_every_epoch_has_an_order_of_its_own(digits):
    source, orders = digits[0], []

    class Noting(ArrayBatches):
        def batches(self, batch_size, order):
            orders.append(tuple(order))
            return super().batches(batch_size, order)

    run(Noting(next(source.batches(600, None)).X, source.labels), seed=7)
    assert orders == [(7, epoch) for epoch in range(6)]


@pytest.mark.parametrize("which", ["dropout", "input_dropout"])
def test_every_step_silences_other_units(digits, which):
    source, _ = digits
    network = NetworkConfig(hidden=(24, 16), batch_norm=False, **{which: 0.5})
    state = begin(source, network, layer_rates=(0.0, 0.0, 0.0))  # nothing is learnt: only the masks can change the cost
    loop, batch = Trainer(state, source.labels), next(source.batches(32, None))
    costs = [loop.step(batch, 0.1)[0] for _ in range(5)]
    assert len(set(costs)) == 5


# Weights of examples and classes.

FULL_BATCH = {"epochs": 10, "optimizer": "nesterov", "learning_rate": 0.05, "dtype": "float64"}
NO_NORM = NetworkConfig(hidden=(8,), activation="tanh", batch_norm=False)


def weights_after(X, labels, weights=None, **fields):
    source = ArrayBatches(X, labels, weights)
    options = {**FULL_BATCH, "batch_size": X.shape[1], **fields}
    return run(source, network=NO_NORM, n_classes=2, **options).parameters.flat


def test_a_weight_of_3_is_having_the_example_three_times():
    X, labels = small()
    times = np.random.default_rng(0).integers(0, 4, X.shape[1])
    repeated = np.repeat(np.arange(X.shape[1]), times)
    np.testing.assert_allclose(
        weights_after(X, labels, times.astype(float)), weights_after(X[:, repeated], labels[repeated]), rtol=1e-9
    )


def test_balanced_classes_are_having_the_rare_one_more_often():
    X, labels = small()
    chosen = np.concatenate([np.flatnonzero(labels == 0)[:5], np.flatnonzero(labels == 1)[:15]])
    X, labels = np.asfortranarray(X[:, chosen]), labels[chosen]
    repeated = np.repeat(np.arange(20), np.where(labels == 0, 3, 1))
    np.testing.assert_allclose(
        weights_after(X, labels, class_weight="balanced"), weights_after(X[:, repeated], labels[repeated]), rtol=1e-9
    )


def test_a_class_without_examples_does_not_disturb_the_balance(digits):
    X, labels = small(n_classes=3)
    source = ArrayBatches(X[:, labels != 1], labels[labels != 1])
    state = run(source, network=NO_NORM, n_classes=3, epochs=1, class_weight="balanced", batch_size=8)
    assert np.isfinite(state.parameters.flat).all()
    weights = Trainer(state, source.labels).class_weights[source.labels]
    assert weights.mean() == pytest.approx(1)
    assert weights[source.labels == 0].sum() == pytest.approx(weights[source.labels == 2].sum())


@pytest.mark.parametrize(("setting", "most"), [({"label_smoothing": 0.3}, 0.85), ({"mixup": 1.0}, 0.92)])
def test_smooth_targets_keep_the_network_from_being_sure(digits, setting, most):
    source, _ = digits
    X = next(source.batches(600, None)).X
    sure, smooth = (run(source, epochs=30, **chosen) for chosen in ({}, setting))
    confidence = [class_probabilities(X, s.parameters, s.network).max(axis=0).mean() for s in (sure, smooth)]
    assert confidence[1] < most < confidence[0]


# The average of the weights, clipping, multipliers.


def test_the_moving_average_is_that_of_the_weights_after_every_step():
    X, labels = small(m=30)
    source = ArrayBatches(X, labels)
    state = begin(source, NO_NORM, n_classes=2, epochs=4, batch_size=10, average=0.8, dtype="float64")
    expected = state.parameters.flat.copy()
    loop = Trainer(state, labels)
    for t, batch in enumerate(itertools.islice(itertools.cycle(source.batches(10, None)), 12), start=1):
        loop.step(batch, 0.05)
        decay = min(0.8, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * state.parameters.flat
    np.testing.assert_allclose(state.average.flat, expected, rtol=1e-12)
    assert state.result is state.average


def test_the_average_normalises_by_the_statistics_of_the_run(digits):
    state = run(digits[0], average=0.9)
    assert not np.array_equal(state.average.running, begin(digits[0]).parameters.running)
    np.testing.assert_array_equal(state.average.running, state.parameters.running)


def test_clipping_bounds_what_one_step_can_do():
    X, labels = small()
    for clip_norm, bound in ((0.001, 0.001), (0.0, np.inf)):
        before = begin(ArrayBatches(X, labels), NO_NORM, n_classes=2, **FULL_BATCH, batch_size=40).parameters.flat
        after = weights_after(
            X * 100,
            labels,
            epochs=1,
            optimizer="sgd",
            learning_rate=1.0,
            schedule="constant",
            warmup=0.0,
            clip_norm=clip_norm,
        )
        change = np.linalg.norm(after - before)
        assert change <= bound * (1 + 1e-9)
        assert change > 0.0009


def test_a_layer_of_rate_0_keeps_its_weights(digits):
    source, _ = digits
    network = NetworkConfig(hidden=(24, 16), batch_norm=False)
    state = begin(source, network, layer_rates=(0.0, 1.0, 1.0))
    before = state.parameters.copy()
    list(train(state, source))
    np.testing.assert_array_equal(state.parameters[1].W, before[1].W)
    np.testing.assert_array_equal(state.parameters[1].b, before[1].b)
    assert not np.allclose(state.parameters[2].W, before[2].W)


def test_training_further_from_given_weights(digits):
    source, validation = digits
    first = run(source, validation, network=NetworkConfig(hidden=(24, 16), batch_norm=False))
    further = start(first.network, TRAINING, n_x=64, m=600, n_classes=10, parameters=first.parameters)
    np.testing.assert_array_equal(further.parameters.flat, first.parameters.flat)
    record = next(train(further, source, validation))
    assert record.cost < first.history[1].cost
    assert not np.shares_memory(further.parameters.flat, first.parameters.flat)
    with pytest.raises(DimensionError, match=r"the weights given are of a network \(64, 24, 16, 10\)"):
        start(NETWORK, TRAINING, n_x=64, m=600, n_classes=10, parameters=first.parameters)


# Divergence and interruption: the last good weights stay.


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov"])
def test_a_learning_rate_that_diverges_names_the_step_and_keeps_the_last_good_weights(digits, optimizer):
    source, validation = digits
    network = NetworkConfig(hidden=(24, 16), batch_norm=False)
    state = begin(source, network, optimizer=optimizer, epochs=30, learning_rate=0.01)
    loop = train(state, source, validation)
    next(loop)
    good, moments, step = state.parameters.copy(), state.moments.copy(), state.step
    state.training = dataclasses.replace(state.training, learning_rate=1e30)
    with pytest.raises(Diverged, match=r"at step 2\d \(epoch 2, learning rate .*Lower learning_rate, or set clip_norm"):
        next(train(state, source, validation))
    np.testing.assert_array_equal(state.parameters.flat, good.flat)
    np.testing.assert_array_equal(state.moments, moments)
    assert (state.epoch, state.step, len(state.history)) == (1, step, 1)
    state.training = dataclasses.replace(state.training, learning_rate=0.01)
    assert np.isfinite(next(train(state, source, validation)).cost)


def test_examples_too_large_to_begin_with_are_not_blamed_on_the_learning_rate():
    X, labels = small()
    network = dataclasses.replace(NO_NORM, activation="relu")
    with pytest.raises(Diverged, match=r"before the first step: no learning rate can help.*scale pixels to 0\.\.1"):
        run(ArrayBatches(X * 1e307, labels), network=network, n_classes=2, batch_size=8)


def test_a_validation_cost_that_is_not_finite_is_noticed():
    X, labels = small()
    network = dataclasses.replace(NO_NORM, activation="relu")
    with pytest.raises(Diverged, match="the validation cost became NaN or infinite"):
        run(ArrayBatches(X, labels), ArrayBatches(X * 1e300, labels), network=network, n_classes=2, batch_size=8)


def test_an_epoch_interrupted_half_way_is_undone(digits):
    source, _ = digits

    class Interrupted(ArrayBatches):
        def batches(self, batch_size, order):
            yield from itertools.islice(super().batches(batch_size, order), 5)
            raise KeyboardInterrupt

    network = dataclasses.replace(NETWORK, dropout=0.2)
    undisturbed, state = run(source, network=network, average=0.9), begin(source, network, average=0.9)
    next(train(state, source))
    X = next(source.batches(600, None)).X
    with pytest.raises(KeyboardInterrupt):
        next(train(state, Interrupted(X, source.labels)))
    list(train(state, source))
    np.testing.assert_array_equal(state.parameters.flat, undisturbed.parameters.flat)
    np.testing.assert_array_equal(state.average.flat, undisturbed.average.flat)


def test_an_epoch_interrupted_at_its_very_end_is_undone(digits, monkeypatch):
    undisturbed, state = run(*digits), begin(digits[0])
    training = Trainer(state, digits[0].labels)

    def interrupted(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Parameters, "copy", interrupted)
        with pytest.raises(KeyboardInterrupt):
            training.epoch(*digits)
    assert (state.epoch, state.step, state.best) == (0, 0, None)
    list(train(state, *digits))
    np.testing.assert_array_equal(state.best.flat, undisturbed.best.flat)


# Data that does not fit.


@pytest.mark.parametrize("which", ["training", "validation"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X, y: (X, np.where(y == 1, 2, y)), "labels run from 0 to 2, expected 0 to 1 for 2 classes"),
        (lambda X, y: (X, y - 1), "labels run from -1 to 0, expected 0 to 1"),
        (lambda X, y: (X[:5], y), "examples have 5 inputs, the network takes 6"),
        (lambda X, y: (X[:, :0], y[:0]), "there are no examples"),
    ],
)
def test_data_that_does_not_fit_is_refused_before_the_first_step(which, spoil, message):
    good, spoilt = ArrayBatches(*small()), ArrayBatches(*spoil(*small()))
    state = begin(good, NO_NORM, n_classes=2, batch_size=8)
    source, validation = (spoilt, good) if which == "training" else (good, spoilt)
    with pytest.raises(ValueError, match=f"{which} data: {message}"):
        next(train(state, source, validation))
    assert state.step == 0


# Memory.


@pytest.mark.parametrize("input_dropout", [0.0, 0.2])
@pytest.mark.parametrize("network", [NETWORK, NetworkConfig(hidden=(24, 16), activation="gelu", batch_norm=False)])
def test_no_step_allocates_anything_of_the_size_of_a_batch(network, input_dropout):
    n_x, batch_size = 8_000, 256
    rng = np.random.default_rng(0)
    source = ArrayBatches(rng.random((3 * batch_size, n_x), dtype=np.float32).T, rng.integers(0, 10, 3 * batch_size))
    network = dataclasses.replace(network, input_dropout=input_dropout)
    loop = train(begin(source, network, batch_size=batch_size, average=0.9), source)
    next(loop)
    tracemalloc.start()
    next(loop)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < n_x * batch_size * 4 / 2


def test_a_source_may_hand_out_batches_without_weights_and_of_any_origin():
    """The protocol is all that training asks for."""
    X, classes = small()

    class Own:
        n_x, labels = 6, classes

        def batches(self, batch_size, order):
            yield Batch(X[:, :20], classes[:20])
            yield Batch(X[:, 20:], classes[20:])

    state = begin(Own(), NO_NORM, n_classes=2, batch_size=20)
    assert len(list(train(state, Own()))) == 6


@pytest.mark.parametrize("head", HEADS)
def test_accuracy_and_class_of_either_head_agree(head):
    X, labels = small()
    network = dataclasses.replace(NO_NORM, head=head)
    state = run(ArrayBatches(X, labels), ArrayBatches(X, labels), network=network, n_classes=2, batch_size=8)
    predicted = labels_from(class_probabilities(X, state.parameters, state.network))
    assert np.mean(predicted == labels) == state.history[-1].validation_accuracy


def test_dropout_of_the_first_step_is_not_what_the_weights_were_drawn_from():
    X, labels = np.ones((4, 40), np.float32), np.zeros(40, int)
    network = NetworkConfig(hidden=(50,), batch_norm=False, dropout=0.5)
    run = Trainer(start(network, TrainingConfig(batch_size=40, seed=3), n_x=4, m=40, n_classes=2), labels)
    run.step(next(ArrayBatches(X, labels).batches(40, None)), 0.0)
    mask = run.workspace.array("mask", 1, (50, 40), np.dtype("float32"))
    drawn = draw_mask(np.random.default_rng(3), 0.5, np.empty((50, 40), np.float32, order="F"))
    assert np.mean((mask > 0) == (drawn > 0)) < 0.6
