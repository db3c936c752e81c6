"""Find images that are copies of each other, and put what belongs together into groups.

Groups are arrays of shape (m,), int: equal where images belong together, -1 where one stands alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.images.statistics import THUMBNAIL_SIDE


def groups_of_equals(digests: np.ndarray) -> np.ndarray:
    """Group images with equal digests.

    Parameters
    ----------
    digests : ndarray of shape (m, n_bytes), uint8

    Returns
    -------
    ndarray of shape (m,), int
        The index of the first equal image; -1 where an image has no equal.
    """
    rows = np.ascontiguousarray(digests).view(np.dtype((np.void, digests.shape[1])))[:, 0]
    _, first, inverse, counts = np.unique(rows, return_index=True, return_inverse=True, return_counts=True)
    return np.where(counts[inverse] > 1, first[inverse], -1)


def merge(m: int, *groupings: np.ndarray) -> np.ndarray:
    """Put together what any of the groupings puts together, directly or through others.

    Returns
    -------
    ndarray of shape (m,), int
        The index of each group's first member; -1 where an image stands alone.
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

    `_CHOICES` times some bits of a perceptual hash are looked at; only images that agree on all of them, and stand
    within `_WINDOW` places of each other among those, are compared (locality-sensitive hashing by sampled bits:
    P. Indyk and R. Motwani, "Approximate nearest neighbors", 1998). The more images there are, the more bits are
    chosen, so that hardly more of them agree by chance: the work grows with m, not with m squared.

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
    m = len(places)
    choices = _choices(m)
    words, keys = np.empty((m, 3), np.uint64), np.empty((_CHOICES, m), np.uint32)
    for start in range(0, m, _HASHED_AT_A_TIME):
        part = slice(start, start + _HASHED_AT_A_TIME)
        bits = _hash(thumbnails[places[part]])
        words[part] = np.packbits(bits, axis=1).view(np.uint64)
        keys[:, part] = np.packbits(bits[:, choices], axis=2).view(np.uint32)[..., 0].T
    alike = np.lexsort(words.T)  # so that of many that agree, those that are most alike stand together
    words, keys = words[alike], keys[:, alike]
    found = np.empty(0, np.int64)
    for key in keys:
        found = np.sort(np.concatenate([found, *_close(key, words)]))  # quicker than `np.unique`
        found = found[np.diff(found, prepend=-1) > 0]
    pairs = np.sort(alike[np.stack(np.divmod(found, max(1, m)), axis=1)], axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def confirm(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Tell which pairs of thumbnails show the same image, by comparing their pixels.

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

    Chains (a like b, b like c, and so on) would tie hundreds of images together of which most are not alike.

    Returns
    -------
    ndarray of shape (m,), int
        The index of each group's first member; -1 where an image stands alone.
    """
    first = np.full(m, -1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    for start in range(0, len(order), _LISTED_AT_A_TIME):
        for i, j in pairs[order[start : start + _LISTED_AT_A_TIME]].tolist():
            if first[j] < 0 and first[i] in (-1, i):
                first[i] = first[j] = i
    return first


_BITS, _PADDED = 176, 192
_CHOICES, _FEWEST, _MOST = 20, 16, 32  # of so many bits
_WINDOW = 16
_HASHED_AT_A_TIME, _COMPARED_AT_A_TIME, _LISTED_AT_A_TIME = 1 << 12, 1 << 16, 1 << 16  # 50 MB, 10 MB, 10 MB
_FARTHEST = 40
_LEAST_CORRELATION = 0.97
_LEAST_CONTRAST = 4.0


def _choices(m: int) -> np.ndarray:
    """Return which bits are looked at: (_CHOICES, _MOST), int; those beyond as many as m images need are no bits.

    Half of the choices are neighbours: what changes in a plain part of an image leaves those of other parts alone.
    The others come from anywhere, and so are agreed on by fewer.
    """
    rng = np.random.default_rng(0)
    n = min(max(_FEWEST, m.bit_length()), _MOST)
    near = (np.arange(0, _BITS, 16)[:, None] + np.arange(n)) % _BITS  # (11, n)
    choices = np.full((_CHOICES, _MOST), _BITS)
    choices[:, :n] = [*near, *(rng.permutation(_BITS)[:n] for _ in range(_CHOICES - len(near)))]
    return choices


def _close(key: np.ndarray, words: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the pairs i, j of images with equal keys whose hashes are close, as numbers i * m + j."""
    m = len(key)
    order = np.sort(key.astype(np.uint64) << np.uint64(32) | np.arange(m, dtype=np.uint64))
    for start in range(0, m, _COMPARED_AT_A_TIME):
        part = order[start : start + _COMPARED_AT_A_TIME + _WINDOW]
        place = (part & np.uint64(0xFFFFFFFF)).astype(np.int64)
        key, hashes = part >> np.uint64(32), words[place]
        for step in range(1, _WINDOW + 1):
            near = np.flatnonzero(key[:-step][:_COMPARED_AT_A_TIME] == key[step:][:_COMPARED_AT_A_TIME])
            if not len(near):
                break
            distance = np.bitwise_count(hashes[near] ^ hashes[near + step]).sum(axis=1)
            near = near[distance <= _FARTHEST]
            yield place[near] * m + place[near + step]


def _hash(thumbnails: np.ndarray) -> np.ndarray:
    """Return (m, 192) bool: signs of gradients, of low frequencies, and 16 that are False.

    The gradient hash compares each of 8x8 cells with its right and its lower neighbour (N. Krawetz, "Kind of like
    that", 2013); the other is the sign pattern of 8x8 low frequencies of the discrete cosine transform against their
    median (the pHash of C. Zauner, 2010).
    """
    m = len(thumbnails)
    k, x = np.arange(1, 9)[:, None], np.arange(32)[None]
    means, cosines = (x // 4 == k - 1) / 4, np.cos(np.pi * k * (2 * x + 1) / 64)  # (8, 32)
    both = np.concatenate([means, cosines]).astype(np.float32)
    sums = both @ (thumbnails.reshape(-1, 32).astype(np.float32) @ both.T).reshape(m, 32, 16)  # (m, 16, 16)
    cells, waves = sums[:, :8, :8], sums[:, 8:, 8:].reshape(m, 64)
    bits = np.zeros((m, _PADDED), dtype=bool)
    bits[:, :56] = (cells[:, :, 1:] > cells[:, :, :-1]).reshape(m, 56)
    bits[:, 56:112] = (cells[:, 1:] > cells[:, :-1]).reshape(m, 56)
    bits[:, 112:_BITS] = waves > np.partition(waves, 31, axis=1)[:, 31:32]
    return bits


def _standardise(thumbnails: np.ndarray) -> np.ndarray:
    """Return (n, 1024) with mean 0 and standard deviation 1; all 0 where there is hardly any contrast."""
    values = thumbnails.reshape(len(thumbnails), THUMBNAIL_SIDE**2).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    deviation = values.std(axis=1, keepdims=True)
    return values / np.where(deviation < _LEAST_CONTRAST, np.inf, deviation)
