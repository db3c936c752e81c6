"""Classify files: every file found becomes exactly one row, whatever is wrong with it.

Batches are cut by input index; threads read and decode their images, and one of them classifies the batch as a
whole, with one thread of BLAS: what comes out depends neither on timing nor on the number of threads.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.activations import Array
from pipeline.classifier import ImageClassifier
from pipeline.files.stamps import Stamp
from pipeline.prediction.formats import WRITERS, write_csv, write_jsonl
from pipeline.prediction.inputs import DatasetSlice, Item, ItemBatch, find_items
from pipeline.prediction.read import Loaded, load_items, load_slice
from pipeline.prediction.rows import ABSTAIN, ERROR, OK, Row, Rows, Tally, columns, utf8_column

__all__ = ["WRITERS", "Item", "Row", "Tally", "columns", "find_items", "predict", "write_csv", "write_jsonl"]

BATCH_BYTES = 1 << 23  # of images in a batch; large matrix products pay, but

FILES_IN_BATCH, IMAGES_IN_BATCH = (64, 256), (64, 4096)  # at least and at most; those of a data set cost less to read

PIECE = 8  # files that a thread reads at a time

AHEAD = 16  # batches a thread may be ahead of the rows that are written: what waits is rows, not images

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """What rows look like.

    Attributes
    ----------
    topk : int
        Labels a row.
    threshold : float
        A row whose best probability is below abstains.
    uncertainty_threshold : float
        A row whose doubt (`ImageClassifier.classify_with_uncertainty`) is above abstains.
    only : tuple of str
        Only the rows that are sure of one of these classes are written; empty: all.
    format : str
        One of `pipeline.prediction.formats.FORMATS`.
    """

    topk: int = 1
    threshold: float = 0.0
    uncertainty_threshold: float = math.inf
    only: tuple[str, ...] = ()
    format: str = "csv"


class ClassifiedBatch(NamedTuple):
    """A batch that was classified: its rows, and the stamp of each file (of a data set: one stamp for all)."""

    rows: Rows
    stamps: list[Stamp]


def predict(
    classifier: ImageClassifier,
    items: Iterable[Item | DatasetSlice],
    *,
    topk: int = 1,
    jobs: int = 2,
    threshold: float = 0.0,
    uncertainty_threshold: float = math.inf,
) -> Iterator[Row]:
    """Classify files, one row each, in order, holding a few batches in memory.

    Parameters
    ----------
    classifier : ImageClassifier
    items : iterable of Item and Run
    topk, threshold, doubt_limit
        See `Settings`.
    jobs : int
        Threads that read, decode and classify.
    """
    settings = Settings(min(topk, len(classifier.classes)), threshold, uncertainty_threshold)
    for batch in classify_all(classifier, item_batches(items, classifier), settings, jobs, lambda _, done: done):
        yield from batch.rows


def classify_all(
    classifier: ImageClassifier,
    parts: Iterable[ItemBatch],
    settings: Settings,
    jobs: int,
    finish: Callable[[ItemBatch, ClassifiedBatch], T],
) -> Iterator[T]:
    """Classify batches in threads and yield what `finish` makes of each, in order, as soon as they are ready.

    Never more than a few batches ahead. ImageArray are read a few at a time, so that all threads have work even where
    there are few and large ones.
    """
    waiting: deque[Future[T]] = deque()

    def together(batch: Sequence[Item], loads: Sequence[Future[Loaded]]) -> T:
        return finish(
            batch, classify_loaded(classifier, batch, _joined([load_items.result() for load_items in loads]), settings)
        )

    with ThreadPoolExecutor(jobs, thread_name_prefix="predict") as threads:
        try:
            for batch in parts:
                if isinstance(batch, DatasetSlice):
                    waiting.append(
                        threads.submit(lambda batch: finish(batch, classify(classifier, batch, settings)), batch)
                    )
                else:
                    loads = [
                        threads.submit(load_items, batch[at : at + PIECE], classifier.geometry)
                        for at in range(0, len(batch), PIECE)
                    ]  # begun before what waits for them: the threads take tasks in order
                    waiting.append(threads.submit(together, batch, loads))
                while waiting and (waiting[0].done() or len(waiting) > AHEAD * jobs):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def item_batches(items: Iterable[Item | DatasetSlice], classifier: ImageClassifier) -> Iterator[ItemBatch]:
    """Cut a stream into batches: runs by themselves, and the items between them by their place."""
    n_files, n_images = (
        max(least, min(most, BATCH_BYTES // classifier.geometry.n_x))
        for least, most in (FILES_IN_BATCH, IMAGES_IN_BATCH)
    )
    batch: list[Item] = []
    for item in items:
        if batch and (len(batch) == n_files or isinstance(item, DatasetSlice)):
            yield batch
            batch = []
        if isinstance(item, DatasetSlice):
            yield from (item[at : at + n_images] for at in range(0, len(item), n_images))
        else:
            batch.append(item)
    if batch:
        yield batch


def classify(classifier: ImageClassifier, items: ItemBatch, settings: Settings) -> ClassifiedBatch:
    """Read, decode and classify one batch."""
    loaded = (
        load_slice(items, classifier.geometry)
        if isinstance(items, DatasetSlice)
        else load_items(items, classifier.geometry)
    )
    return classify_loaded(classifier, items, loaded, settings)


def classify_loaded(
    classifier: ImageClassifier, items: ItemBatch, loaded: Loaded, settings: Settings
) -> ClassifiedBatch:
    """Classify one batch that has been read."""
    m, topk = len(items), settings.topk
    good = np.ones(m, bool)
    good[list(loaded.errors)] = False
    statuses = np.full(m, ERROR)
    labels, values = np.full((topk, m), -1), np.full((topk, m), np.nan, np.float32)
    if len(loaded.images):
        if settings.uncertainty_threshold < math.inf:
            probabilities, uncertainty = classifier.classify_with_uncertainty(loaded.images)
            unsure = uncertainty > settings.uncertainty_threshold
        else:
            probabilities = classifier.probabilities(loaded.images)
            unsure = np.zeros(len(loaded.images), bool)
        labels[:, good], values[:, good] = _rank(probabilities, topk)
        unsure |= values[0, good] < settings.threshold
        statuses[good] = np.where(unsure, ABSTAIN, OK)
    names, true_labels = (
        items.true_labels(classifier.classes)
        if isinstance(items, DatasetSlice)
        else true_labels_of(items, classifier.classes)
    )
    paths = items.names() if isinstance(items, DatasetSlice) else utf8_column(item.name for item in items)
    rows = Rows(paths, statuses, names, labels, values, true_labels, loaded.errors, loaded.digests, classifier.model_id)
    return ClassifiedBatch(rows, loaded.stamps)


def _rank(probabilities: Array, topk: int) -> tuple[NDArray[np.integer], Array]:
    """Return the `topk` likeliest classes of each column, and how likely; of equal ones the first class comes first."""
    if topk == 1:
        order = probabilities.argmax(axis=0)[None]
    else:
        order = np.argsort(-probabilities, axis=0, kind="stable")[:topk]
    return order, np.take_along_axis(probabilities, order, axis=0)


def _joined(parts: Sequence[Loaded]) -> Loaded:
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
    """Return the names of `classes` and of other labels that items came with, and the index of each item's label."""
    number = {name: k for k, name in enumerate(classes)} | {"": -1}
    others: list[str] = []
    for item in items:
        if item.true_label not in number:
            number[item.true_label] = len(classes) + len(others)
            others.append(item.true_label)
    return (*classes, *others), np.array([number[item.true_label] for item in items])
