"""Find pictures that are copies of each other, and put what belongs together into groups.

Groups are arrays of shape (m,), int: equal where pictures belong together, -1 where one stands alone.
"""

from __future__ import annotations

import numpy as np

from pipeline.looks import THUMBNAIL_SIDE


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


def candidate_pairs(thumbnails: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
    """Find pairs of thumbnails that may be near duplicates.

    A perceptual hash is cut into bands of 16 bits; only pictures that agree on all bits of a band, and stand within
    `_WINDOW` places of each other among those, are compared. So the work grows with m, not with m squared.

    Parameters
    ----------
    thumbnails : ndarray of shape (m, 32, 32), uint8
    places : ndarray of int, optional
        Which of them to compare, ascending; default: all.

    Returns
    -------
    ndarray of shape (n, 2), int
        Pairs i < j (of `places`, by their index) whose hashes differ in at most `_FARTHEST` of 176 bits, each once.
    """
    places = np.arange(len(thumbnails)) if places is None else places
    blocks = np.split(places, range(_HASHED_AT_A_TIME, len(places), _HASHED_AT_A_TIME))
    bands = np.concatenate([_hash(thumbnails[block]) for block in blocks])  # (m, 11)
    words = np.pad(bands, ((0, 0), (0, 1))).view(np.uint64)  # (m, 3)
    found = []
    for band in range(bands.shape[1]):
        order = np.lexsort((words[:, 1], words[:, 0], bands[:, band]))
        keys = bands[order, band]
        for step in range(1, min(_WINDOW, len(order) - 1) + 1):
            near = np.flatnonzero(keys[:-step] == keys[step:])
            if not len(near):
                break
            one, other = order[near], order[near + step]
            distance = np.bitwise_count(words[one] ^ words[other]).sum(axis=1)
            close = distance <= _FARTHEST
            one, other = one[close], other[close]
            found.append(np.minimum(one, other) * len(places) + np.maximum(one, other))  # sorts quicker than pairs do
    codes = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.intp)
    return np.stack(np.divmod(codes, max(1, len(places))), axis=1)


def confirm(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Tell which pairs of thumbnails show the same picture, by comparing their pixels.

    Two show the same where the correlation of their gray values is at least `_LEAST_CORRELATION`: it does not mind
    another brightness or contrast. A thumbnail with hardly any contrast shows too little to tell.

    Parameters
    ----------
    one, other : ndarray of shape (n, 32, 32), uint8

    Returns
    -------
    ndarray of shape (n,), bool
    """
    a, b = (_standardise(thumbnails) for thumbnails in (one, other))
    return (a * b).mean(axis=1) >= _LEAST_CORRELATION


def star_groups(m: int, pairs: np.ndarray) -> np.ndarray:
    """Group by direct pairs only: every member of a group is paired with the group's first member.

    Chains (a like b, b like c, and so on) would tie hundreds of pictures together of which most are not alike.

    Returns
    -------
    ndarray of shape (m,), int
        The index of each group's first member; -1 where a picture stands alone.
    """
    first = np.full(m, -1)
    for i, j in pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].tolist():
        if first[j] < 0 and first[i] in (-1, i):
            first[i] = first[j] = i
    return first


_WINDOW = 32
_HASHED_AT_A_TIME = 1 << 12  # about 50 MB
_FARTHEST = 40
_LEAST_CORRELATION = 0.97
_LEAST_CONTRAST = 4.0


def _hash(thumbnails: np.ndarray) -> np.ndarray:
    """Return 176 bits a picture as (m, 11) uint16: signs of gradients, and of low frequencies.

    The gradient hash compares each of 8x8 cells with its right and its lower neighbour (N. Krawetz, "Kind of like
    that", 2013); the other is the sign pattern of 8x8 low frequencies of the discrete cosine transform against their
    median (the pHash of C. Zauner, 2010).
    """
    m = len(thumbnails)
    cells = thumbnails.reshape(m, 8, 4, 8, 4).mean(axis=(2, 4), dtype=np.float32)  # (m, 8, 8)
    k, x = np.arange(1, 9)[:, None], np.arange(32)[None]
    cosines = np.cos(np.pi * k * (2 * x + 1) / 64).astype(np.float32)  # (8, 32)
    waves = (cosines @ thumbnails.astype(np.float32) @ cosines.T).reshape(m, 64)
    bits = np.concatenate(
        [
            (cells[:, :, 1:] > cells[:, :, :-1]).reshape(m, 56),
            (cells[:, 1:] > cells[:, :-1]).reshape(m, 56),
            waves > np.median(waves, axis=1, keepdims=True),
        ],
        axis=1,
    )
    return np.packbits(bits, axis=1).view(np.uint16)


def _standardise(thumbnails: np.ndarray) -> np.ndarray:
    """Return (n, 1024) with mean 0 and standard deviation 1; all 0 where there is hardly any contrast."""
    values = thumbnails.reshape(len(thumbnails), THUMBNAIL_SIDE**2).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    deviation = values.std(axis=1, keepdims=True)
    return values / np.where(deviation < _LEAST_CONTRAST, np.inf, deviation)
