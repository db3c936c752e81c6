"""Compiled updates: bit-for-bit those of NumPy, and used only if they are worth it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from model import compiled, optimizers
from model.batches import ArrayBatches
from model.config import NetworkConfig, TrainingConfig
from model.optimizers import OPTIMIZERS, Block
from model.training import Trainer, start
from tests.model.optimizer_steps import ours


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_compiled_adam_is_the_same_to_the_bit(name, dtype):
    pytest.importorskip("numba")
    rng, n_steps = np.random.default_rng(0), 70  # vanished moments are set to 0 after 64
    w, gradients = rng.normal(size=10_001).astype(dtype), rng.normal(size=(n_steps, 10_001))
    gradients[:, :100] *= 1e-18
    gradients[1:, 100:200] = 0
    pieces = [Block(0, 6_000, 0.5, True), Block(6_000, 10_001, 1.0, False)]
    np.testing.assert_array_equal(ours(name, w, gradients, pieces, 1e12), ours(name, w, gradients, pieces))


def trained(epochs=3):
    rng = np.random.default_rng(0)
    source = ArrayBatches(rng.random((20, 60), dtype=np.float32), rng.integers(0, 2, 60))
    network, training = NetworkConfig(hidden=(8,)), TrainingConfig(epochs=epochs, batch_size=20)
    state = start(network, training, n_x=20, m=60, n_classes=2)
    run = Trainer(state, source.labels)
    for _ in range(epochs):
        run.epoch(source, None)
    return state.parameters.flat


def test_long_runs_are_compiled_and_short_ones_are_not(monkeypatch):
    pytest.importorskip("numba")
    compiled.adam.cache_clear()
    weights = trained()
    assert compiled.adam.cache_info().currsize == 0  # nothing was compiled
    monkeypatch.setattr(optimizers, "_WORTH_COMPILING", 3 * 3 * weights.size - 1)
    np.testing.assert_array_equal(trained(), weights)
    assert compiled.adam.cache_info().currsize == 1


@pytest.fixture
def without_numba(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    compiled.adam.cache_clear()
    yield
    compiled.adam.cache_clear()


def test_without_numba_long_runs_are_numpys(without_numba):
    assert optimizers.update_for("adam", np.dtype(np.float32), 1e12) is OPTIMIZERS["adam"].update
