"""One step of every rule against its textbook form in plain float64, and what holds for all of them."""

import math

import numpy as np
import pytest

from model import optimizers
from model.config import NetworkConfig, TrainingConfig
from model.optimizers import OPTIMIZERS, Block
from model.parameters import initialize
from model.training import Trainer, clip, start
from tests.model.optimizer_steps import CONFIG, RATE, ours

STEPS, P = 6, 11


def textbook(name: str, w: list[float], gradients: np.ndarray) -> list[float]:
    """Each rule as its paper has it, one number at a time."""
    c = CONFIG
    for k in range(len(w)):
        velocity = mean_square = m = v = 0.0
        for t, g in enumerate(gradients[:, k], start=1):
            if name == "sgd":
                w[k] -= RATE * g
            elif name == "momentum":
                velocity = c.momentum * velocity + g
                w[k] -= RATE * velocity
            elif name == "nesterov":
                velocity = c.momentum * velocity + g
                w[k] -= RATE * (g + c.momentum * velocity)
            elif name == "rmsprop":
                mean_square = c.momentum * mean_square + (1 - c.momentum) * g**2
                w[k] -= RATE * g / (math.sqrt(mean_square) + c.epsilon)
            else:
                if name == "adamw":
                    w[k] -= RATE * c.weight_decay * w[k]
                m = c.beta1 * m + (1 - c.beta1) * g
                v = c.beta2 * v + (1 - c.beta2) * g**2
                m_hat, v_hat = m / (1 - c.beta1**t), v / (1 - c.beta2**t)
                w[k] -= RATE * m_hat / (math.sqrt(v_hat) + c.epsilon)
    return w


@pytest.fixture
def run():
    rng = np.random.default_rng(0)
    return rng.normal(size=P), rng.normal(size=(STEPS, P))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_those_of_the_textbook(name, run):
    w, gradients = run
    expected = textbook(name, w.tolist(), gradients)
    np.testing.assert_allclose(ours(name, w, gradients, [Block(0, P, 1.0, True)]), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_single_precision_follows_double(name, run):
    w, gradients = run
    blocks = [Block(0, P, 1.0, True)]
    single = ours(name, w.astype(np.float32), gradients, blocks)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, ours(name, w, gradients, blocks), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_stretches_do_not_change_the_step(name, run):
    w, gradients = run
    pieces = [Block(0, 4, 1.0, True), Block(4, 5, 1.0, True), Block(5, P, 1.0, True)]
    whole = ours(name, w, gradients, [Block(0, P, 1.0, True)])
    np.testing.assert_array_equal(ours(name, w, gradients, pieces), whole)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_layers_multiplier_is_a_learning_rate_of_its_own_and_0_freezes(name, run):
    w, gradients = run
    mixed = ours(name, w, gradients, [Block(0, 5, 0.0, True), Block(5, P, 1.0, True)])
    np.testing.assert_array_equal(mixed[:5], w[:5])
    np.testing.assert_array_equal(mixed[5:], ours(name, w, gradients, [Block(0, P, 1.0, True)])[5:])


def test_decay_spares_b_and_gamma_and_is_adamws_alone(run):
    w, gradients = run
    spared = ours("adamw", w, gradients, [Block(0, P, 1.0, False)])
    np.testing.assert_array_equal(spared, ours("adam", w, gradients, [Block(0, P, 1.0, True)]))
    assert not np.allclose(spared, ours("adamw", w, gradients, [Block(0, P, 1.0, True)]))


def test_cutting_covers_everything_once_in_cache_sized_stretches():
    pieces = [Block(0, 200_000, 0.5, True), Block(200_000, 200_010, 1.0, False)]
    cut = optimizers.split_blocks(pieces)
    assert [stretch.start for stretch in cut] == [0, *(stretch.stop for stretch in cut[:-1])]
    assert cut[-1].stop == 200_010
    assert max(stretch.stop - stretch.start for stretch in cut) <= 65_536
    assert all(stretch.rate == 0.5 and stretch.decays for stretch in cut[:-1])


def test_clipping_keeps_the_direction_and_bounds_the_norm():
    gradient = np.array([3.0, 4.0])
    clip(gradient, 0)
    np.testing.assert_array_equal(gradient, [3, 4])
    clip(gradient, 10)
    np.testing.assert_array_equal(gradient, [3, 4])
    clip(gradient, 1)
    np.testing.assert_allclose(gradient, [0.6, 0.8])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moments_are_as_many_as_the_rule_needs(name):
    state = start(NetworkConfig(hidden=(3,)), TrainingConfig(optimizer=name), n_x=4, m=50, n_classes=2)
    assert state.moments.shape == (OPTIMIZERS[name].n_moments, state.parameters.flat.size)


def test_pieces_of_the_flat_vector_know_weights_from_biases():

    config = NetworkConfig(hidden=(3, 2), batch_norm=True)
    training = TrainingConfig(layer_rates=(0.5, 1.0, 2.0))
    state = start(config, training, n_x=4, m=50, n_classes=3)
    parameters = initialize((4, 3, 2, 3), state.network, np.random.default_rng(0))
    marks = parameters.like(np.zeros_like(parameters.flat))
    for start_at, stop, rate, decays in Trainer(state, np.arange(50) % 3).blocks:
        marks.flat[start_at:stop] = rate * (1 if decays else -1)
    for l, rate in enumerate((0.5, 1.0, 2.0), start=1):
        W, b, gamma = marks[l]
        assert (rate == W).all()
        assert (b == -rate).all()
        assert gamma is None or (gamma == -rate).all()
