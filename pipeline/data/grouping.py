"""Groups of images, as arrays.

A grouping is an array of shape (m,), int: equal numbers for images of one group, -1 for an image in no group.
"""

from __future__ import annotations

import numpy as np


def members(group: np.ndarray) -> list[np.ndarray]:
    """Return the indices of every group's members, ascending, in the order of the groups' numbers.

    For example, the members of (7, -1, 3, 7) are [2] and [0, 3].
    """
    rows = np.flatnonzero(group >= 0)
    rows = rows[np.argsort(group[rows], kind="stable")]
    return np.split(rows, np.flatnonzero(np.diff(group[rows])) + 1) if len(rows) else []


def merge(m: int, *groupings: np.ndarray) -> np.ndarray:
    """Put together what any of the groupings puts together, directly or through others.

    Returns
    -------
    ndarray of shape (m,), int
        The index of each group's first member; -1 for an image in no group.
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
