"""The network and its building blocks: the shapes and formulas of the course, and errors for what does not fit."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from model.activations import ACTIVATIONS
from model.config import NetworkConfig
from model.errors import DimensionError
from model.heads import HEADS
from model.network import (
    Workspace,
    backward,
    class_probabilities,
    cost_and_gradients,
    draw_mask,
    forward,
    labels_from,
    linear_backward,
    linear_forward,
)
from model.parameters import Parameters, initialize


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def network(rng, layer_dims=(12, 5, 4, 3), dtype=np.float64, **fields):
    config = NetworkConfig(hidden=layer_dims[1:-1], head="softmax", **{"batch_norm": False, **fields})
    parameters = initialize(layer_dims, config, rng, dtype)
    parameters.flat += 0.1 * rng.normal(size=parameters.flat.size)
    return parameters, config


# The building blocks, with the shapes of the course: a layer of 3 units on 4, seven examples.


def test_linear_forward_is_the_formula_example_by_example(rng):
    A_prev, W, b = rng.normal(size=(4, 7)), rng.normal(size=(3, 4)), rng.normal(size=(3, 1))
    Z, cache = linear_forward(A_prev, W, b)
    assert Z.shape == (3, 7)
    for i in range(7):
        for unit in range(3):
            assert Z[unit, i] == pytest.approx(sum(W[unit, k] * A_prev[k, i] for k in range(4)) + b[unit, 0])
    assert cache.A_prev is A_prev
    assert cache.W is W


def test_linear_backward_is_the_formula(rng):
    A_prev, W, b, dZ = (rng.normal(size=shape) for shape in ((4, 7), (3, 4), (3, 1), (3, 7)))
    _, cache = linear_forward(A_prev, W, b)
    dA_prev, dW, db = linear_backward(dZ, cache)
    np.testing.assert_allclose(dW, sum(np.outer(dZ[:, i], A_prev[:, i]) for i in range(7)))
    np.testing.assert_allclose(db[:, 0], dZ.sum(axis=1))
    np.testing.assert_allclose(dA_prev, np.stack([W.T @ dZ[:, i] for i in range(7)], axis=1))
    assert (dA_prev.shape, dW.shape, db.shape) == ((4, 7), (3, 4), (3, 1))
    assert linear_backward(dZ, cache, needs_dA_prev=False)[0] is None


def test_building_blocks_combined_by_hand_equal_the_network(rng):
    parameters, config = network(rng)
    X, labels = rng.normal(size=(12, 7)), rng.integers(0, 3, 7)
    head, g = HEADS["softmax"], ACTIVATIONS["relu"]
    Y, weights = head.targets(labels, 3, 0.0, np.dtype(np.float64)), np.full(7, 1 / 7)

    A, steps = X, []
    for l in (1, 2, 3):
        W, b, _ = parameters[l]
        Z, cache = linear_forward(A, W, b, layer=l)
        A = g.forward(Z, np.empty_like(Z)) if l < 3 else head.activate(Z)
        steps.append((cache, Z, A))
    dZ, by_hand = head.backward(Z, Y, weights), parameters.like(np.zeros_like(parameters.flat))
    for l in (3, 2, 1):
        dA_prev, by_hand[l].W[:], by_hand[l].b[:] = linear_backward(dZ, steps[l - 1][0])
        if l > 1:
            _, Z_prev, A_prev = steps[l - 2]
            dZ = g.backward(dA_prev, Z_prev, A_prev, np.empty_like(dA_prev))

    gradients = parameters.like(np.zeros_like(parameters.flat))
    cost, logits = cost_and_gradients(X, Y, weights, parameters, gradients, config)
    np.testing.assert_allclose(logits, steps[-1][1], rtol=1e-12)
    assert cost == pytest.approx(-np.log(A[labels, np.arange(7)]).mean())
    np.testing.assert_allclose(gradients.flat, by_hand.flat, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_workspace_used_for_batches_of_several_sizes_changes_no_result(rng, activation, batch_norm):
    parameters, config = network(rng, activation=activation, batch_norm=batch_norm, dropout=0.3, input_dropout=0.2)
    workspace = Workspace()
    for m in (6, 3, 9, 6):
        X = np.asfortranarray(rng.normal(size=(12, m)))
        Y = HEADS["softmax"].targets(rng.integers(0, 3, m), 3, 0.0, np.dtype(np.float64))
        results = []
        for buffers in (workspace, None):
            gradients = parameters.like(np.full_like(parameters.flat, np.nan))
            fresh = parameters.copy()
            masks = np.random.default_rng(m)
            cost, logits = cost_and_gradients(
                X, Y, np.full(m, 1 / m), fresh, gradients, config, rng=masks, workspace=buffers
            )
            results.append((cost, logits.copy(), gradients.flat, fresh.running))
        for with_workspace, without in zip(*results, strict=True):
            np.testing.assert_array_equal(with_workspace, without)


def test_the_memory_order_of_X_does_not_change_the_probabilities(rng):
    parameters, config = network(rng)
    X = rng.normal(size=(12, 9))
    np.testing.assert_allclose(
        class_probabilities(np.asfortranarray(X), parameters, config),
        class_probabilities(np.ascontiguousarray(X), parameters, config),
        rtol=1e-12,
    )


def test_probabilities_do_not_depend_on_the_batch_size(rng):
    parameters, config = network(rng)
    X = rng.normal(size=(12, 50))
    whole = class_probabilities(X, parameters, config)
    assert whole.shape == (3, 50)
    np.testing.assert_allclose(whole.sum(axis=0), 1)
    np.testing.assert_allclose(class_probabilities(X, parameters, config, batch_size=7), whole, rtol=1e-12)
    assert class_probabilities(X[:, :0], parameters, config).shape == (3, 0)
    np.testing.assert_array_equal(labels_from(whole), whole.argmax(axis=0))


def test_dropout_keeps_the_expected_value_and_zeroes_its_share():
    mask = draw_mask(np.random.default_rng(0), 0.3, np.empty((300, 700), order="F"))
    assert set(np.unique(mask)) == {0, 1 / 0.7}
    assert np.mean(mask == 0) == pytest.approx(0.3, abs=0.005)
    assert mask.mean() == pytest.approx(1, abs=0.01)
    np.testing.assert_array_equal(mask, draw_mask(np.random.default_rng(0), 0.3, np.empty((300, 700), order="F")))


def test_prediction_applies_no_dropout(rng):
    parameters, config = network(rng, dropout=0.9, input_dropout=0.9)
    plain, plain_config = parameters, NetworkConfig(hidden=(5, 4), head="softmax", batch_norm=False)
    X = rng.normal(size=(12, 9))
    np.testing.assert_array_equal(
        class_probabilities(X, parameters, config), class_probabilities(X, plain, plain_config)
    )


# Compared with scikit-learn: the same weights and pixels give the same probabilities.


@pytest.mark.parametrize("classes", [10, 2])
@pytest.mark.parametrize(("theirs", "ours"), [("relu", "relu"), ("tanh", "tanh"), ("logistic", "sigmoid")])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_weights_same_pixels_same_probabilities_as_scikit_learn(theirs, ours, classes, dtype):
    X, y = load_digits(n_class=classes, return_X_y=True)
    X = (X / 16).astype(dtype)
    peer = MLPClassifier((30, 20), activation=theirs, max_iter=20, learning_rate_init=0.01, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer.fit(X, y)
    config = NetworkConfig(hidden=(30, 20), activation=ours, head="softmax" if classes > 2 else "sigmoid")
    parameters = Parameters(config.layer_dims(64, classes), dtype=dtype)
    for l, (W, b) in enumerate(zip(peer.coefs_, peer.intercepts_, strict=True), start=1):
        parameters[l].W[:], parameters[l].b[:] = W.T, b[:, np.newaxis]
    probabilities = class_probabilities(X.T, parameters, config)
    np.testing.assert_allclose(probabilities.T, peer.predict_proba(X), atol=1e-6)
    assert np.ptp(probabilities) > 0.5


# Errors and their messages.


def test_transposed_X_raises_with_the_expected_shape():
    parameters, config = Parameters((12288, 4, 1)), NetworkConfig(hidden=(4,), head="sigmoid")
    with pytest.raises(
        DimensionError, match=r"X has shape \(209, 12288\); examples are columns, expected \(12288, m\)"
    ):
        forward(np.zeros((209, 12288), np.float32), parameters, config)


@pytest.mark.parametrize("X", [np.zeros(12), np.zeros((12, 2, 2))])
def test_X_that_is_not_a_matrix_raises(rng, X):
    with pytest.raises(DimensionError, match="examples are columns"):
        forward(X, *network(rng))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool, object, complex])
def test_X_of_a_dtype_other_than_float_raises(rng, dtype):
    with pytest.raises(ValueError, match=r"X has dtype .*; give float32 or float64, and divide raw pixels by 255"):
        class_probabilities(np.ones((12, 3), dtype), *network(rng))


def test_dimension_errors_name_the_layer_and_the_matrix(rng):
    W, b = rng.normal(size=(3, 4)), rng.normal(size=(3, 1))
    with pytest.raises(DimensionError, match=r"layer 2: A1 has shape \(5, 7\), expected \(4, m\) = \(n1, m\)"):
        linear_forward(rng.normal(size=(5, 7)), W, b, layer=2)
    with pytest.raises(DimensionError, match=r"layer 2: b2 has shape \(3,\), expected \(3, 1\) = \(n2, 1\)"):
        linear_forward(rng.normal(size=(4, 7)), W, b[:, 0], layer=2)
    _, cache = linear_forward(rng.normal(size=(4, 7)), W, b, layer=2)
    with pytest.raises(DimensionError, match=r"layer 2: dZ2 has shape \(3, 6\), expected \(3, 7\) = \(n2, m\)"):
        linear_backward(rng.normal(size=(3, 6)), cache)


def test_targets_of_another_shape_raise(rng):
    parameters, config = network(rng)
    gradients = parameters.like(np.zeros_like(parameters.flat))
    with pytest.raises(DimensionError, match=r"Y has shape \(1, 7\), expected \(3, 7\)"):
        cost_and_gradients(rng.normal(size=(12, 7)), np.zeros((1, 7)), np.ones(7), parameters, gradients, config)


def test_a_gradient_that_does_not_fit_the_caches_raises(rng):
    parameters, config = network(rng)
    _, caches = forward(rng.normal(size=(12, 7)), parameters, config, training=True)
    with pytest.raises(DimensionError, match=r"layer 3: dZ3 has shape \(3, 8\), expected \(3, 7\)"):
        backward(np.zeros((3, 8)), caches, parameters.copy(), config)
