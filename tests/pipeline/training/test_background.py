"""Training in a thread: watched, paused, stepped, ended, closed, and in turn with others."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED
from pipeline.errors import InputError
from pipeline.training.background import BackgroundTraining, TrainingQueue
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe

SMALL = NetworkConfig(hidden=(8,))
ENDLESS = 100_000


def recipe(epochs):
    return Recipe(SMALL, TrainingConfig(epochs=epochs), NOT_PRETRAINED)


def free(tmp_path, epochs=ENDLESS, queue=None):
    """A training on digits that stays after its last epoch."""
    make = partial(prepare, "digits", tmp_path / "run", recipe=recipe(epochs))
    return BackgroundTraining(make, queue=queue or TrainingQueue())


def rest(training):
    assert training.wait_for_rest(60)


@pytest.mark.slow
def test_a_training_that_nobody_watches_rests_and_lets_another_train(tmp_path):
    queue = TrainingQueue()
    alone, other = free(tmp_path / "alone", queue=queue), free(tmp_path / "other", queue=queue)
    alone.start(5)
    alone.watch(False)
    other.start(1)
    rest(other)  # whichever came first, it does not wait for the one that nobody watches
    assert len(other.records) == 1
    assert len(alone.records) < 5
    alone.watch(True)
    rest(alone)
    assert len(alone.records) == 5  # the rest of what was asked of it
    alone.close()
    other.close()


def test_one_epoch_at_a_time_pause_and_close(tmp_path):
    training = free(tmp_path).start(1)
    rest(training)
    assert [record.epoch for record in training.records] == [1]
    training.go_on(1)
    rest(training)
    assert len(training.records) == 2
    training.go_on()
    training.pause()
    rest(training)
    done = len(training.records)
    training.ask(lambda run: None).result(60)
    assert len(training.records) == done
    training.close()
    training.wait(60)
    assert not training.is_alive
    assert training.error == ""


@pytest.mark.slow
def test_pausing_changes_nothing_in_what_is_learned(tmp_path):
    training = free(tmp_path, 3).start(1)
    for _ in range(2):
        rest(training)
        training.go_on(1)
    rest(training)
    assert training.is_over
    run = prepare("digits", tmp_path / "other", recipe=recipe(3))
    with run.dataset:
        costs = [record.validation_cost for record in run.epochs()]
    assert [record.validation_cost for record in training.records] == costs
    training.close()
    training.wait(60)


def test_the_snapshot_at_rest_is_that_of_the_last_epoch(tmp_path):
    training = free(tmp_path).start(3)
    rest(training)
    snapshot = training.snapshot
    assert snapshot.epoch == 3
    assert snapshot.W.shape == (8, 64)
    right = snapshot.confusion.trace() / snapshot.confusion.sum()
    assert right == pytest.approx(training.records[-1].validation_accuracy)
    training.close()
    training.wait(60)


def test_other_runs_wait_for_their_turn(tmp_path):
    queue, entered, leave = TrainingQueue(), threading.Event(), threading.Event()
    first = free(tmp_path / "1", queue=queue).start(1)
    rest(first)

    def hold(run):
        entered.set()
        assert leave.wait(60)

    first.ask(hold)
    assert entered.wait(60)
    second, third = (free(tmp_path / name, queue=queue) for name in "23")
    for training in (second, third):
        with queue.changed:
            queue.enter(training)
    assert [training.position for training in (first, second, third)] == [0, 1, 2]
    queue.leave(second)
    assert third.position == 1
    leave.set()
    third.start(1)
    rest(third)
    assert len(third.records) == 1
    for training in (first, third):
        training.close()
        training.wait(60)


def test_a_training_that_diverges_says_so_and_keeps_its_last_good_weights(tmp_path):
    config = TrainingConfig(epochs=50, optimizer="sgd", learning_rate=1e30, schedule="constant")
    wild = Recipe(NetworkConfig(hidden=(8,), batch_norm=False), config, NOT_PRETRAINED)
    training = BackgroundTraining(partial(prepare, "digits", tmp_path / "run", recipe=wild), queue=TrainingQueue())
    rest(training.start())
    assert training.is_over
    assert "diverged" in training.error
    training.close()
    training.wait(60)


def test_what_is_asked_of_it_fails_as_one_sentence(tmp_path):
    training = free(tmp_path).start(1)

    def job(run):
        raise RuntimeError("inner matters")

    with pytest.raises(InputError, match="terminal"):
        training.ask(job).result(60)
    training.close()
    training.wait(60)
    assert training.ask(job).cancelled()
