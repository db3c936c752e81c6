"""Split examples into training, validation and test: stratified, seeded, and with every group on one side.

Pure functions of arrays. A group is whatever must not be torn apart: copies of one image, near duplicates, all
images of one person. scikit-learn's StratifiedGroupKFold cuts equal folds of whole groups; what is needed here is
three parts of given shares in which every class is present wherever it has enough images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.errors import InputError

# Unlabelled images have no class; dropped ones have, but are used for nothing.
SPLITS = ("train", "validation", "test", "unlabelled", "dropped")
TRAIN, VALIDATION, TEST, UNLABELLED, DROPPED = range(5)
OPEN = 255  # not divided yet


def split(
    labels: np.ndarray,
    classes: Sequence[str],
    *,
    validation: float,
    test: float,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Assign every example to a split.

    In every class the shares are met as closely as whole images allow; over all classes the totals are met. A class
    of two images (or two groups) has one for training and one for the test; from three on, every split has one.

    Parameters
    ----------
    labels : ndarray of shape (m,), int
        Class of each example, an index of `classes`; -1 where it is unlabelled.
    classes : sequence of str
        Names, for the messages.
    validation, test : float
        Shares of the examples, 0 to below 1; 0 for none.
    seed : int
        The same labels, groups and seed give the same split.
    groups : ndarray of shape (m,), int, optional
        Examples of the same number stay together; -1 where an example stands alone.

    Returns
    -------
    ndarray of shape (m,), uint8
        Indices of `SPLITS`.

    Raises
    ------
    InputError
        If fewer than two classes have examples, or a class cannot be in training and test both, naming it.
    """
    labels = np.asarray(labels)
    keys = _keys(len(labels), groups)
    _check_classes(labels, keys, classes, held_out=validation + test > 0)
    result = _assign(labels, keys, len(classes), (validation, test), seed)
    for part, share, words in ((TRAIN, 1.0, "to train on"), (TEST, test, "to test on")):
        lacking = [classes[c] for c in classes_without(result, labels, len(classes), part) if (labels == c).any()]
        if lacking and share:
            raise InputError(
                f"{_list(lacking)}: no images are left {words}, since images of one group stay together; "
                "group by something else, or add images of other groups"
            )
    return result


