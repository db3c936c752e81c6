"""The scores of predictions: accuracy with its interval, log loss, figures per class, confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.activations import Array
from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.evaluation.abstention import Abstention

CONFIDENCE = 0.95

# Probabilities of shape (n_classes, m), labels of shape (m,), and the rows of the data set.
Predictions = tuple[Array, NDArray[np.integer], NDArray[np.integer]]


@dataclass(frozen=True)
class Evaluation:
    """What a classifier scored on images whose classes are known.

    Attributes
    ----------
    m : int
        Number of images.
    accuracy, low, high : float
        Share of correct predictions, and its 95% Wilson score interval.
    log_loss : float
        Mean of -log(probability given to the true class), natural logarithm; 0 is perfect.
    classes : tuple of str
    precision, recall, support : tuple
        One per class; support is its number of images.
    confusion : tuple of tuple of int
        Row: true class; column: predicted class.
    abstention : Abstention or None
        What abstaining does; None if it was not measured.
    """

    m: int
    accuracy: float
    low: float
    high: float
    log_loss: float
    classes: tuple[str, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    support: tuple[int, ...]
    confusion: tuple[tuple[int, ...], ...]
    abstention: Abstention | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def score(probabilities: Array, labels: NDArray[np.integer], classes: tuple[str, ...]) -> Evaluation:
    """Score predictions.

    Parameters
    ----------
    probabilities : ndarray of shape (n_classes, m)
    labels : ndarray of shape (m,), integer
    classes : tuple of str

    Raises
    ------
    InputError
        When there are no images.
    """
    from scipy.stats import binomtest
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    m = len(labels)
    if not m:
        raise InputError("there are no labelled images to evaluate on")
    predicted = probabilities.argmax(axis=0)
    correct = int(np.count_nonzero(predicted == labels))
    interval = binomtest(correct, m).proportion_ci(CONFIDENCE, method="wilson")
    numbers = np.arange(len(classes))
    precision, recall, _, support = precision_recall_fscore_support(labels, predicted, labels=numbers, zero_division=0)
    p_true = np.maximum(probabilities[labels, np.arange(m)].astype(np.float64), np.finfo(np.float32).tiny)
    return Evaluation(
        m=m,
        accuracy=correct / m,
        low=float(interval.low),
        high=float(interval.high),
        log_loss=float(-np.log(p_true).mean()),
        classes=classes,
        precision=tuple(map(float, precision)),
        recall=tuple(map(float, recall)),
        support=tuple(map(int, support)),
        confusion=tuple(tuple(map(int, row)) for row in confusion_matrix(labels, predicted, labels=numbers)),
    )


def most_confused(
    confusion: NDArray[np.integer] | Sequence[Sequence[int]], classes: Sequence[str], limit: int = 12
) -> list[tuple[str, str, int]]:
    """Return (true class, predicted class, number of images) of the most frequent confusions, at most `limit`."""
    pairs = [
        (classes[i], classes[j], int(n)) for i, row in enumerate(confusion) for j, n in enumerate(row) if i != j and n
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:limit]


def split_probabilities(classifier: ImageClassifier, dataset: Dataset, split: str) -> Predictions:
    """Classify the labelled images of one split, a batch at a time.

    Returns
    -------
    probabilities : ndarray of shape (n_classes, m)
    labels : ndarray of shape (m,)
    indices : ndarray of shape (m,)
        Rows of the data set.
    """
    indices = dataset.indices(split)
    parts = [classifier.probabilities(images) for images in dataset.iterate(indices)]
    probabilities = np.concatenate(parts, axis=1) if parts else np.empty((len(classifier.classes), 0), np.float32)
    return probabilities, dataset.labels[indices], indices
