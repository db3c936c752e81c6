"""The data set in memory: every example once per epoch, seeded, weighted; errors give the position of bad values."""

import numpy as np
import pytest

from model.batches import ArrayBatches, split_evenly


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return np.asfortranarray(rng.normal(size=(5, 37))), rng.integers(0, 3, 37)


@pytest.mark.parametrize("m", [1, 2, 37, 64, 100])
@pytest.mark.parametrize("batch_size", [1, 2, 7, 32, 100])
def test_slices_are_even_and_cover_everything_once(m, batch_size):
    slices = split_evenly(m, batch_size)
    assert [i for part in slices for i in range(m)[part]] == list(range(m))
    sizes = [part.stop - part.start for part in slices]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == int(np.ceil(m / batch_size))


@pytest.mark.parametrize("order", [None, [0, 3]])
def test_every_example_comes_once_with_its_label_and_weight(data, order):
    X, labels = data
    weights = np.random.default_rng(1).random(37)
    source = ArrayBatches(X, labels, weights)
    seen = []
    for batch in source.batches(8, order):
        for column, label, weight in zip(batch.X.T, batch.labels, batch.weights, strict=True):
            i = int(np.flatnonzero((column == X.T).all(axis=1))[0])
            assert label == labels[i]
            assert weight == pytest.approx(weights[i] / weights.mean())
            seen.append(i)
    assert sorted(seen) == list(range(37))
    assert (seen == list(range(37))) is (order is None)


def test_the_same_seed_gives_the_same_order(data):
    source = ArrayBatches(*data)

    def order(seed):
        return np.concatenate([batch.labels.copy() for batch in source.batches(8, seed)])

    np.testing.assert_array_equal(order([0, 3]), order([0, 3]))
    assert not np.array_equal(order([0, 3]), order([0, 4]))


def test_examples_in_fortran_order_are_not_copied(data):
    X, labels = data
    (batch,) = ArrayBatches(X, labels).batches(37, None)
    assert np.shares_memory(batch.X, X)
    assert batch.X.flags.f_contiguous


def test_the_memory_order_of_X_does_not_change_the_batches(data):
    X, labels = data
    for fortran, c_order in zip(
        ArrayBatches(X, labels).batches(8, [1]),
        ArrayBatches(np.ascontiguousarray(X), labels).batches(8, [1]),
        strict=True,
    ):
        np.testing.assert_array_equal(fortran.X, c_order.X)


def at(X, position, value):
    X = X.copy()
    X[position] = value
    return X


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda X, y: (X.T, y),
            r"X has shape \(37, 5\) and there are 37 labels, .*examples are columns: is it transposed",
        ),
        (lambda X, y: (X, y[:-1]), r"X has shape \(5, 37\) and there are 36 labels"),
        (lambda X, y: (X, y.reshape(1, -1)), r"labels have shape \(1, 37\); give one class number per example"),
        (lambda X, y: (X, y.astype(float)), "labels have dtype float64; give whole class numbers"),
        (lambda X, y: (X, at(y.astype(float), 3, np.nan)), "labels have dtype float64; give whole class numbers"),
        (lambda X, y: (X, np.array(list("abc"))[y]), "labels have dtype <U1; give whole class numbers"),
        (lambda X, y: ((X * 50).astype(np.uint8), y), "X has dtype uint8; give float32 or float64"),
        (lambda X, y: (at(X, (2, 11), np.nan), y), r"NaN or infinity, first in example 11 \(column 11\)"),
        (lambda X, y: (at(X, (0, 36), -np.inf), y), "NaN or infinity, first in example 36"),
        (lambda X, y: (at(at(X, (0, 36), -np.inf), (0, 7), np.inf), y), "NaN or infinity, first in example 7"),
    ],
)
def test_bad_data_raises_with_its_position(data, change, message):
    with pytest.raises(ValueError, match=message):
        ArrayBatches(*change(*data))


@pytest.mark.parametrize("weights", [np.zeros(37), np.ones(36), np.full(37, np.nan), -np.ones(37), np.ones((37, 1))])
def test_bad_weights_raise(data, weights):
    with pytest.raises(ValueError, match="a finite number of 0 or more for each of the 37 examples, not all 0"):
        ArrayBatches(*data, weights)
