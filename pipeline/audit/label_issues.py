"""Find images whose labels may be wrong: those with the highest losses, and duplicates with different labels.

Nothing is changed here: `pipeline.audit.corrections` writes down what a person decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.data.duplicates import groups_of_equals, near_pairs, star_groups
from pipeline.data.grouping import members, merge
from pipeline.errors import InputError

HELD_OUT = ("test", "validation")


class LabelIssue(NamedTuple):
    """An image with a high loss.

    `row` is its index in the data set; `label` its class there; `prediction` the class that the classifier predicts,
    with `probability`; `loss` is -log of the probability of its label, 0 or more.
    """

    row: int
    label: str
    prediction: str
    probability: float
    loss: float


def top_losses(
    classifier: ImageClassifier, dataset: Dataset, splits: Sequence[str] = HELD_OUT, limit: int = 200
) -> list[LabelIssue]:
    """Return the labelled images with the highest losses, the highest first.

    Parameters
    ----------
    classifier : ImageClassifier
    dataset : Dataset
        Its geometry must be the classifier's, and its classes among the classifier's.
    splits : sequence of str
        The splits to look in. A network overfits its training images, wrong labels included, so these say less.
    limit : int
        The largest number of images to return.

    Raises
    ------
    InputError
        If the data set has images of another shape, or a class the classifier does not know.
    """
    if dataset.geometry != classifier.geometry:
        raise InputError("The model takes images of another size or colour than this data set has.")
    unknown = [name for name in dataset.classes if name not in classifier.classes]
    if unknown:
        raise InputError(f"The model does not know {unknown[0]!r}, a class of this data set.")
    number = np.array([classifier.classes.index(name) for name in dataset.classes])
    rows = np.sort(np.concatenate([dataset.indices(split) for split in splits]))
    rows = rows[dataset.labels[rows] >= 0]
    labels = number[dataset.labels[rows]]
    if not len(rows):
        return []
    predictions, best, own = (np.empty(len(rows), kind) for kind in (np.intp, np.float64, np.float64))
    done = 0
    for part in dataset.iterate(rows):
        probabilities = classifier.probabilities(part)  # (n_classes, k)
        k, columns = slice(done, done + len(part)), np.arange(len(part))
        predictions[k] = probabilities.argmax(axis=0)
        best[k] = probabilities.max(axis=0)
        own[k] = probabilities[labels[k], columns]
        done += len(part)
    losses = -np.log(np.maximum(own, np.finfo(np.float32).tiny))
    worst = np.argsort(-losses, kind="stable")[:limit]
    names = classifier.classes
    return [
        LabelIssue(int(rows[i]), names[labels[i]], names[predictions[i]], float(best[i]), float(losses[i]))
        for i in worst
    ]


def duplicate_sets(dataset: Dataset) -> list[np.ndarray]:
    """Return sets of exact and near duplicates: the rows of each, ascending.

    Sets with several labels come first, then sets in several splits. Near duplicates are looked for only among images
    large enough to have a thumbnail.
    """
    equal = groups_of_equals(dataset.digests())
    near = near_pairs(equal, *dataset.thumbnails())
    sets = members(merge(len(dataset), equal, star_groups(len(dataset), near)))
    return sorted(sets, key=lambda rows: (not _differ(dataset.labels[rows]), not _differ(dataset.split[rows])))


def _differ(values: np.ndarray) -> bool:
    return bool((values != values[0]).any())
