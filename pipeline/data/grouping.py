"""Decide which images belong together, and divide a set of them into splits that nothing leaks across.

What belongs together: images that come to the same pixels, confirmed near duplicates, and all that share a group key
(a person). Every such group is on one side of a split, except where a ready-made division says otherwise; what leaks
there is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data import splits as splitting
from pipeline.data.config import DataConfig
from pipeline.data.duplicates import candidate_pairs, confirm, conflicts, groups_of_equals, merge, star_groups
from pipeline.data.splits import SPLITS
from pipeline.errors import InputError

_CONFIRMED_AT_A_TIME = 1 << 11  # pairs: about 30 MB


@dataclass(frozen=True)
class Division:
    """The split and the group of every image, and what was found on the way.

    Attributes
    ----------
    split : ndarray of shape (m,), uint8
        Indices of `pipeline.data.splits.SPLITS`.
    group : ndarray of shape (m,), int
        Equal where images belong together; -1 where one stands alone.
    equal : ndarray of shape (m,), int
        The index of the first image of the same pixels; -1 where there is no other.
    near : ndarray of shape (n, 2), int
        Pairs of near duplicates.
    leaks : list of ndarray of int
        Indices of images that belong together but lie on several sides of a ready-made division.
    conflicts : list of ndarray of int
        Indices of images of the same pixels with several labels.
    random_split_leaks : int
        Held-out images that a random split, blind to groups, would have had a relative of in training.
    """

    split: np.ndarray
    group: np.ndarray
    equal: np.ndarray
    near: np.ndarray
    leaks: list[np.ndarray]
    conflicts: list[np.ndarray]
    random_split_leaks: int


def divide(
    labels: np.ndarray,
    classes: Sequence[str],
    placed: np.ndarray,
    keys: Sequence[str],
    digests: np.ndarray,
    thumbnail_of: np.ndarray,
    thumbnails: np.ndarray,
    config: DataConfig,
    *,
    into: str = "",
    lenient: bool = False,
) -> Division:
    """Group and divide.

    Parameters
    ----------
    labels : ndarray of shape (m,), int
        -1 where unlabelled.
    classes : sequence of str
    placed : ndarray of shape (m,), uint8
        The split each image comes with; `pipeline.data.splits.OPEN` where it has none.
    keys : sequence of m str
        The group each image comes with; empty where it has none.
    digests : ndarray of shape (m, n_bytes), uint8
        Equal where the pixels are.
    thumbnail_of : ndarray of shape (n,), int
        The images large enough to be compared, ascending.
    thumbnails : ndarray of shape (n, 32, 32), uint8
        Theirs; may be on disk.
    config : DataConfig
    into : str
        Put everything labelled into this split, or leave it in the one ``"given"``.
    lenient : bool
        Do not refuse classes that are too small to divide (images are added to a set that was divided before).

    Raises
    ------
    InputError
        If the images cannot be divided; see `pipeline.data.splits.split`.
    """
    equal = groups_of_equals(digests)
    near = np.empty((0, 2), dtype=np.intp)
    if config.near_duplicates:
        near = _near_pairs(equal, thumbnail_of, thumbnails)
    numbers = {"": -1}
    given_group = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    group = merge(len(labels), equal, star_groups(len(labels), near), given_group)
    split, leaks = _place(labels, classes, placed, group, config, into, lenient)
    return Division(
        split=split,
        group=group,
        equal=equal,
        near=near,
        leaks=leaks,
        conflicts=conflicts(equal, labels),
        random_split_leaks=random_split_leaks(labels, len(classes), group, config),
    )


def near_pairs(equal: np.ndarray, thumbnails: dict[int, np.ndarray]) -> np.ndarray:
    """Return confirmed near duplicates as pairs of indices (n, 2); of equal images only the first takes part."""
    if not thumbnails:
        return np.empty((0, 2), dtype=np.intp)
    return _near_pairs(equal, np.array(list(thumbnails)), np.stack(list(thumbnails.values())))


def _near_pairs(equal: np.ndarray, thumbnail_of: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    places = np.flatnonzero((equal[thumbnail_of] < 0) | (equal[thumbnail_of] == thumbnail_of))
    if len(places) < 2:
        return np.empty((0, 2), dtype=np.intp)
    pairs = places[candidate_pairs(thumbnails, places)]
    parts = np.split(pairs, range(_CONFIRMED_AT_A_TIME, len(pairs), _CONFIRMED_AT_A_TIME))
    kept = np.concatenate([confirm(thumbnails[part[:, 0]], thumbnails[part[:, 1]]) for part in parts])
    return thumbnail_of[pairs[kept]].astype(np.intp)


def random_split(labels: np.ndarray, n_classes: int, config: DataConfig) -> np.ndarray:
    """Return the split that is blind to groups: what most programs would do. For comparison only."""
    start = np.where(labels < 0, splitting.UNLABELLED, splitting.TRAIN).astype(np.uint8)
    return splitting.complete(
        start, labels, n_classes, validation=config.validation, test=config.test, seed=config.split_seed
    )


def random_split_leaks(labels: np.ndarray, n_classes: int, group: np.ndarray, config: DataConfig) -> int:
    """Count the held-out images of a naive split that have a relative in its training part."""
    if (group < 0).all():
        return 0
    naive = random_split(labels, n_classes, config)
    trained = np.unique(group[(naive == splitting.TRAIN) & (group >= 0)])
    held_out = (naive == splitting.VALIDATION) | (naive == splitting.TEST)
    return int((held_out & np.isin(group, trained)).sum())


def _place(
    labels: np.ndarray,
    classes: Sequence[str],
    placed: np.ndarray,
    group: np.ndarray,
    config: DataConfig,
    into: str,
    lenient: bool,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the split of every image, and the groups that a ready-made division tears."""
    if into == "given":
        split = np.where(placed == splitting.OPEN, splitting.TRAIN, placed)
        return np.where(labels < 0, splitting.UNLABELLED, split).astype(np.uint8), []
    if into:
        return np.where(labels < 0, splitting.UNLABELLED, SPLITS.index(into)).astype(np.uint8), []
    if not len(classes):
        return np.full(len(labels), splitting.UNLABELLED, dtype=np.uint8), []
    how: dict[str, Any] = {
        "validation": config.validation,
        "test": config.test,
        "seed": config.split_seed,
        "groups": group,
    }
    if (placed == splitting.OPEN).all():
        return splitting.split(labels, classes, **how), []
    split = np.where(labels < 0, splitting.UNLABELLED, placed).astype(np.uint8)
    torn = _torn(split, group)
    if config.drop_leaks:
        split[splitting.leaked(split, group)] = splitting.DROPPED
    if lenient:
        return splitting.extend(split, labels, len(classes), **how), torn
    split[split == splitting.OPEN] = splitting.TRAIN
    if len(np.unique(labels[split == splitting.TRAIN])) < 2:
        raise InputError(
            "the training split has fewer than two classes; a classifier needs at least two: one folder of images "
            "for each, in the folder train"
        )
    return splitting.complete(split, labels, len(classes), **how), torn


def _torn(split: np.ndarray, group: np.ndarray) -> list[np.ndarray]:
    """Return the indices of each group that lies in more than one of training, validation and test."""
    rows = np.flatnonzero((group >= 0) & (split <= splitting.TEST))
    rows = rows[np.lexsort((split[rows], group[rows]))]
    parts = np.split(rows, np.flatnonzero(np.diff(group[rows])) + 1)
    return [part for part in parts if len(part) and (split[part] != split[part[0]]).any()]
