"""Every backward pass compared with the numerical gradient, and the checker tested with wrong backward passes.

All in float64, over the whole parameter vector, on inputs where no unit sits near a kink of its activation.
"""

import itertools

import numpy as np
import pytest

import model.network
from model.activations import ACTIVATIONS
from model.config import NetworkConfig
from model.gradient_check import check_gradients
from model.heads import HEADS
from model.network import forward
from model.parameters import Parameters, initialize

LIMIT = 1e-7
VARIANTS = {
    "plain": {},
    "l2": {"l2": 0.3},
    "batch_norm": {"batch_norm": True},
    "batch_norm and l2": {"batch_norm": True, "l2": 0.3},
    "dropout": {"dropout": 0.4},
    "input dropout": {"input_dropout": 0.3},
    "all of them": {"batch_norm": True, "l2": 0.3, "dropout": 0.3, "input_dropout": 0.2, "smoothing": 0.1},
    "label smoothing": {"smoothing": 0.2},
    "sample weights": {"weighted": True},
}


def error_of(
    activation: str = "tanh",
    head: str = "softmax",
    *,
    hidden: tuple[int, ...] = (4, 3),
    l2: float = 0.0,
    smoothing: float = 0.0,
    weighted: bool = False,
    m: int = 5,
    **fields,
) -> float:
    """Return the checker's error on a small network in which no Z is near 0."""
    config = NetworkConfig(hidden=hidden, activation=activation, head=head, **{"batch_norm": False, **fields})
    for seed in itertools.count():
        rng = np.random.default_rng([seed, 17])
        n_classes = 2 if head == "sigmoid" else 3
        parameters = initialize(config.layer_dims(3, n_classes), config, rng, np.float64)
        parameters.flat += rng.normal(size=parameters.flat.size) * 0.4
        X = rng.normal(size=(3, m))
        Y = HEADS[head].targets(rng.integers(0, n_classes, m), n_classes, smoothing, np.dtype(np.float64))
        weights = rng.random(m) if weighted else np.full(m, 1 / m)
        _, caches = forward(X, parameters.copy(), config, training=True, rng=np.random.default_rng(0))
        if all(np.abs(cache.Z).min() > 2e-3 for cache in caches[:-1]):
            return check_gradients(X, Y, weights, parameters, config, l2=l2)
    raise AssertionError("unreachable")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_backward_is_the_gradient(activation, head, variant):
    assert error_of(activation, head, **VARIANTS[variant]) <= LIMIT


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("hidden", [(), (2,), (5, 5, 3), (3, 2, 4, 3, 2), (1, 1)], ids=str)
def test_backward_is_the_gradient_at_every_depth(hidden, batch_norm):
    assert error_of("gelu", "softmax", hidden=hidden, batch_norm=batch_norm, m=7) <= LIMIT


def test_backward_is_the_gradient_for_a_single_example():
    assert error_of("tanh", "sigmoid", m=1) <= LIMIT


# The checker, given one wrong part at a time. With each of them a network still trains, so nobody would notice.


def slightly(wrong):
    return wrong * 1.001


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_wrong_activation_slope_is_detected(name, monkeypatch):
    right = ACTIVATIONS[name]

    def backward(dA, Z, A, out):
        return np.multiply(right.backward(dA, Z, A, out), 1.001, out=out)

    monkeypatch.setitem(ACTIVATIONS, name, right._replace(backward=backward))
    assert error_of(name) > 100 * LIMIT


@pytest.mark.parametrize("what", ["a factor", "the example weights left out", "the targets left out"])
@pytest.mark.parametrize("name", HEADS)
def test_a_wrong_head_gradient_is_detected(name, what, monkeypatch):
    wrong = {
        "a factor": lambda self, logits, Y, weights: slightly((self.activate(logits) - Y) * weights),
        "the example weights left out": lambda self, logits, Y, weights: self.activate(logits) - Y,
        "the targets left out": lambda self, logits, Y, weights: self.activate(logits) * weights,
    }
    head = type("Wrong", (type(HEADS[name]),), {"backward": wrong[what]})()
    monkeypatch.setitem(HEADS, name, head)
    assert error_of("tanh", name, weighted=True) > 100 * LIMIT


