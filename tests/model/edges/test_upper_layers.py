"""Layers 2 and 3 learned without labels: local in their windows, and sparser than random weights."""

import numpy as np
import pytest

from model.edges.upper_layers import WINDOWS, pretrain_upper_layers, windows_of

SHAPE = (12, 12, 1)


@pytest.fixture
def spots():
    """Return W1 of 16 units, each with a spot at one of every third pixel of 12 x 12, row by row."""
    W1 = np.zeros((16, 12, 12))
    for k in range(16):
        W1[k, 1 + 3 * (k // 4), 1 + 3 * (k % 4)] = 1
    return W1.reshape(16, -1)


@pytest.fixture(scope="module")
def faces():
    """Images of 25 x 25 as columns, half of them faces, in random order, each with mean 0 and standard deviation 1."""
    from skimage.data import lfw_subset

    X = lfw_subset()[np.random.default_rng(0).permutation(200)].reshape(200, -1).T.astype(np.float32)
    return (X - X.mean(axis=0)) / X.std(axis=0)


@pytest.fixture(scope="module")
def blobs():
    """Return W1 of 200 units, each with random weights in 7 x 7 pixels."""
    rng = np.random.default_rng(0)
    W1 = np.zeros((200, 25, 25), np.float32)
    for row, y, x in zip(W1, rng.integers(19, size=200), rng.integers(19, size=200), strict=True):
        row[y : y + 7, x : x + 7] = np.outer(*rng.normal(size=(2, 7)).cumsum(axis=1))
    return W1.reshape(200, -1)


def test_windows_hold_the_units_centred_in_them(spots):
    windows = windows_of(spots, SHAPE)
    assert len(windows) == WINDOWS**2
    assert windows[0].tolist() == [0, 1, 4, 5]  # top left quarter
    assert windows[4].tolist() == [5, 6, 9, 10]  # the middle
    assert windows[8].tolist() == [10, 11, 14, 15]


def test_a_window_without_units_gets_all_units(spots):
    windows = windows_of(spots[:1], SHAPE)  # one unit, top left
    assert [units.tolist() for units in windows] == [[0]] * 9


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_units_of_layer_2_have_weights_in_their_window_only(faces, blobs, activation):
    rng = np.random.default_rng(0)
    [(W2, b2)] = pretrain_upper_layers(blobs @ faces, blobs, (25, 25, 1), (40,), activation, rng=rng)
    for unit in range(40):
        inputs = windows_of(blobs, (25, 25, 1))[unit % 9]
        assert not np.delete(W2[unit], inputs).any()
        assert W2[unit, inputs].all()
    assert b2.shape == (40, 1)


def test_too_few_units_for_windows_have_weights_everywhere(faces, blobs):
    rng = np.random.default_rng(0)
    [(W2, _)] = pretrain_upper_layers(blobs @ faces, blobs, (25, 25, 1), (9,), "relu", rng=rng)
    assert W2.all()


def test_layers_have_mean_0_and_standard_deviation_1_and_the_same_seed_repeats_them(faces, blobs):
    def layers():
        rng = np.random.default_rng(1)
        return pretrain_upper_layers(blobs @ faces, blobs, (25, 25, 1), (40, 5), "relu", rng=rng)

    Z = blobs @ faces
    for (W, b), (W_again, b_again) in zip(layers(), layers(), strict=True):
        A = np.maximum((Z - Z.mean(axis=1, keepdims=True)) / Z.std(axis=1, keepdims=True), 0)
        Z = W @ A + b
        np.testing.assert_allclose(Z.mean(axis=1), 0, atol=1e-3)
        np.testing.assert_allclose(Z.std(axis=1), 1, atol=1e-3)
        np.testing.assert_array_equal(W, W_again)
        np.testing.assert_array_equal(b, b_again)


def test_activations_for_new_images_are_sparser_than_with_random_weights(faces, blobs):
    known, unknown = blobs @ faces[:, :150], blobs @ faces[:, 150:]

    def sparseness(**how):
        rng = np.random.default_rng(1)
        [(W2, _)] = pretrain_upper_layers(known, blobs, (25, 25, 1), (90,), "relu", rng=rng, **how)
        mean, std = known.mean(axis=1, keepdims=True), known.std(axis=1, keepdims=True)
        Z2 = W2 @ np.maximum((unknown - mean) / std, 0)
        Z2 -= Z2.mean(axis=1, keepdims=True)
        return np.median(1 - np.abs(Z2).mean(axis=1) / Z2.std(axis=1))

    random = sparseness(learn=lambda A, n, rng: rng.normal(size=(n, len(A))))
    assert sparseness() > random + 0.02


def test_an_inactive_layer_1_raises():
    with pytest.raises(ValueError, match="nothing to learn"):
        pretrain_upper_layers(np.zeros((4, 50), np.float32), np.eye(4), (2, 2, 1), (3,), "relu",
                              rng=np.random.default_rng(0))  # fmt: skip


def test_fewer_images_than_units_raise(faces, blobs):
    with pytest.raises(ValueError, match="8 images are too few to learn 9 units"):
        pretrain_upper_layers(blobs @ faces[:, :8], blobs, (25, 25, 1), (9,), "relu", rng=np.random.default_rng(0))
