"""Pretraining of layer 1: photographs give edges, noise does not, and the weights have the stated properties."""

import itertools

import numpy as np
import pytest
from PIL import Image
from threadpoolctl import threadpool_limits

from model.contrast import normalize_contrast
from model.edges.first_layer import (
    PRETRAINERS,
    ReconstructionICA,
    SparseFiltering,
    crop_shape_for,
    first_layer_weights,
    fit_filters,
    learn_filters,
    n_crops_for,
    n_filters_for,
    pretrain_first_layer,
    whiten,
)
from model.edges.scores import score_filters

SHAPE = (16, 16, 1)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture(scope="module")
def photograph_crops():
    """Return 16x16 crops of scikit-learn's two photographs at full and half size, cut without code of `pipeline`.

    They are turned and mirrored, as in `pipeline.images.crops`: upright crops of these two give only 74 % edges with 16
    units.
    """
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    crops = []
    for array in load_sample_images().images:
        for size, angle in itertools.product((1, 2), (0, 22.5, 45)):
            image = Image.fromarray(array).convert("L").reduce(size)
            turned = np.asarray(image.rotate(angle, Image.Resampling.BICUBIC)) / 255
            rows, columns = (slice(side // 4, side * 3 // 4) for side in turned.shape)  # away from the empty corners
            windows = np.lib.stride_tricks.sliding_window_view(turned[rows, columns], (16, 16))
            drawn = windows[rng.integers(windows.shape[0], size=1200), rng.integers(windows.shape[1], size=1200)]
            drawn = drawn[drawn.std(axis=(1, 2)) > 0.03]
            crops += [drawn[::2], drawn[1::2, :, ::-1].transpose(0, 2, 1)]
    X = np.concatenate(crops).reshape(-1, 256).astype(np.float32)
    return X[rng.permutation(len(X))[:8000]].T


def test_photographs_give_edges(photograph_crops, rng):
    filters, sparseness = learn_filters(photograph_crops, 20, rng=rng)
    assert filters.shape == (20, 256)
    assert sparseness.min() > 0.25  # Gaussian activations have 0.2
    np.testing.assert_allclose(filters.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(filters, axis=1), 1)
    assert score_filters(filters, SHAPE).edge.mean() >= 0.85


@pytest.mark.parametrize("method", PRETRAINERS)
@pytest.mark.slow
def test_every_method_finds_more_edges_than_noise_holds(method, photograph_crops, rng):
    filters, _ = learn_filters(photograph_crops, 40, method=method, rng=rng)
    assert score_filters(filters, SHAPE).edge.mean() >= 0.3  # one in twelve raw crops is an edge
    noise = rng.uniform(size=(256, 4000)).astype(np.float32)
    filters, _ = learn_filters(noise, 40, method=method, rng=rng)
    assert score_filters(filters, SHAPE).edge.sum() == 0


def test_the_same_seed_gives_the_same_filters_on_any_number_of_threads(photograph_crops):
    crops = photograph_crops[:, :2000]
    found = []
    for seed, threads in ((1, 1), (1, 2), (2, 1)):
        with threadpool_limits(threads):
            found.append(learn_filters(crops, 5, rng=np.random.default_rng(seed))[0])
    one_thread, two_threads, another_seed = found
    np.testing.assert_array_equal(one_thread, two_threads)
    assert np.abs(one_thread - another_seed).max() > 0.01


@pytest.mark.parametrize("method", ["sparse_filtering", "rica"])
def test_steps_lead_from_noise_to_the_filters(method, photograph_crops, rng):
    steps = []
    filters, _ = learn_filters(photograph_crops, 20, method=method, rng=rng, steps=steps)
    assert len(steps) > 10
    np.testing.assert_allclose(steps[-1], filters, atol=1e-4)
    edges = [score_filters(step, SHAPE).edge.mean() for step in (steps[0], steps[-1])]
    assert edges[0] <= 0.1
    assert edges[1] >= 0.6


def test_whitened_examples_are_uncorrelated_with_standard_deviation_1(rng):
    X = (rng.normal(size=(12, 12)) @ rng.normal(size=(12, 500)) + 3).astype(np.float32)
    Z, P = whiten(X, 8)
    np.testing.assert_allclose(Z @ Z.T / 500, np.eye(8), atol=1e-4)
    np.testing.assert_allclose(P @ (X - X.mean(axis=1, keepdims=True)), Z, atol=1e-4)
    flat = np.repeat(X[:3], 4, axis=0)  # 12 rows of rank 3
    assert whiten(flat, 8)[0].shape == (3, 500)


def sparse_filtering_cost(W, Z):
    """Return the cost by the formula of the paper, in float64."""
    features = np.sqrt((W @ Z) ** 2 + 1e-8)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    features /= np.linalg.norm(features, axis=0, keepdims=True)
    return features.sum()


def rica_cost(W, Z):
    W = W / np.linalg.norm(W, axis=1, keepdims=True)
    A = W @ Z
    return (np.sqrt(A**2 + 1e-2).sum() + 0.1 * ((W.T @ A - Z) ** 2).sum()) / Z.shape[1]


@pytest.mark.parametrize(
    ("objective", "formula"), [(SparseFiltering, sparse_filtering_cost), (ReconstructionICA, rica_cost)]
)
def test_cost_is_that_of_the_formula_and_gradient_its_slope(objective, formula, rng):
    Z, _ = whiten(rng.normal(size=(6, 2500)).astype(np.float32), 5)  # more than one block
    W = rng.normal(size=(4, 5))
    cost, gradient = objective(Z)(W.ravel())
    assert cost == pytest.approx(formula(W, Z.astype(np.float64)), rel=1e-5)
    for i in range(20):
        step = np.zeros(20)
        step[i] = 1e-5
        slope = (formula(W + step.reshape(4, 5), Z) - formula(W - step.reshape(4, 5), Z)) / 2e-5
        assert gradient[i] == pytest.approx(slope, abs=0.005 * np.abs(gradient).max())


def test_enlarged_filters_agree_with_pillow(rng):
    small = rng.normal(size=(3, 20, 15))
    found = fit_filters(small.reshape(3, -1), (20, 15, 1), (40, 33, 1)).reshape(3, 40, 33)
    for image, original in zip(found, small, strict=True):
        pillow = Image.fromarray(original.astype(np.float32)).resize((33, 40), Image.Resampling.BICUBIC)
        expected = np.asarray(pillow) - np.mean(pillow)
        inner = np.s_[6:-6, 6:-6]  # Pillow treats the border differently
        cosine = (image * expected)[inner].sum() / np.sqrt((image[inner] ** 2).sum() * (expected[inner] ** 2).sum())
        assert cosine > 0.999


def test_gray_filters_get_the_same_weights_for_all_colours(rng):
    gray = rng.normal(size=(2, 16))
    gray -= gray.mean(axis=1, keepdims=True)
    found = fit_filters(gray, (4, 4, 1), (4, 4, 3)).reshape(2, 16, 3)
    for channel in range(3):
        expected = gray / np.linalg.norm(gray, axis=1, keepdims=True) / np.sqrt(3)
        np.testing.assert_allclose(found[:, :, channel], expected, atol=1e-12)


def test_pretrain_first_layer_gives_a_layer_of_edges(photograph_crops, rng):
    X = normalize_contrast(rng.uniform(size=(24 * 24 * 3, 50)).astype(np.float32))
    W1 = pretrain_first_layer(photograph_crops, SHAPE, (24, 24, 3), X, 31, "relu", rng=rng)
    assert W1.shape == (31, 24 * 24 * 3)
    scores = score_filters(W1, (24, 24, 3))
    assert scores.edge.mean() >= 0.85
    assert (scores.partner >= 0).sum() == 15
    np.testing.assert_allclose((W1 @ X).std(axis=1), 1, rtol=1e-5)


def test_crops_are_gray_and_at_most_32_pixels_a_side():
    assert crop_shape_for((25, 25, 1)) == (25, 25, 1)
    assert crop_shape_for((64, 64, 3)) == (32, 32, 1)
    assert crop_shape_for((64, 64, 3), in_color=True) == (32, 32, 3)
    assert crop_shape_for((62, 47, 1)) == (32, 24, 1)
    assert n_crops_for(10) == 8000
    assert n_crops_for(1000) > 20_000


@pytest.mark.parametrize(("activation", "n_1", "n_filters"), [("relu", 8, 4), ("relu", 7, 4), ("tanh", 7, 7)])
def test_first_layer_has_standard_deviation_1_and_pairs_for_relu(activation, n_1, n_filters, rng):
    X = (rng.normal(size=(30, 500)) * 5).astype(np.float32)
    assert n_filters_for(n_1, activation) == n_filters
    filters = rng.normal(size=(n_filters, 30))
    W1 = first_layer_weights(filters, X, n_1, activation)
    assert W1.shape == (n_1, 30)
    np.testing.assert_allclose((W1 @ X).std(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(W1[n_filters:], -W1[: n_1 - n_filters])
    with pytest.raises(ValueError, match="expected"):
        first_layer_weights(filters[:-1], X, n_1, activation)


def test_unknown_methods_and_unusable_crops_raise(rng):
    crops = rng.uniform(size=(16, 50)).astype(np.float32)
    with pytest.raises(ValueError, match="sparse_filtering, rica, ica"):
        learn_filters(crops, 4, method="magic", rng=rng)
    with pytest.raises(ValueError, match="use sparse_filtering"):
        learn_filters(crops, 40, method="ica", rng=rng)
    with pytest.raises(ValueError, match="all crops are flat or identical"):
        learn_filters(np.full((16, 50), 0.5, np.float32), 4, rng=rng)
    crops[3, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        learn_filters(crops, 4, rng=rng)
