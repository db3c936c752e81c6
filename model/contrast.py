"""Contrast normalisation: the same image in bright and in dim light becomes the same example."""

from __future__ import annotations

import numpy as np

from model.activations import Array

CONTRAST_FLOOR = 1e-3  # added to the variance of an example, so that flat images do not become noise


def normalize_contrast(X: Array, out: Array | None = None) -> Array:
    """Subtract the mean of each example, and divide by the root of its variance plus `CONTRAST_FLOOR`.

    Parameters
    ----------
    X : ndarray of shape (n_x, m), float, 0 to 1
    out : ndarray of shape (n_x, m), same dtype, optional
        Where the result goes; it may be `X` itself.

    Returns
    -------
    ndarray of shape (n_x, m), same dtype
    """
    rows = X.T  # (m, n_x)
    centred = np.subtract(rows, rows.mean(axis=1, keepdims=True), out=None if out is None else out.T)
    variance = np.einsum("mx,mx->m", centred, centred)[:, None] / len(X)
    centred /= np.sqrt(variance + X.dtype.type(CONTRAST_FLOOR))
    return centred.T
