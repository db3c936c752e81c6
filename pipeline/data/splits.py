"""Split examples into training, validation and test: stratified, seeded, and with every group in one split.

Pure functions of arrays. A group is a set of examples that must stay together: exact duplicates, near duplicates, all
images of one person. scikit-learn's StratifiedGroupKFold makes equal folds of whole groups; what is needed here is
three splits of given shares, with every class in each of them if it has enough images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from pipeline.data.grouping import members
from pipeline.errors import InputError
from pipeline.text import shortened


class Split(IntEnum):
    """The split of an image, as a data set file stores it.

    Unlabelled images have no class; dropped images have one, but are used for nothing.
    """

    TRAIN = 0
    VALIDATION = 1
    TEST = 2
    UNLABELLED = 3
    DROPPED = 4

    @property
    def label(self) -> str:
        """Return the name of the split, as people write it: ``"train"``."""
        return self.name.lower()

    @classmethod
    def of(cls, label: str) -> Split:
        """Return the split of this name.

        Raises
        ------
        InputError
            If there is no split of this name.
        """
        for split in cls:
            if split.label == label:
                return split
        raise InputError(f"split {label!r} is unknown; choose one of {', '.join(split.label for split in cls)}")


LABELLED_SPLITS = (Split.TRAIN, Split.VALIDATION, Split.TEST)  # what labelled images are divided into
UNDIVIDED = 255  # stands in place of a split for an image that is still to be divided


@dataclass(frozen=True)
class Shares:
    """How to divide examples: the shares of validation and test, each 0 to below 1, and the random seed.

    The same examples, shares and seed give the same split.
    """

    validation: float
    test: float
    seed: int = 0


def make_split(
    labels: np.ndarray, classes: Sequence[str], shares: Shares, groups: np.ndarray | None = None
) -> np.ndarray:
    """Assign every example to a split.

    In every class the shares are met as closely as whole images allow; over all classes the totals are met. A class
    of two images (or two groups) has one for training and one for the test; from three on, every split has one.

    Parameters
    ----------
    labels : ndarray of shape (m,), int
        Class of each example, an index of `classes`; -1 if it is unlabelled.
    classes : sequence of str
        Names, for the messages.
    shares : Shares
    groups : ndarray of shape (m,), int, optional
        Examples of the same number stay together; -1 for an example in no group.

    Returns
    -------
    ndarray of shape (m,), uint8
        Values of `Split`.

    Raises
    ------
    InputError
        If fewer than two classes have examples, or a class cannot be in both training and test; it names the class.
    """
    labels = np.asarray(labels)
    keys = _numbered(len(labels), groups)
    _check_classes(labels, keys, classes, held_out=shares.validation + shares.test > 0)
    result = _assign_splits(labels, keys, len(classes), shares)
    for split, share, purpose in ((Split.TRAIN, 1.0, "to train on"), (Split.TEST, shares.test, "to test on")):
        lacking = [classes[c] for c in classes_without(result, labels, len(classes), split) if (labels == c).any()]
        if lacking and share:
            raise InputError(
                f"{_quoted(lacking)}: no images are left {purpose}, since images of one group stay together; "
                "group by something else, or add images of other groups"
            )
    return result


def extend_split(
    placed: np.ndarray, labels: np.ndarray, n_classes: int, shares: Shares, groups: np.ndarray | None = None
) -> np.ndarray:
    """Divide the examples that have no split yet; leave all others where they are.

    An example whose group already has a split joins it. No class is too small: if need be, all of it is in training.

    Parameters
    ----------
    placed : ndarray of shape (m,), uint8
        Values of `Split`; `UNDIVIDED` for an example that has none yet.
    labels, shares, groups
        As in `make_split`.

    Returns
    -------
    ndarray of shape (m,), uint8
    """
    labels = np.asarray(labels)
    result = placed.copy()
    result[(placed == UNDIVIDED) & (labels < 0)] = Split.UNLABELLED
    keys = _numbered(len(labels), groups)
    settled = np.flatnonzero(result <= Split.TEST)
    if len(settled):
        with_key, first = np.unique(keys[settled], return_index=True)
        rows = np.flatnonzero(result == UNDIVIDED)
        at = np.minimum(np.searchsorted(with_key, keys[rows]), len(with_key) - 1)
        known = with_key[at] == keys[rows]
        result[rows[known]] = result[settled[first[at[known]]]]
    rows = np.flatnonzero(result == UNDIVIDED)
    result[rows] = _assign_splits(labels[rows], keys[rows], n_classes, shares)
    return result


def complete_split(
    given: np.ndarray, labels: np.ndarray, n_classes: int, shares: Shares, groups: np.ndarray | None = None
) -> np.ndarray:
    """Take the splits that are not given out of the training images; leave all other images as given.

    Parameters
    ----------
    given : ndarray of shape (m,), uint8
        Values of `Split`.
    labels, shares, groups
        As in `make_split`.

    Returns
    -------
    ndarray of shape (m,), uint8
    """
    shares = Shares(
        validation=0.0 if (given == Split.VALIDATION).any() else shares.validation,
        test=0.0 if (given == Split.TEST).any() else shares.test,
        seed=shares.seed,
    )
    result = np.where(np.asarray(labels) < 0, Split.UNLABELLED, given).astype(np.uint8)
    rows = np.flatnonzero(result == Split.TRAIN)
    keys = _numbered(len(result), groups)[rows]
    result[rows] = _assign_splits(np.asarray(labels)[rows], keys, n_classes, shares)
    return result


def leaked(splits: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Find the training examples whose group also has an example in validation or test.

    Parameters
    ----------
    splits : ndarray of shape (m,), uint8
    groups : ndarray of shape (m,), int
        -1 for an example in no group.

    Returns
    -------
    ndarray of int
        Indices, ascending.
    """
    held_out = (splits == Split.VALIDATION) | (splits == Split.TEST)
    groups_held_out = np.unique(groups[held_out & (groups >= 0)])
    return np.flatnonzero((splits == Split.TRAIN) & np.isin(groups, groups_held_out))


