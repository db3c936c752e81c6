"""Images of a data set worth a second look: those a classifier gets most wrong, and those that look alike.

A classifier's highest losses are where wrong labels gather; copies with different labels contradict each other.
Nothing is changed here: `pipeline.audit.corrections` writes down what a person decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.data.duplicates import groups_of_equals, merge, star_groups
from pipeline.data.grouping import near_pairs
from pipeline.errors import InputError

HELD_OUT = ("test", "validation")


class LabelIssue(NamedTuple):
    """An image with a high loss.

    `row` is its place in the data set; `label` the class it bears; `prediction` what the classifier takes it for, with
    `probability`; `loss` is -log of the probability of its label, 0 or more.
    """

    row: int
    label: str
    prediction: str
    probability: float
    loss: float


def top_losses(
    classifier: ImageClassifier, dataset: Dataset, splits: Sequence[str] = HELD_OUT, limit: int = 200
) -> list[LabelIssue]:
    """Return the labelled images that the classifier finds least likely to be what they are labelled, worst first.

    Parameters
    ----------
    classifier : ImageClassifier
    dataset : Dataset
        Of the classifier's geometry and classes.
    splits : sequence of str
        Where to look. Images of the training are learnt by heart, wrong labels too, so they say less.
    limit : int
        At most so many.

    Raises
    ------
    InputError
        When the data set has images of another shape, or a class the classifier does not know.
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
        k, places = slice(done, done + len(part)), np.arange(len(part))
        predictions[k] = probabilities.argmax(axis=0)
        best[k] = probabilities.max(axis=0)
        own[k] = probabilities[labels[k], places]
        done += len(part)
    losses = -np.log(np.maximum(own, np.finfo(np.float32).tiny))
    worst = np.argsort(-losses, kind="stable")[:limit]
    names = classifier.classes
    return [
        LabelIssue(int(rows[i]), names[labels[i]], names[predictions[i]], float(best[i]), float(losses[i]))
        for i in worst
    ]


def duplicate_sets(dataset: Dataset) -> list[np.ndarray]:
    """Return sets of images that are the same, or nearly: the rows of each, ascending.

    Sets whose images bear several labels come first, then those that lie in several splits. Only images large
    enough to have a thumbnail are compared for being nearly the same.
    """
    equal = groups_of_equals(dataset.digests())
    near = near_pairs(equal, dataset.thumbnails())
    group = merge(len(dataset), equal, star_groups(len(dataset), near))
    rows = np.flatnonzero(group >= 0)
    rows = rows[np.argsort(group[rows], kind="stable")]
    sets = [part for part in np.split(rows, np.flatnonzero(np.diff(group[rows])) + 1) if len(part)]
    return sorted(sets, key=lambda part: (not _differ(dataset.labels[part]), not _differ(dataset.split[part])))


def _differ(values: np.ndarray) -> bool:
    return bool((values != values[0]).any())
