"""Digits, for the tests that train."""

from __future__ import annotations

import numpy as np
import pytest

from model.batches import ArrayBatches


@pytest.fixture(scope="module")
def digits():
    """Return 600 digits to train on, and 300 to validate with."""
    from sklearn.datasets import load_digits

    X, labels = load_digits(return_X_y=True)
    X = np.asfortranarray((X / 16).astype(np.float32).T)
    return ArrayBatches(X[:, :600], labels[:600]), ArrayBatches(X[:, 600:900], labels[600:900])
