"""The bound on layer 1: no unit moves further than it may, and units within it are left alone."""

import numpy as np
import pytest

from model.batches import ArrayBatches
from model.bound import FirstLayerBound
from model.config import NetworkConfig, TrainingConfig
from model.training import start, train


def relative_change(W, before):
    return np.linalg.norm(W - before, axis=1) / np.linalg.norm(before, axis=1)


@pytest.fixture
def examples():
    X = np.random.default_rng(0).standard_normal((700, 120)).astype(np.float32)
    return ArrayBatches(X, (X[0] * X[1] > 0).astype(int))


def trained(examples, share):
    training = TrainingConfig(epochs=6, learning_rate=0.05, dtype="float32")
    state = start(NetworkConfig(hidden=(130, 8)), training, n_x=700, m=120, n_classes=2)
    before = state.parameters[1].W.copy()
    bound = FirstLayerBound.around(before, share, "float32") if share else None
    costs = [record.cost for record in train(state, examples, bound=bound)]
    return relative_change(state.parameters[1].W, before), costs


def test_no_unit_moves_further_than_the_bound(examples):
    free, _ = trained(examples, 0)
    assert free.min() > 0.3
    held, costs = trained(examples, 0.3)
    assert held.max() <= 0.3 * (1 + 1e-5)
    assert held.min() > 0.29
    assert costs[-1] < costs[0] / 2  # it learns all the same


def test_units_within_the_bound_stay_as_they_are():
    rng = np.random.default_rng(0)
    before = rng.standard_normal((200, 1000)).astype(np.float32)
    W = before + 0.01 * rng.standard_normal(before.shape).astype(np.float32)
    far = [3, 70, 199]
    W[far] += 10
    same = W.copy()
    FirstLayerBound.around(before, 0.2, "float32").hold(W)
    near = np.setdiff1d(np.arange(200), far)
    assert (W[near] == same[near]).all()
    np.testing.assert_allclose(relative_change(W, before)[far], 0.2, rtol=1e-5)
    direction = (same - before)[far]
    moved = (W - before)[far]
    np.testing.assert_allclose(
        moved / np.linalg.norm(moved, axis=1, keepdims=True),
        direction / np.linalg.norm(direction, axis=1, keepdims=True),
        atol=1e-6,
    )
