"""Classify files: every file found becomes exactly one row, whatever is wrong with it.

Files are classified a chunk at a time (`pipeline.prediction.chunks`), with one thread of BLAS for each chunk: the rows
depend neither on timing nor on who works.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from model.activations import Array
from pipeline.classifier import ImageClassifier
from pipeline.files.stamps import Stamp
from pipeline.prediction.chunks import ItemChunk, pieces, split_into_chunks
from pipeline.prediction.inputs import DatasetSlice, Inputs, Item, ItemBatch
from pipeline.prediction.read import Loaded, load_items, load_slice
from pipeline.prediction.rows import Row, Rows, Status, utf8_column
from pipeline.workers import Divisible, Threads, Workers


@dataclass(frozen=True)
class Settings:
    """What rows look like.

    Attributes
    ----------
    topk : int
        Labels in a row; at most as many as the model has classes.
    threshold : float
        A row whose best probability is below the threshold abstains.
    uncertainty_threshold : float
        A row whose uncertainty (`ImageClassifier.classify_with_uncertainty`) is above the threshold abstains.
    only_classes : tuple of str
        Only the rows with one of these labels and without abstention are written; empty: all.
    format : str
        One of `pipeline.prediction.formats.OUTPUT_FORMATS`.
    """

    topk: int = 1
    threshold: float = 0.0
    uncertainty_threshold: float = math.inf
    only_classes: tuple[str, ...] = ()
    format: str = "csv"


class ClassifiedBatch(NamedTuple):
    """A batch that was classified: its rows, and the stamp of each file (of a data set: one stamp for all)."""

    rows: Rows
    stamps: list[Stamp]


def predict(
    classifier: ImageClassifier,
    items: Iterable[Item | DatasetSlice] | Sequence[str | Path] | str | Path,
    settings: Settings | None = None,
    workers: Workers | None = None,
) -> Iterator[Row]:
    """Classify files, one row each, in order, holding a few chunks in memory.

    Parameters
    ----------
    classifier : ImageClassifier
    items : iterable of Item and DatasetSlice
        Such as `pipeline.prediction.inputs.Inputs`; or paths, as the command takes them: files, folders, patterns.
    settings : Settings, optional
    workers : Workers, optional
        Who reads, decodes and classifies; default: two threads.
    """
    settings = settings or Settings()
    settings = replace(settings, topk=min(settings.topk, len(classifier.classes)))
    if isinstance(items, str | Path):
        items = [items]
    if isinstance(items, Sequence) and all(isinstance(item, str | Path) for item in items):
        items = Inputs([str(item) for item in items], classifier.classes, scale=classifier.geometry.scale)
    chunks = split_into_chunks(cast("Iterable[Item | DatasetSlice]", items), classifier.geometry.n_x)
    for _, done in (workers or Threads(2)).map(classify_chunk, (classifier, settings), chunks):
        yield from done.rows.only(settings.only_classes)


def read_piece(classifier: ImageClassifier, settings: Settings, items: ItemBatch) -> Loaded:
    """Read and decode some items of a chunk."""
    if isinstance(items, DatasetSlice):
        return load_slice(items, classifier.geometry)
    return load_items(items, classifier.geometry)


def classify_pieces(
    classifier: ImageClassifier, settings: Settings, chunk: ItemChunk, loaded: Sequence[Loaded]
) -> ClassifiedBatch:
    """Classify a chunk whose pieces have been read."""
    return classify_loaded(classifier, chunk.items, _join_loaded(loaded), settings)


classify_chunk = Divisible(pieces, read_piece, classify_pieces)


def classify_loaded(
    classifier: ImageClassifier, items: ItemBatch, loaded: Loaded, settings: Settings
) -> ClassifiedBatch:
    """Classify items that have been read; here alone is decided on what the classifier abstains."""
    m, topk = len(items), settings.topk
    good = np.ones(m, bool)
    good[list(loaded.errors)] = False
    statuses = np.full(m, Status.ERROR)
    labels, values = np.full((topk, m), -1), np.full((topk, m), np.nan, np.float32)
    if len(loaded.images):
        if settings.uncertainty_threshold < math.inf:
            probabilities, uncertainty = classifier.classify_with_uncertainty(loaded.images)
            abstains = uncertainty > settings.uncertainty_threshold
        else:
            probabilities = classifier.probabilities(loaded.images)
            abstains = np.zeros(len(loaded.images), bool)
        labels[:, good], values[:, good] = _rank(probabilities, topk)
        abstains |= values[0, good] < settings.threshold
        statuses[good] = np.where(abstains, Status.ABSTAIN, Status.OK)
    names, true_labels = (
        items.true_labels(classifier.classes)
        if isinstance(items, DatasetSlice)
        else true_labels_of(items, classifier.classes)
    )
    paths = items.names() if isinstance(items, DatasetSlice) else utf8_column(item.name for item in items)
    rows = Rows(paths, statuses, names, labels, values, true_labels, loaded.errors, loaded.digests, classifier.model_id)
    return ClassifiedBatch(rows, loaded.stamps)


def _rank(probabilities: Array, topk: int) -> tuple[NDArray[np.integer], Array]:
    """Return the `topk` most probable classes of each column and their probabilities; ties in the order of classes."""
    if topk == 1:
        order = probabilities.argmax(axis=0)[None]
    else:
        order = np.argsort(-probabilities, axis=0, kind="stable")[:topk]
    return order, np.take_along_axis(probabilities, order, axis=0)


def _join_loaded(parts: Sequence[Loaded]) -> Loaded:
    if len(parts) == 1:
        return parts[0]
    images, errors, digests, stamps = zip(*parts, strict=True)
    starts = itertools.accumulate(map(len, digests), initial=0)
    return Loaded(
        np.concatenate(images),
        {start + i: error for start, found in zip(starts, errors, strict=False) for i, error in found.items()},
        np.concatenate(digests),
        [*itertools.chain.from_iterable(stamps)],
    )


def true_labels_of(items: Sequence[Item], classes: tuple[str, ...]) -> tuple[tuple[str, ...], NDArray[np.integer]]:
    """Return `classes` followed by other labels of items, and the index of each item's label (or -1)."""
    number = {name: k for k, name in enumerate(classes)} | {"": -1}
    others: list[str] = []
    for item in items:
        if item.true_label not in number:
            number[item.true_label] = len(classes) + len(others)
            others.append(item.true_label)
    return (*classes, *others), np.array([number[item.true_label] for item in items])