def classes_without(splits: np.ndarray, labels: np.ndarray, n_classes: int, split: Split) -> np.ndarray:
    """Return the indices of the classes that have no example in this split."""
    return np.flatnonzero(np.bincount(labels[(splits == split) & (labels >= 0)], minlength=n_classes) == 0)


def _numbered(m: int, groups: np.ndarray | None) -> np.ndarray:
    """Return a group number for every example: a number of its own if it is in no group."""
    if groups is None:
        return np.arange(m)
    return np.where(groups >= 0, groups, np.arange(m) + groups.max(initial=-1) + 1)


def _check_classes(labels: np.ndarray, keys: np.ndarray, classes: Sequence[str], *, held_out: bool) -> None:
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    present = np.flatnonzero(counts).tolist()
    if len(present) < 2:
        found = f"only one class, {classes[present[0]]!r}" if len(present) else "no labelled images"
        raise InputError(f"found {found}; a classifier needs at least two classes: one folder of images for each")
    if not held_out:
        return
    pairs = np.unique(np.stack([labels, keys])[:, labels >= 0], axis=1)
    n_units = np.bincount(pairs[0], minlength=len(classes))
    alone = [c for c in present if n_units[c] == 1]
    lonely = [classes[c] for c in alone if counts[c] == 1]
    if lonely:
        raise InputError(
            f"{_quoted(lonely)}: one image only, which cannot both train and test a classifier; "
            "add images, or remove the class"
        )
    if alone:
        raise InputError(
            f"{_quoted([classes[c] for c in alone])}: all images belong to one group (or are duplicates of one "
            "image), so none are left to test on; group by something else, or add other images"
        )


