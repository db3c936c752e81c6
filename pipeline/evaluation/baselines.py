"""Baselines: simple methods on the same splits, to compare a classifier with."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import Dataset

MAJORITY_CLASS, LOGISTIC_REGRESSION = "majority class", "logistic regression"
_BASELINE_BUDGET = 200_000_000  # images x pixels x classes that the logistic regression fits in a few seconds

_MOST_ITERATIONS, _USUAL_PASSES = 200, 350  # passes over the images, as measured
_ROWS_TO_TIME = 1024


@dataclass(frozen=True)
class Baseline:
    """The accuracy of a baseline on the same split; `note` says how it was obtained."""

    name: str
    accuracy: float
    note: str


def _sample_of_each_class(rows: NDArray[np.integer], labels: NDArray[np.integer], size: int) -> NDArray[np.integer]:
    """Draw about `size` rows, the same share of each class and at least one, ascending."""
    rng, share = np.random.default_rng(0), size / len(rows)
    parts = [rows[labels == label] for label in np.unique(labels)]
    drawn = [rng.choice(part, max(1, int(share * len(part))), replace=False) for part in parts]
    return np.sort(np.concatenate(drawn))


def baselines(dataset: Dataset, split: str) -> list[Baseline]:
    """Fit two baselines on the training split, and score them on another split of the same data.

    They are the majority class, and a logistic regression on standardised pixels. The regression gets only as many
    training images as it can fit in a few seconds; its note says how many.
    """
    from sklearn.linear_model import LogisticRegression

    train, test = dataset.indices("train"), dataset.indices(split)
    labels, truth = dataset.labels[train], dataset.labels[test]
    majority = int(np.bincount(labels).argmax())
    found = [
        Baseline(MAJORITY_CLASS, float(np.mean(truth == majority)), f"always predicts {dataset.classes[majority]}")
    ]
    n_x, allowed = dataset.geometry.n_x, _most_images(dataset)
    chosen = train
    if len(train) > allowed:
        chosen = _sample_of_each_class(train, labels, allowed)
    X_train = np.concatenate(list(dataset.iterate(chosen))).reshape(len(chosen), n_x).astype(np.float32)
    mean, std = X_train.mean(axis=0), max(float(X_train.std()), 1.0)
    X_train -= mean
    X_train /= std
    model = LogisticRegression(C=0.01, max_iter=_MOST_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged after all iterations is good enough for a baseline
        model.fit(X_train, dataset.labels[chosen])
    n_correct = 0
    for part, part_truth in zip(dataset.iterate(test), np.split(truth, range(1024, len(truth), 1024)), strict=True):
        X = (part.reshape(len(part), n_x).astype(np.float32) - mean) / std
        n_correct += int(np.count_nonzero(model.predict(X) == part_truth))
    trained_on = f"on {len(chosen):,} of {len(train):,} training images" if len(chosen) < len(train) else "on pixels"
    found.append(Baseline(LOGISTIC_REGRESSION, n_correct / max(len(test), 1), trained_on))
    return found


def estimate_baseline_seconds(dataset: Dataset) -> float:
    """Time the matrix products of a pass over the images, and return about how long the logistic regression takes."""
    m = min(len(dataset.indices("train")), _most_images(dataset))
    n_x, n_classes, rows = dataset.geometry.n_x, len(dataset.classes), min(m, _ROWS_TO_TIME)
    X, W = np.ones((rows, n_x), np.float32), np.zeros((n_x, n_classes), np.float32)
    begin = time.perf_counter()
    X.T @ (X @ W)
    return _USUAL_PASSES * m / rows * (time.perf_counter() - begin)


def _most_images(dataset: Dataset) -> int:
    """Return how many training images the logistic regression can fit in a few seconds."""
    return max(2000, _BASELINE_BUDGET // (dataset.geometry.n_x * len(dataset.classes)))
