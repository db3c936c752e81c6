"""Contrast normalisation: every example by itself, in place or not."""

from __future__ import annotations

import numpy as np
import pytest

from model.contrast import normalize_contrast


@pytest.mark.parametrize("order", ["C", "F"])
def test_every_example_is_normalised_by_itself(order):
    X = np.random.default_rng(0).uniform(size=(50, 4)).astype(np.float32, order=order)
    X[:, 1] = 0.3 * X[:, 0] + 0.4
    X[:, 2] = 0.7
    found = normalize_contrast(X)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found[:, [0, 3]].std(axis=0), 1, atol=0.02)
    assert np.abs(found[:, 2]).max() < 1e-4  # flat: stays flat
    np.testing.assert_allclose(found[:, 1], found[:, 0], atol=0.15)  # the same image in dimmer light
    assert found.dtype == np.float32
    in_place = X.copy(order=order)
    normalize_contrast(in_place, out=in_place)
    np.testing.assert_array_equal(in_place, found)