def extend(
    placed: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    *,
    validation: float,
    test: float,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Divide the examples that have no split yet; leave those that have where they are.

    An example whose group already has a split joins it. No class is refused: one that is too small is in training.

    Parameters
    ----------
    placed : ndarray of shape (m,), uint8
        Indices of `SPLITS`; `OPEN` where an example has none yet.
    labels, validation, test, seed, groups
        As in `split`.

    Returns
    -------
    ndarray of shape (m,), uint8
    """
    labels = np.asarray(labels)
    result = placed.copy()
    result[(placed == OPEN) & (labels < 0)] = UNLABELLED
    keys = _keys(len(labels), groups)
    settled = np.flatnonzero(result <= TEST)
    if len(settled):
        with_key, first = np.unique(keys[settled], return_index=True)
        rows = np.flatnonzero(result == OPEN)
        at = np.minimum(np.searchsorted(with_key, keys[rows]), len(with_key) - 1)
        known = with_key[at] == keys[rows]
        result[rows[known]] = result[settled[first[at[known]]]]
    rows = np.flatnonzero(result == OPEN)
    result[rows] = _assign(labels[rows], keys[rows], n_classes, (validation, test), seed)
    return result


def complete(
    given: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    *,
    validation: float,
    test: float,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Take the splits that a ready-made division lacks out of its training images; leave all others as given.

    Parameters
    ----------
    given : ndarray of shape (m,), uint8
        Indices of `SPLITS`.
    labels, validation, test, seed, groups
        As in `split`.

    Returns
    -------
    ndarray of shape (m,), uint8
    """
    validation = 0.0 if (given == VALIDATION).any() else validation
    test = 0.0 if (given == TEST).any() else test
    result = np.where(np.asarray(labels) < 0, UNLABELLED, given).astype(np.uint8)
    rows = np.flatnonzero(result == TRAIN)
    keys = _keys(len(result), groups)[rows]
    result[rows] = _assign(np.asarray(labels)[rows], keys, n_classes, (validation, test), seed)
    return result


def leaked(splits: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Find the training examples whose group also has an example in validation or test.

    Parameters
    ----------
    splits : ndarray of shape (m,), uint8
    groups : ndarray of shape (m,), int
        -1 where an example stands alone.

    Returns
    -------
    ndarray of int
        Indices, ascending.
    """
    held_out = np.unique(groups[((splits == VALIDATION) | (splits == TEST)) & (groups >= 0)])
    return np.flatnonzero((splits == TRAIN) & np.isin(groups, held_out))


def classes_without(splits: np.ndarray, labels: np.ndarray, n_classes: int, part: int) -> np.ndarray:
    """Return the indices of the classes that have no example in this part of the split."""
    return np.flatnonzero(np.bincount(labels[(splits == part) & (labels >= 0)], minlength=n_classes) == 0)


def _keys(m: int, groups: np.ndarray | None) -> np.ndarray:
    """Return a group number for every example: its own where it stands alone."""
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
            f"{_list(lonely)}: one image only, which cannot both train and test a classifier; "
            "add images, or take the class away"
        )
    if alone:
        raise InputError(
            f"{_list([classes[c] for c in alone])}: all images belong to one group (or are copies of one "
            "image), so none are left to test on; group by something else, or add other images"
        )


def _assign(labels: np.ndarray, keys: np.ndarray, n_classes: int, shares: tuple[float, float], seed: int) -> np.ndarray:
    """Place groups of several examples first, then fill every class up with the examples that stand alone."""
    result = np.full(len(labels), UNLABELLED, dtype=np.uint8)
    rows = np.flatnonzero(labels >= 0)
    rng = np.random.default_rng([seed, len(rows)])
    # (3, n_classes): the number of examples each split is still to get of each class
    wanted = _targets(np.bincount(labels[rows], minlength=n_classes), *shares, rng)
    targets = np.maximum(wanted, 1)
    several = _several(rows, keys)
    touched = [c for unit in several for c in set(labels[unit].tolist())]
    n_units = np.bincount(np.array(touched, dtype=int), minlength=n_classes)
    chance = rng.permutation(len(several))

    def turn(i: int) -> tuple[int, int, int]:
        """Let classes with few groups choose first; then the larger groups, which fit in fewest places."""
        return (int(n_units[labels[several[i]]].min()), -len(several[i]), int(chance[i]))

    for i in sorted(range(len(several)), key=turn):
        counts = np.bincount(labels[several[i]], minlength=n_classes)
        here = np.flatnonzero(counts)
        need = np.where(wanted[:, here] + targets[:, here] > 1, wanted[:, here] / targets[:, here], -1.0) @ counts[here]
        part = max((TRAIN, TEST, VALIDATION), key=lambda part: need[part])
        result[several[i]] = part
        wanted[part] -= counts
    single = rng.permutation(rows[result[rows] == UNLABELLED])
    for c in range(n_classes):
        mine = single[labels[single] == c]
        placed = np.bincount(result[labels == c], minlength=len(SPLITS))[:3]
        result[mine] = np.repeat(np.arange(3), _quotas(len(mine), np.maximum(wanted[:, c], 0), placed))
    return result


def _several(rows: np.ndarray, keys: np.ndarray) -> list[np.ndarray]:
    """Return the rows of every group that has more than one."""
    _, inverse, counts = np.unique(keys[rows], return_inverse=True, return_counts=True)
    chosen = counts[inverse] > 1
    rows, inverse = rows[chosen], inverse[chosen]
    order = np.argsort(inverse, kind="stable")
    return np.split(rows[order], np.flatnonzero(np.diff(inverse[order])) + 1) if len(rows) else []


def _targets(counts: np.ndarray, validation: float, test: float, rng: np.random.Generator) -> np.ndarray:
    """Return (3, n_classes) whole numbers: how many examples of each class go to each split."""
    targets = np.zeros((3, len(counts)), dtype=int)
    for part, share in ((VALIDATION, validation), (TEST, test)):
        exact = share * counts
        targets[part] = np.floor(exact)
        # What rounding down leaves over goes to the classes that lost most by it, so that the total is met.
        extra = round(exact.sum()) - targets[part].sum()
        lost = np.lexsort((rng.random(len(counts)), targets[part] - exact))
        targets[part, lost[:extra]] += 1
        smallest = 2 if part == TEST or not test else 3
        targets[part] = np.where((counts >= smallest) & (share > 0), np.maximum(targets[part], 1), 0)
    targets[TRAIN] = counts - targets[VALIDATION] - targets[TEST]
    for c in np.flatnonzero((targets[TRAIN] < 1) & (counts > 0)):
        part = VALIDATION if targets[VALIDATION, c] > 1 or targets[TEST, c] <= 1 else TEST
        targets[part, c] -= 1
        targets[TRAIN, c] += 1
    return targets


def _quotas(n: int, wanted: np.ndarray, placed: np.ndarray) -> np.ndarray:
    """Return how many of n single examples of a class each split gets, where `placed` are already there."""
    quotas = wanted.copy()
    keep = (placed == 0).astype(int)  # the last one of a split is given up last
    for floor in (keep, np.zeros(3, dtype=int)):
        for part in (TRAIN, VALIDATION, TEST) if floor is keep else (VALIDATION, TEST, TRAIN):
            give = min(max(quotas[part] - floor[part], 0), quotas.sum() - n)
            quotas[part] -= max(give, 0)
    quotas[TRAIN] += n - quotas.sum()
    return quotas


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(repr(str(name)) for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{'class' if len(names) == 1 else 'classes'} {shown}{more}"
