"""Find pictures that are copies of each other, and put what belongs together into groups.

Groups are arrays of shape (m,), int: equal where pictures belong together, -1 where one stands alone.
"""

from __future__ import annotations

import numpy as np


def groups_of_equals(digests: np.ndarray) -> np.ndarray:
    """Group pictures with equal digests.

    Parameters
    ----------
    digests : ndarray of shape (m, n_bytes), uint8

    Returns
    -------
    ndarray of shape (m,), int
        The index of the first equal picture; -1 where a picture has no equal.
    """
    rows = np.ascontiguousarray(digests).view(np.dtype((np.void, digests.shape[1])))[:, 0]
    _, first, inverse, counts = np.unique(rows, return_index=True, return_inverse=True, return_counts=True)
    return np.where(counts[inverse] > 1, first[inverse], -1)


def merge(m: int, *groupings: np.ndarray) -> np.ndarray:
    """Put together what any of the groupings puts together, directly or through others.

    Returns
    -------
    ndarray of shape (m,), int
        The index of each group's first member; -1 where a picture stands alone.
    """
    first = np.arange(m)
    while True:
        before = first.copy()
        for group in groupings:
            rows = np.flatnonzero(group >= 0)
            _, inverse = np.unique(group[rows], return_inverse=True)
            least = np.full(inverse.max(initial=-1) + 1, m)
            np.minimum.at(least, inverse, first[rows])
            first[rows] = least[inverse]
        first = first[first]
        if (first == before).all():
            break
    counts = np.bincount(first, minlength=m)
    return np.where(counts[first] > 1, first, -1)


def conflicts(group: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Return the indices of each group whose members bear more than one label; unlabelled ones do not count."""
    rows = np.flatnonzero((group >= 0) & (labels >= 0))
    rows = rows[np.argsort(group[rows], kind="stable")]
    parts = np.split(rows, np.flatnonzero(np.diff(group[rows])) + 1)
    return [part for part in parts if len(part) and (labels[part] != labels[part[0]]).any()]
