"""The learning-rate range test: it finds a rate that learns, ends in time, and leaves the run alone."""

from __future__ import annotations

import numpy as np
import pytest

from model.batches import ArrayBatches
from model.config import NetworkConfig, TrainingConfig
from model.learning_rate_range import find_learning_rate, suggest
from model.training import start, train


def begin(source, network=None, n_classes=10, **fields):
    network = network or NetworkConfig(hidden=(24, 16), batch_norm=True)
    training = TrainingConfig(**{"epochs": 6, "batch_size": 32, "learning_rate": 0.003, **fields})
    return start(network, training, n_x=source.n_x, m=len(source.labels), n_classes=n_classes)


def test_range_test_finds_a_rate_that_learns_and_leaves_the_run_alone(digits):
    source, validation = digits
    state = begin(source)
    before = state.parameters.flat.copy()
    rates, costs = (list(column) for column in zip(*find_learning_rate(state, source), strict=True))
    np.testing.assert_array_equal(state.parameters.flat, before)
    assert (state.step, state.epoch, state.history) == (0, 0, [])
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(1e-6)
    assert costs[-1] > 4 * min(costs) or len(rates) == 100
    found = suggest(rates, costs)
    assert min(costs) < 0.8 * costs[0]
    trained = begin(source, learning_rate=found)
    list(train(trained, source, validation))
    assert trained.history[-1].validation_accuracy > 0.8


def test_range_test_ends_where_the_cost_explodes():
    X = np.asfortranarray(np.random.default_rng(5).normal(size=(6, 40)))
    source = ArrayBatches(X, (X[0] + X[1] > 0).astype(int))
    network = NetworkConfig(hidden=(24, 16), batch_norm=False)
    state = begin(source, network, n_classes=2, optimizer="sgd", batch_size=8)
    rates = [rate for rate, _ in find_learning_rate(state, source, lowest=1e-3, highest=1e12, n_steps=200)]
    assert len(rates) < 200


def test_too_few_rates_cannot_be_judged():
    with pytest.raises(ValueError, match="only 3 learning rates could be tried; start from a lower one"):
        suggest([1, 2, 3], [1, 2, 3])