@pytest.mark.parametrize("which", ["dW", "db", "dA_prev"])
def test_a_wrong_linear_layer_is_detected(which, monkeypatch):
    right = model.network.linear_backward

    def linear_backward(dZ, cache, **options):
        results = dict(zip(("dA_prev", "dW", "db"), right(dZ, cache, **options), strict=True))
        if results[which] is not None:
            results[which][:] = slightly(results[which])
        return tuple(results.values())

    monkeypatch.setattr(model.network, "linear_backward", linear_backward)
    assert error_of() > 100 * LIMIT


@pytest.mark.parametrize("which", ["dgamma", "dbeta", "dZ", "the batch's statistics treated as constants"])
def test_a_wrong_batch_norm_is_detected(which, monkeypatch):
    right = model.network.batch_norm_backward

    def batch_norm_backward(dZ, cache, *, dgamma, dbeta):
        as_if_constant = dZ * cache.gamma * cache.inverse_std
        results = {"dZ": right(dZ, cache, dgamma=dgamma, dbeta=dbeta), "dgamma": dgamma, "dbeta": dbeta}
        if which in results:
            results[which][:] = slightly(results[which])
            return results["dZ"]
        return as_if_constant

    monkeypatch.setattr(model.network, "batch_norm_backward", batch_norm_backward)
    assert error_of(batch_norm=True) > 100 * LIMIT


def test_a_dropout_mask_missing_in_backward_is_detected(monkeypatch):
    right = model.network.backward

    def backward(dZ, caches, *args, **options):
        right(dZ, [cache._replace(mask=None) for cache in caches], *args, **options)

    monkeypatch.setattr(model.network, "backward", backward)
    assert error_of(dropout=0.4) > 100 * LIMIT


def test_an_l2_penalty_missing_in_the_gradient_is_detected(monkeypatch):
    def cost_and_gradients(*args, l2=0.0, **options):
        cost, logits = model.network.cost_and_gradients(*args, **options)
        parameters = args[3]
        return cost + l2 / 2 * sum(float(np.vdot(p.W, p.W)) for p in map(parameters.__getitem__, (1, 2, 3))), logits

    monkeypatch.setattr("model.gradient_check.cost_and_gradients", cost_and_gradients)
    assert error_of() <= LIMIT
    assert error_of(l2=0.3) > 100 * LIMIT


def test_the_numerical_gradient_is_that_computed_by_hand():
    """One layer with a single weight: J = log(1 + exp(-w x)) for Y = 1, so dJ/dw = -x / (1 + exp(w x))."""
    config = NetworkConfig(hidden=(), head="sigmoid", batch_norm=False)
    parameters = Parameters((1, 1), dtype=np.float64)
    parameters.flat[:] = [0.7, 0.0]
    X, Y, weights = np.array([[2.0]]), np.array([[1.0]]), np.ones(1)
    by_hand = np.array([-2 / (1 + np.exp(1.4)), -1 / (1 + np.exp(1.4))])
    claimed = {}

    def cost_and_gradients(X, Y, weights, parameters, gradients, config, **options):
        gradients.flat[:] = claimed["gradient"]
        return float(np.logaddexp(0, -(parameters[1].W * X + parameters[1].b)).item()), X

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model.gradient_check.cost_and_gradients", cost_and_gradients)
        claimed["gradient"] = by_hand
        assert check_gradients(X, Y, weights, parameters, config) < 1e-9
        claimed["gradient"] = -by_hand
        assert check_gradients(X, Y, weights, parameters, config) == pytest.approx(1)
        claimed["gradient"] = 1.1 * by_hand
        assert check_gradients(X, Y, weights, parameters, config) == pytest.approx(0.1 / 2.1, rel=1e-6)
    np.testing.assert_array_equal(parameters.flat, [0.7, 0.0])


def test_single_precision_raises():
    config = NetworkConfig(hidden=(), head="sigmoid", batch_norm=False)
    with pytest.raises(ValueError, match="needs float64 parameters, got float32"):
        check_gradients(np.ones((1, 1)), np.ones((1, 1)), np.ones(1), Parameters((1, 1)), config)
