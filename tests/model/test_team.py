"""Threads that share a step: the same result as one thread, the same bits every time, and nobody left at work."""

import threading

import numpy as np
import pytest
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from model.batches import ArrayBatches
from model.config import NetworkConfig, TrainingConfig
from model.optimizers import OPTIMIZERS
from model.team import Team
from model.training import measure, start, train


def trained(threads, network, training, m=301):
    X, labels = load_digits(return_X_y=True)
    X = np.asfortranarray((X / 16).T)
    source = ArrayBatches(X[:, :m], labels[:m], np.linspace(0.5, 1.5, m))
    state = start(network, training, n_x=64, m=m, n_classes=10)
    with threadpool_limits(1):
        list(train(state, source, ArrayBatches(X[:, m : 2 * m], labels[m : 2 * m]), threads=threads))
    return state


NETWORK = NetworkConfig(hidden=(24, 16), batch_norm=True)
TRAINING = TrainingConfig(epochs=3, batch_size=50, learning_rate=0.003, dtype="float64", average=0.9)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize(
    "options",
    [*({"optimizer": name} for name in OPTIMIZERS), {"l2": 0.01, "optimizer": "adam"}, {"clip_norm": 0.1},
     {"class_weight": "balanced", "label_smoothing": 0.1}],
    ids=str,
)  # fmt: skip
def test_many_threads_learn_what_one_learns(threads, batch_norm, options):
    network = NetworkConfig(hidden=(24, 16), batch_norm=batch_norm)
    training = TrainingConfig(**{**vars(TRAINING), **options})
    one, many = trained(1, network, training), trained(threads, network, training)
    np.testing.assert_allclose(many.parameters.flat, one.parameters.flat, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(many.parameters.running, one.parameters.running, rtol=1e-6)
    np.testing.assert_allclose(many.average.flat, one.average.flat, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(many.average.running, one.average.running, rtol=1e-6)
    for ours, theirs in zip(many.history, one.history, strict=True):
        assert ours.cost == pytest.approx(theirs.cost, rel=1e-7)
        assert ours.validation_cost == pytest.approx(theirs.validation_cost, rel=1e-7)
        assert (ours.accuracy, ours.validation_accuracy) == (theirs.accuracy, theirs.validation_accuracy)


def test_the_same_number_of_threads_gives_the_same_bits():
    network = NetworkConfig(hidden=(24, 16), batch_norm=True, dropout=0.2, input_dropout=0.1)
    training = TrainingConfig(epochs=3, batch_size=50)
    first, second = trained(3, network, training), trained(3, network, training)
    np.testing.assert_array_equal(first.parameters.flat, second.parameters.flat)
    np.testing.assert_array_equal(first.parameters.running, second.parameters.running)


def test_the_threads_draw_different_dropout_masks():
    from model.training import Run

    X, labels = np.ones((4, 40)), np.zeros(40, int)  # equal examples: only the masks tell the parts apart
    network = NetworkConfig(hidden=(50,), batch_norm=False, dropout=0.5)
    state = start(network, TrainingConfig(batch_size=40), n_x=4, m=40, n_classes=2)
    state.parameters.flat += 0.1
    run = Run(state, labels, threads=2)
    run.step(next(ArrayBatches(X, labels).batches(40, None)), 0.0)
    masks = [member.workspace.array("mask", 1, (50, 20), np.dtype("float32")) for member in run.members]
    assert (masks[0] != masks[1]).any()


@pytest.mark.parametrize("m", [1, 2, 5])
def test_batches_smaller_than_the_team(m):
    training = TrainingConfig(epochs=2, batch_size=m, dtype="float64")
    network = NetworkConfig(hidden=(5,), batch_norm=False)
    one, many = trained(1, network, training, m), trained(3, network, training, m)
    np.testing.assert_allclose(many.parameters.flat, one.parameters.flat, rtol=1e-7, atol=1e-9)


def test_measuring_with_a_team_is_measuring_without():
    X, labels = load_digits(return_X_y=True)
    source = ArrayBatches(X.T / 16, labels, np.linspace(0, 2, len(labels)))
    state = start(NETWORK, TRAINING, n_x=64, m=100, n_classes=10)
    one = measure(state.parameters, state.network, source)
    assert measure(state.parameters, state.network, source, Team(3)) == pytest.approx(one, rel=1e-10)


def test_a_sum_is_everyones_and_comes_in_a_fixed_order():
    team = Team(3)
    parts = [np.array([1e16]), np.array([1.0]), np.array([-1e16])]
    for _ in range(50):
        for total in team.run(lambda k: team.total(k, parts[k])):
            np.testing.assert_array_equal(total, (parts[0] + parts[1]) + parts[2])


@pytest.mark.parametrize("culprit", [0, 1, 2])
def test_an_error_in_one_thread_is_raised_and_leaves_nobody_waiting(culprit):
    team, at_work = Team(3), []

    def work(k):
        at_work.append(k)
        try:
            if k == culprit:
                raise ArithmeticError("this one")
            team.total(k, np.ones(1))
        finally:
            at_work.remove(k)

    with pytest.raises(ArithmeticError, match="this one"):
        team.run(work)
    assert at_work == []


def test_an_interrupt_waits_for_those_at_work():
    team, go, done = Team(2), threading.Event(), []

    def work(k):
        if k == 0:
            threading.Timer(0.05, go.set).start()
            raise KeyboardInterrupt
        go.wait()
        done.append(k)

    with pytest.raises(KeyboardInterrupt):
        team.run(work)
    assert done == [1]


def test_an_interrupt_before_all_have_begun_leaves_nobody_waiting(monkeypatch):
    team, at_work = Team(3), []
    submit = team._others.submit

    def interrupted(*task):
        if at_work:
            raise KeyboardInterrupt
        at_work.append(task)
        return submit(*task)

    def work(k):
        team.total(k, np.ones(1))

    monkeypatch.setattr(team._others, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        team.run(work)
    submit(int).result(timeout=10)
    team._others.shutdown()  # waits for all threads
