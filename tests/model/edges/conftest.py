"""Gabor functions with known parameters, for the tests of fits and of scores."""

import numpy as np
import pytest


def _draw_gabors(n, rng, side=25):
    """Return n Gabor functions (n, side, side) that are local, and their (x, y, angle, frequency, width, length)."""
    rows, columns = np.mgrid[:side, :side]
    frequency = rng.uniform(0.1, 0.25, n)
    width = rng.uniform(0.3, 0.45, n) / frequency
    true = np.stack(
        [
            *rng.uniform(0.25 * side, 0.75 * side, (2, n)),
            rng.uniform(0, np.pi, n),
            frequency,
            width,
            np.minimum(width * rng.uniform(1, 2, n), 4),
        ],
        axis=1,
    )
    images = []
    for (x, y, angle, f, w, h), phase in zip(true, rng.uniform(0, 2 * np.pi, n), strict=True):
        along = np.cos(angle) * (columns - x) + np.sin(angle) * (rows - y)
        across = np.cos(angle) * (rows - y) - np.sin(angle) * (columns - x)
        wave = np.cos(2 * np.pi * f * along + phase)
        images.append(np.exp(-0.5 * ((along / w) ** 2 + (across / h) ** 2)) * wave)
    return np.array(images), true


@pytest.fixture
def gabors():
    """Return the function that draws random Gabor functions."""
    return _draw_gabors
