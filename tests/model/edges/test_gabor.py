"""The Gabor fit finds known parameters, and is as good as an independent one."""

import numpy as np
import pytest

from model.edges.gabor import fit_gabors


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_fit_finds_the_gabor_that_was_drawn(gabors, rng):
    images, true = gabors(60, rng)
    fit = fit_gabors(images)
    np.testing.assert_allclose(fit.r2, 1, atol=1e-3)
    np.testing.assert_allclose(np.stack([fit.x, fit.y], axis=1), true[:, :2], atol=0.15)
    np.testing.assert_allclose(np.cos(2 * (fit.angle - true[:, 2])), 1, atol=1e-2)
    np.testing.assert_allclose(fit.frequency, true[:, 3], rtol=0.1)


@pytest.mark.slow
def test_fit_explains_as_much_as_scipys_best_of_many_starts(gabors, rng):
    from scipy.optimize import least_squares

    targets, _ = gabors(6, rng, side=12)
    targets = targets + rng.normal(size=targets.shape) * 0.15
    rows, columns = np.mgrid[:12, :12]

    def residual(params, target):
        x, y, angle, f, w, h, even, odd = params
        along = np.cos(angle) * (columns - x) + np.sin(angle) * (rows - y)
        across = np.cos(angle) * (rows - y) - np.sin(angle) * (columns - x)
        wave = even * np.cos(2 * np.pi * f * along) + odd * np.sin(2 * np.pi * f * along)
        return (np.exp(-0.5 * ((along / w) ** 2 + (across / h) ** 2)) * wave - target).ravel()

    fit = fit_gabors(targets)
    for target, r2 in zip(targets, fit.r2, strict=True):
        best = 0.0
        for _ in range(20):
            start = rng.uniform((2, 2, 0, 0.05, 1, 1, -1, -1), (9, 9, np.pi, 0.4, 4, 4, 1, 1))
            low, high = (-6, -6, -9, 0.005, 0.35, 0.35, -99, -99), (18, 18, 9, 0.71, 48, 48, 99, 99)
            found = least_squares(residual, start, args=(target,), bounds=(low, high), max_nfev=100)
            best = max(best, 1 - 2 * found.cost / (target**2).sum())
        assert r2 > best - 0.01


def test_an_image_of_zeros_has_an_r2_of_0():
    assert fit_gabors(np.zeros((2, 9, 9))).r2.tolist() == [0, 0]
