"""Find exact and near duplicates among images, as groupings (see `pipeline.data.grouping`) and as pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.data.grouping import members
from pipeline.images.statistics import THUMBNAIL_SIDE


def groups_of_equals(digests: np.ndarray) -> np.ndarray:
    """Group exact duplicates: images with equal digests.

    Parameters
    ----------
    digests : ndarray of shape (m, n_bytes), uint8

    Returns
    -------
    ndarray of shape (m,), int
        The index of the first equal image; -1 for an image that has no equal.
    """
    rows = np.ascontiguousarray(digests).view(np.dtype((np.void, digests.shape[1])))[:, 0]
    _, first, inverse, counts = np.unique(rows, return_index=True, return_inverse=True, return_counts=True)
    return np.where(counts[inverse] > 1, first[inverse], -1)


def conflicts(group: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Return the indices of each group whose members have more than one label; unlabelled ones do not count."""
    return [rows for rows in members(np.where(labels >= 0, group, -1)) if (labels[rows] != labels[rows[0]]).any()]


def near_pairs(equal: np.ndarray, thumbnail_of: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    """Return the confirmed near duplicates; of exact duplicates only the first is compared with others.

    Parameters
    ----------
    equal : ndarray of shape (m,), int
        As `groups_of_equals` returns it.
    thumbnail_of : ndarray of shape (n,), int
        The images large enough to be compared, ascending.
    thumbnails : ndarray of shape (n, 32, 32), uint8
        Their thumbnails; the array may be on disk.

    Returns
    -------
    ndarray of shape (n_pairs, 2), int
        Pairs i < j of image indices.
    """
    compared = np.flatnonzero((equal[thumbnail_of] < 0) | (equal[thumbnail_of] == thumbnail_of))
    if len(compared) < 2:
        return np.empty((0, 2), dtype=np.intp)
    pairs = compared[candidate_pairs(thumbnails, compared)]
    parts = np.split(pairs, range(_CONFIRMED_AT_A_TIME, len(pairs), _CONFIRMED_AT_A_TIME))
    confirmed = np.concatenate([confirm(thumbnails[part[:, 0]], thumbnails[part[:, 1]]) for part in parts])
    return thumbnail_of[pairs[confirmed]].astype(np.intp)


def candidate_pairs(thumbnails: np.ndarray, compared: np.ndarray | None = None) -> np.ndarray:
    """Find pairs of thumbnails that may be near duplicates.

    `_CHOICES` times some bits of a perceptual hash are chosen; only images that agree on all of them, and are at most
    `_WINDOW` positions apart among those, are compared (locality-sensitive hashing by sampled bits: P. Indyk and
    R. Motwani, "Approximate nearest neighbors", 1998). The more images there are, the more bits are chosen, so that
    hardly more of them agree by chance: the work grows with m, not with m squared.

    Parameters
    ----------
    thumbnails : ndarray of shape (m, 32, 32), uint8
    compared : ndarray of int, optional
        Indices of the thumbnails to compare, ascending; default: all.

    Returns
    -------
    ndarray of shape (n, 2), int
        Pairs i < j of indices of `compared` whose hashes differ in at most `_FARTHEST` of 176 bits; each pair once.
    """
    compared = np.arange(len(thumbnails)) if compared is None else compared
    m = len(compared)
    choices = _choices(m)
    words, keys = np.empty((m, 3), np.uint64), np.empty((_CHOICES, m), np.uint32)
    for start in range(0, m, _HASHED_AT_A_TIME):
        part = slice(start, start + _HASHED_AT_A_TIME)
        bits = _hash(thumbnails[compared[part]])
        words[part] = np.packbits(bits, axis=1).view(np.uint64)
        keys[:, part] = np.packbits(bits[:, choices], axis=2).view(np.uint32)[..., 0].T
    order = np.lexsort(words.T)  # so that among many that agree, the most similar are neighbours
    words, keys = words[order], keys[:, order]
    found = np.empty(0, np.int64)
    for key in keys:
        found = np.sort(np.concatenate([found, *_close_pairs(key, words)]))  # quicker than `np.unique`
        found = found[np.diff(found, prepend=-1) > 0]
    pairs = np.sort(order[np.stack(np.divmod(found, max(1, m)), axis=1)], axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def confirm(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Decide which pairs of thumbnails show the same image, by comparing their pixels.

    Two thumbnails show the same if the correlation of their gray values is at least `_LEAST_CORRELATION`, which does
    not depend on brightness and contrast. A thumbnail with hardly any contrast is never confirmed: it shows too
    little to decide.

    Parameters
    ----------
    a, b : ndarray of shape (n, 32, 32), uint8
        The first and the second thumbnail of each pair.

    Returns
    -------
    ndarray of shape (n,), bool
    """
    return (_standardise(a) * _standardise(b)).mean(axis=1) >= _LEAST_CORRELATION


def star_groups(m: int, pairs: np.ndarray) -> np.ndarray:
    """Group by direct pairs only: every member of a group is paired with the group's first member.

    Chains (a like b, b like c, and so on) would put hundreds of images into one group, most of them not alike.

    Returns
    -------
    ndarray of shape (m,), int
        The index of each group's first member; -1 for an image in no group.
    """
    first = np.full(m, -1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    for start in range(0, len(order), _LISTED_AT_A_TIME):
        for i, j in pairs[order[start : start + _LISTED_AT_A_TIME]].tolist():
            if first[j] < 0 and first[i] in (-1, i):
                first[i] = first[j] = i
    return first


_HASH_BITS, _PADDED = 176, 192
_CHOICES, _FEWEST, _MOST = 20, 16, 32  # choices of bits; the fewest and the most bits of a choice
_WINDOW = 16
_HASHED_AT_A_TIME, _COMPARED_AT_A_TIME, _LISTED_AT_A_TIME = 1 << 12, 1 << 16, 1 << 16  # 50 MB, 10 MB, 10 MB
_CONFIRMED_AT_A_TIME = 1 << 11  # pairs: about 30 MB
_FARTHEST = 40
_LEAST_CORRELATION = 0.97
_LEAST_CONTRAST = 4.0


def _choices(m: int) -> np.ndarray:
    """Return the choices of bits: (_CHOICES, _MOST), int; fewer than `_MOST` bits are filled up with a bit not set.

    Half of the choices are neighbouring bits: a change in one part of an image leaves the bits of other parts as they
    are. The other choices are random bits, on which fewer images agree by chance.
    """
    rng = np.random.default_rng(0)
    n = min(max(_FEWEST, m.bit_length()), _MOST)
    near = (np.arange(0, _HASH_BITS, 16)[:, None] + np.arange(n)) % _HASH_BITS  # (11, n)
    choices = np.full((_CHOICES, _MOST), _HASH_BITS)
    choices[:, :n] = [*near, *(rng.permutation(_HASH_BITS)[:n] for _ in range(_CHOICES - len(near)))]
    return choices


def _close_pairs(key: np.ndarray, words: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the pairs i, j of images with equal keys whose hashes are close, as numbers i * m + j.

    Key and index are put into one number, key * 2^32 + index, because sorting numbers is much faster than sorting
    indices by key. An example: the keys (7, 3, 7, 7) become, sorted, 3|1, 7|0, 7|2, 7|3. Images with equal keys are
    now neighbours. At a step of 1, the pairs (0, 2) and (2, 3) have equal keys, at a step of 2 the pair (0, 3).

    Parameters
    ----------
    key : ndarray of shape (m,), uint32
        The chosen bits of each image's hash.
    words : ndarray of shape (m, 3), uint64
        The whole hash of each image.
    """
    m = len(key)
    order = np.sort(key.astype(np.uint64) << np.uint64(32) | np.arange(m, dtype=np.uint64))
    for start in range(0, m, _COMPARED_AT_A_TIME):
        part = order[start : start + _COMPARED_AT_A_TIME + _WINDOW]
        index = (part & np.uint64(0xFFFFFFFF)).astype(np.int64)
        key, hashes = part >> np.uint64(32), words[index]
        for step in range(1, _WINDOW + 1):
            near = np.flatnonzero(key[:-step][:_COMPARED_AT_A_TIME] == key[step:][:_COMPARED_AT_A_TIME])
            if not len(near):
                break
            distance = np.bitwise_count(hashes[near] ^ hashes[near + step]).sum(axis=1)
            near = near[distance <= _FARTHEST]
            yield index[near] * m + index[near + step]


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
    bits[:, 112:_HASH_BITS] = waves > np.partition(waves, 31, axis=1)[:, 31:32]
    return bits


def _standardise(thumbnails: np.ndarray) -> np.ndarray:
    """Return (n, 1024) with mean 0 and standard deviation 1; all 0 for a thumbnail with hardly any contrast."""
    values = thumbnails.reshape(len(thumbnails), THUMBNAIL_SIDE**2).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    deviation = values.std(axis=1, keepdims=True)
    return values / np.where(deviation < _LEAST_CONTRAST, np.inf, deviation)
