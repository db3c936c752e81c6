"""How good is a classifier? Accuracy with its interval, per-class figures, confusion matrix, and honest baselines."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.activations import Array
from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset, is_dataset
from pipeline.errors import InputError
from pipeline.evaluation.abstention import Abstention, measure_abstention
from pipeline.evaluation.test_time_augmentation import averaged_probabilities
from pipeline.files.walk import count
from pipeline.ingestion.ingest import ingest
from pipeline.sources.open import open_source

CONFIDENCE = 0.95
_BASELINE_BUDGET = 200_000_000  # pictures x pixels x classes given to the logistic regression: a few seconds


@dataclass(frozen=True)
class Evaluation:
    """What a classifier scored on pictures whose classes are known.

    Attributes
    ----------
    m : int
        Pictures.
    accuracy, low, high : float
        Share that was right, and its 95% Wilson score interval.
    log_loss : float
        Mean of -log(probability given to the true class), natural logarithm; 0 is perfect.
    classes : tuple of str
    precision, recall, support : tuple
        One per class; support is its number of pictures.
    confusion : tuple of tuple of int
        Row: true class; column: predicted class.
    abstention : Abstention or None
        What saying "I don't know" does, where that was measured.
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
        When there are no pictures.
    """
    from scipy.stats import binomtest
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    m = len(labels)
    if not m:
        raise InputError("there are no labelled pictures to evaluate on")
    predicted = probabilities.argmax(axis=0)
    correct = int(np.count_nonzero(predicted == labels))
    interval = binomtest(correct, m).proportion_ci(CONFIDENCE, method="wilson")
    names = np.arange(len(classes))
    precision, recall, _, support = precision_recall_fscore_support(labels, predicted, labels=names, zero_division=0)
    given = np.maximum(probabilities[labels, np.arange(m)].astype(np.float64), np.finfo(np.float32).tiny)
    return Evaluation(
        m=m,
        accuracy=correct / m,
        low=float(interval.low),
        high=float(interval.high),
        log_loss=float(-np.log(given).mean()),
        classes=classes,
        precision=tuple(map(float, precision)),
        recall=tuple(map(float, recall)),
        support=tuple(map(int, support)),
        confusion=tuple(tuple(map(int, row)) for row in confusion_matrix(labels, predicted, labels=names)),
    )


def evaluate(
    classifier: ImageClassifier,
    data: str | Path,
    *,
    split: str | None = None,
    include_seen: bool = False,
    views: int = 1,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Evaluation, list[str]]:
    """Score a classifier on labelled pictures that took no part in its training.

    Parameters
    ----------
    classifier : ImageClassifier
    data : str or Path
        A data set file, or any source of labelled pictures.
    split : str, optional
        ``"test"``, ``"validation"``, ``"train"`` or ``"all"``; by default the test pictures where there are splits,
        else all.
    include_seen : bool
        Also count pictures that took part in the training; otherwise they are left out, but for `split` "train" and
        "validation", which ask for them.
    views : int
        Average the answers over so many variations of each picture; see
        `pipeline.evaluation.test_time_augmentation`. Doubt is measured for 1 only.
    jobs, progress
        As in `pipeline.ingestion.ingest.ingest`.

    Returns
    -------
    evaluation : Evaluation
    notes : list of str
        What was left out, and why.

    Raises
    ------
    InputError
        When nothing is left to evaluate on, the pictures have another geometry, or a class is unknown to the model.
    """
    with _opened(classifier, data, jobs, progress) as (dataset, has_splits):
        if dataset.geometry != classifier.geometry:
            raise InputError(
                f"{data}: its pictures are {dataset.geometry.to_json()}, the model takes "
                f"{classifier.geometry.to_json()}; evaluate on the folder of pictures instead"
            )
        split = split or ("test" if has_splits else "all")
        if split != "all" and not has_splits:
            raise InputError(f"{data}: has no splits of its own; leave out --split")
        chosen = dataset.labels >= 0
        if split != "all":
            chosen &= np.isin(np.arange(len(dataset)), dataset.indices(split))
        rows, notes = np.flatnonzero(chosen), [f"{count(len(dataset.rejected), 'file')} could not be read"]
        if not dataset.rejected:
            notes.clear()
        if not include_seen and split not in ("train", "validation"):
            fresh = ~classifier.have_seen(dataset.sha256[rows])
            if not fresh.all():
                notes.append(
                    f"left out: {np.count_nonzero(~fresh):,} of {count(len(rows), 'picture')} took part in the training"
                )
            rows = rows[fresh]
        if not len(rows):
            raise InputError(f"{data}: no pictures are left to evaluate on ({'; '.join(notes) or 'none is labelled'})")
        unknown = sorted({dataset.classes[k] for k in np.unique(dataset.labels[rows])} - set(classifier.classes))
        if unknown:
            raise InputError(
                f"{data}: has pictures of {', '.join(unknown)}, which the model does not know; it knows "
                f"{', '.join(classifier.classes)}"
            )
        number = np.array([classifier.classes.index(c) if c in classifier.classes else -1 for c in dataset.classes])
        labels = number[dataset.labels[rows]]
        if classifier.calibration is None or views > 1:
            parts = [averaged_probabilities(classifier, part, views) for part in pictures(dataset, rows)]
            return score(np.concatenate(parts, axis=1), labels, classifier.classes), notes
        judged = [classifier.judge(part) for part in pictures(dataset, rows)]
        probabilities = np.concatenate([part for part, _ in judged], axis=1)
        doubt = np.concatenate([part for _, part in judged])
        abstention = measure_abstention(classifier, doubt, probabilities.argmax(axis=0) == labels)
        return replace(score(probabilities, labels, classifier.classes), abstention=abstention), notes


@contextmanager
def _opened(
    classifier: ImageClassifier, data: str | Path, jobs: int, progress: Callable[[int, int], None] | None
) -> Iterator[tuple[Dataset, bool]]:
    """Open a data set, or ingest a source into a temporary one; tell whether it has splits."""
    if is_dataset(data):
        with Dataset.open(data) as dataset:
            yield dataset, True
        return
    source = open_source(data)
    with TemporaryDirectory(prefix="facette-") as folder:
        target = Path(folder) / "data.h5"
        into = "given" if source.ready_made else "test"
        ingest(source, target, geometry=classifier.geometry, into=into, jobs=jobs, progress=progress)
        with Dataset.open(target) as dataset:
            yield dataset, source.ready_made


def split_probabilities(
    classifier: ImageClassifier, dataset: Dataset, split: str
) -> tuple[Array, NDArray[np.integer], NDArray[np.integer]]:
    """Classify the labelled pictures of one split, a part at a time.

    Returns
    -------
    probabilities : ndarray of shape (n_classes, m)
    labels : ndarray of shape (m,)
    indices : ndarray of shape (m,)
        Rows of the data set.
    """
    indices = dataset.indices(split)
    parts = [classifier.probabilities(images) for images in pictures(dataset, indices)]
    probabilities = np.concatenate(parts, axis=1) if parts else np.empty((len(classifier.classes), 0), np.float32)
    return probabilities, dataset.labels[indices], indices


def pictures(dataset: Dataset, indices: NDArray[np.integer], size: int = 1024) -> Iterator[np.ndarray]:
    """Yield the pictures of some rows (ascending) of a data set, at most `size` at a time."""
    for start in range(0, len(indices), size):
        yield dataset.take(indices[start : start + size])


@dataclass(frozen=True)
class Baseline:
    """What a simple method reaches on the same split; `note` says what it is."""

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
    """Score two simple methods, fitted on the training split, on another split of the same data.

    The majority class, and a logistic regression on standardised pixels. The latter gets only as many training pictures
    as a few seconds allow, and says so.
    """
    from sklearn.linear_model import LogisticRegression

    train, test = dataset.indices("train"), dataset.indices(split)
    labels, truth = dataset.labels[train], dataset.labels[test]
    majority = int(np.bincount(labels).argmax())
    found = [Baseline("majority class", float(np.mean(truth == majority)), f"always says {dataset.classes[majority]}")]
    n_x = dataset.geometry.n_x
    allowed = max(2000, _BASELINE_BUDGET // (n_x * len(dataset.classes)))
    chosen = train
    if len(train) > allowed:
        chosen = _sample_of_each_class(train, labels, allowed)
    X_train = np.concatenate(list(pictures(dataset, chosen))).reshape(len(chosen), n_x).astype(np.float32)
    mean, spread = X_train.mean(axis=0), max(float(X_train.std()), 1.0)
    X_train -= mean
    X_train /= spread
    model = LogisticRegression(C=0.01, max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged in 200 iterations is good enough for a baseline
        model.fit(X_train, dataset.labels[chosen])
    right = 0
    for part, part_truth in zip(pictures(dataset, test), np.split(truth, range(1024, len(truth), 1024)), strict=True):
        X = (part.reshape(len(part), n_x).astype(np.float32) - mean) / spread
        right += int(np.count_nonzero(model.predict(X) == part_truth))
    trained_on = f"on {len(chosen):,} of {len(train):,} training pictures" if len(chosen) < len(train) else "on pixels"
    found.append(Baseline("logistic regression", right / max(len(test), 1), trained_on))
    return found