def _assign_splits(labels: np.ndarray, keys: np.ndarray, n_classes: int, shares: Shares) -> np.ndarray:
    """Place groups of several examples first, then fill every class up with the single examples.

    A group goes to the split that lacks most of what the group brings. The lack of a split is the part of its target
    that is still missing: 1 if it has nothing yet, 0 if it is full, below 0 if it is overfull, and -1 if it has twice
    its target or should have none at all. Each example of the group counts the lack for its class.

    An example: one class, targets (train, validation, test) = (7, 1, 2), groups of 4 and 3, and 3 single examples.
    The group of 4 finds all splits empty and goes to training (the first of equals), which then lacks 3/7. The group
    of 3 goes to the test, which lacks 1, and is overfull then. The 3 single ones are shared out by `_quotas`: 2 to
    training, 1 to validation.
    """
    result = np.full(len(labels), Split.UNLABELLED, dtype=np.uint8)
    rows = np.flatnonzero(labels >= 0)
    rng = np.random.default_rng([shares.seed, len(rows)])
    # (3, n_classes): the number of examples each split is still to get of each class
    wanted = _targets(np.bincount(labels[rows], minlength=n_classes), shares, rng)
    targets = np.maximum(wanted, 1)
    several = _groups_of_several(rows, keys)
    touched = [c for unit in several for c in set(labels[unit].tolist())]
    n_units = np.bincount(np.array(touched, dtype=int), minlength=n_classes)
    chance = rng.permutation(len(several))

    def turn(i: int) -> tuple[int, int, int]:
        """Let classes with few groups choose first; then the larger groups, which fit into the fewest splits."""
        return (int(n_units[labels[several[i]]].min()), -len(several[i]), int(chance[i]))

    for i in sorted(range(len(several)), key=turn):
        counts = np.bincount(labels[several[i]], minlength=n_classes)
        here = np.flatnonzero(counts)
        lack = np.where(wanted[:, here] + targets[:, here] > 1, wanted[:, here] / targets[:, here], -1.0) @ counts[here]
        split = max((Split.TRAIN, Split.TEST, Split.VALIDATION), key=lambda split: lack[split])
        result[several[i]] = split
        wanted[split] -= counts
    single = rng.permutation(rows[result[rows] == Split.UNLABELLED])
    for c in range(n_classes):
        mine = single[labels[single] == c]
        placed = np.bincount(result[labels == c], minlength=len(Split))[: len(LABELLED_SPLITS)]
        result[mine] = np.repeat(LABELLED_SPLITS, _quotas(len(mine), np.maximum(wanted[:, c], 0), placed))
    return result


def _groups_of_several(rows: np.ndarray, keys: np.ndarray) -> list[np.ndarray]:
    """Return the rows of every group that has more than one."""
    _, inverse, counts = np.unique(keys[rows], return_inverse=True, return_counts=True)
    return [rows[part] for part in members(np.where(counts[inverse] > 1, inverse, -1))]


def _targets(counts: np.ndarray, shares: Shares, rng: np.random.Generator) -> np.ndarray:
    """Return (3, n_classes) whole numbers: how many examples of each class go to each split.

    An example: 40 classes of 10 images, of which 15 % are for validation. That is 1.5 images a class and 60 in all.
    Every class gives 1, and 20 classes, chosen by `rng`, give another one. Where a share is more than 0, a class of
    two or more gives at least 1 to the test, and a class of three or more at least 1 to validation, too.
    """
    targets = np.zeros((3, len(counts)), dtype=int)
    for split, share in ((Split.VALIDATION, shares.validation), (Split.TEST, shares.test)):
        exact = share * counts
        targets[split] = np.floor(exact)
        # What rounding down leaves over goes to the classes that lost most by it, so that the total is met.
        extra = round(exact.sum()) - targets[split].sum()
        lost = np.lexsort((rng.random(len(counts)), targets[split] - exact))
        targets[split, lost[:extra]] += 1
        smallest = 2 if split == Split.TEST or not shares.test else 3
        targets[split] = np.where((counts >= smallest) & (share > 0), np.maximum(targets[split], 1), 0)
    targets[Split.TRAIN] = counts - targets[Split.VALIDATION] - targets[Split.TEST]
    for c in np.flatnonzero((targets[Split.TRAIN] < 1) & (counts > 0)):
        split = Split.VALIDATION if targets[Split.VALIDATION, c] > 1 or targets[Split.TEST, c] <= 1 else Split.TEST
        targets[split, c] -= 1
        targets[Split.TRAIN, c] += 1
    return targets


def _quotas(n: int, wanted: np.ndarray, placed: np.ndarray) -> np.ndarray:
    """Return how many of n single examples of a class each split gets; `placed` counts what each has of the class.

    If the splits want more than n, training gives up first, and a split that has nothing of the class keeps its last
    one as long as it can. An example: 3 examples, wanted (train, validation, test) = (3, 1, 0), placed (4, 0, 3). One
    is too many: training gives it up, and the quotas are (2, 1, 0).
    """
    quotas = wanted.copy()
    keep = (placed == 0).astype(int)
    for floor in (keep, np.zeros(3, dtype=int)):
        first = (Split.TRAIN, Split.VALIDATION, Split.TEST)
        for split in first if floor is keep else (Split.VALIDATION, Split.TEST, Split.TRAIN):
            give = min(max(quotas[split] - floor[split], 0), quotas.sum() - n)
            quotas[split] -= max(give, 0)
    quotas[Split.TRAIN] += n - quotas.sum()
    return quotas


def _quoted(names: Sequence[str]) -> str:
    return f"{'class' if len(names) == 1 else 'classes'} {shortened([repr(str(name)) for name in names])}"
