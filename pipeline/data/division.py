"""Group the images of a set, and divide it into splits that nothing leaks across.

Images are of one group if they are exact duplicates (equal pixels), confirmed near duplicates, or share a group key
(such as a person). Every group is in one split, unless ready-made splits say otherwise; such leaks are reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.config import DataConfig
from pipeline.data.duplicates import conflicts, groups_of_equals, near_pairs, star_groups
from pipeline.data.grouping import members, merge
from pipeline.data.splits import UNDIVIDED, Split, complete_split, extend_split, leaked, make_split
from pipeline.errors import InputError


@dataclass(frozen=True)
class Undivided:
    """Images before they are divided: everything that their division depends on.

    Attributes
    ----------
    labels : ndarray of shape (m,), int
        Indices of `classes`; -1 for an unlabelled image.
    classes : sequence of str
    given : ndarray of shape (m,), uint8
        The split each image comes with; `pipeline.data.splits.UNDIVIDED` if it has none.
    keys : sequence of m str
        The group key each image comes with; empty if it has none.
    digests : ndarray of shape (m, n_bytes), uint8
        Equal for equal pixels.
    thumbnail_of : ndarray of shape (n,), int
        The images large enough to be compared, ascending.
    thumbnails : ndarray of shape (n, 32, 32), uint8
        Their thumbnails; the array may be on disk.
    """

    labels: np.ndarray
    classes: Sequence[str]
    given: np.ndarray
    keys: Sequence[str]
    digests: np.ndarray
    thumbnail_of: np.ndarray
    thumbnails: np.ndarray


@dataclass(frozen=True)
class Division:
    """The split and the group of every image, and what was found on the way.

    Attributes
    ----------
    split : ndarray of shape (m,), uint8
        Values of `pipeline.data.splits.Split`.
    group : ndarray of shape (m,), int
        Equal for images of one group; -1 for an image in no group.
    equal : ndarray of shape (m,), int
        The index of the first image with equal pixels; -1 if there is no other.
    near : ndarray of shape (n, 2), int
        Pairs of near duplicates.
    leaks : list of ndarray of int
        Indices of each group that ready-made splits spread over several splits.
    conflicts : list of ndarray of int
        Indices of exact duplicates with several labels.
    random_split_leaks : int
        Held-out images with a related image in training, if the split were random and ignored groups.
    """

    split: np.ndarray
    group: np.ndarray
    equal: np.ndarray
    near: np.ndarray
    leaks: list[np.ndarray]
    conflicts: list[np.ndarray]
    random_split_leaks: int


def divide(images: Undivided, config: DataConfig, *, split: str = "", allow_small_classes: bool = False) -> Division:
    """Group and divide images.

    Parameters
    ----------
    images : Undivided
    config : DataConfig
    split : str
        Put every labelled image into this split; ``"given"``: leave it in the split it comes with, or in training.
    allow_small_classes : bool
        Accept classes that are too small to divide: images are added to a set that was divided before.

    Raises
    ------
    InputError
        If the images cannot be divided; see `pipeline.data.splits.make_split`.
    """
    m = len(images.labels)
    equal = groups_of_equals(images.digests)
    near = np.empty((0, 2), dtype=np.intp)
    if config.near_duplicates:
        near = near_pairs(equal, images.thumbnail_of, images.thumbnails)
    numbers = {"": -1}
    given_group = np.array([numbers.setdefault(key, len(numbers)) for key in images.keys], dtype=np.int64)
    group = merge(m, equal, star_groups(m, near), given_group)
    leaks: list[np.ndarray] = []
    if split:
        splits = _all_in_one(images, split)
    elif not len(images.classes):
        splits = np.full(m, Split.UNLABELLED, dtype=np.uint8)
    elif (images.given == UNDIVIDED).all():
        splits = make_split(images.labels, images.classes, config.shares, group)
    else:
        splits, leaks = _ready_made(images, group, config, allow_small_classes)
    return Division(
        split=splits,
        group=group,
        equal=equal,
        near=near,
        leaks=leaks,
        conflicts=conflicts(equal, images.labels),
        random_split_leaks=random_split_leaks(images.labels, len(images.classes), group, config),
    )


def random_split(labels: np.ndarray, n_classes: int, config: DataConfig) -> np.ndarray:
    """Return a random split that ignores groups, as most programs would make it. For comparison only."""
    start = np.where(labels < 0, Split.UNLABELLED, Split.TRAIN).astype(np.uint8)
    return complete_split(start, labels, n_classes, config.shares)


def random_split_leaks(labels: np.ndarray, n_classes: int, group: np.ndarray, config: DataConfig) -> int:
    """Count the held-out images of a random split (ignoring groups) with a related image in its training split."""
    if (group < 0).all():
        return 0
    splits = random_split(labels, n_classes, config)
    trained_on = np.unique(group[(splits == Split.TRAIN) & (group >= 0)])
    held_out = (splits == Split.VALIDATION) | (splits == Split.TEST)
    return int((held_out & np.isin(group, trained_on)).sum())


def _all_in_one(images: Undivided, split: str) -> np.ndarray:
    """Return the splits of images that are not divided: all in one split, or each in the split it comes with."""
    if split == "given":
        splits = np.where(images.given == UNDIVIDED, Split.TRAIN, images.given)
    else:
        splits = np.full(len(images.labels), Split.of(split))
    return np.where(images.labels < 0, Split.UNLABELLED, splits).astype(np.uint8)


def _ready_made(
    images: Undivided, group: np.ndarray, config: DataConfig, allow_small_classes: bool
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the splits of images that come with splits, and the groups that are spread over several of them."""
    splits = np.where(images.labels < 0, Split.UNLABELLED, images.given).astype(np.uint8)
    leaks = _spread_over_splits(splits, group)
    if config.drop_leaks:
        splits[leaked(splits, group)] = Split.DROPPED
    if allow_small_classes:
        return extend_split(splits, images.labels, len(images.classes), config.shares, group), leaks
    splits[splits == UNDIVIDED] = Split.TRAIN
    if len(np.unique(images.labels[splits == Split.TRAIN])) < 2:
        raise InputError(
            "the training split has fewer than two classes; a classifier needs at least two: one folder of images "
            "for each, in the folder train"
        )
    return complete_split(splits, images.labels, len(images.classes), config.shares, group), leaks


def _spread_over_splits(splits: np.ndarray, group: np.ndarray) -> list[np.ndarray]:
    """Return the indices of each group that is in more than one of training, validation and test, in that order."""
    sets = members(np.where(splits <= Split.TEST, group, -1))
    sets = [rows[np.argsort(splits[rows], kind="stable")] for rows in sets]
    return [rows for rows in sets if splits[rows[0]] != splits[rows[-1]]]
