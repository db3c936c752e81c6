"""Classify files: every file found becomes exactly one row, whatever is wrong with it.

Batches are cut by input index; threads read and decode their pictures, and one of them classifies the batch as a
whole, with one thread of BLAS: what comes out depends neither on timing nor on the number of threads.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.activations import Array
from pipeline.classifier import ImageClassifier
from pipeline.config import Geometry
from pipeline.images import PictureError, decode, from_array, read_bytes, render
from pipeline.inputs import Item, find_items, open_container, open_data_set
from pipeline.rows import Row, Tally, columns
from pipeline.samples import Sample
from pipeline.writers import WRITERS, write_csv, write_jsonl

__all__ = ["WRITERS", "Item", "Row", "Tally", "columns", "find_items", "predict", "write_csv", "write_jsonl"]

BATCH = 64
PIECE = 8  # files that a thread reads at a time
AHEAD = 16  # batches a thread may be ahead of the rows that are written: what waits is rows, not pictures
BATCH_IN_DATA_SET = 512  # tiny pictures cost little to read: larger matrix products pay


@dataclass(frozen=True)
class Settings:
    """What rows look like.

    Attributes
    ----------
    topk : int
        Labels a row.
    threshold : float
        A row whose best probability is below abstains.
    doubt_limit : float
        A row whose doubt (`ImageClassifier.doubt`) is above abstains.
    """

    topk: int = 1
    threshold: float = 0.0
    doubt_limit: float = math.inf


class Stamp(NamedTuple):
    """Size in bytes and time of change, in nanoseconds, of a file; -1 where there is none."""

    size: int
    mtime: int


class Loaded(NamedTuple):
    """A batch that was read: the good pictures, uint8 (k, height, width, channels), and for every item the rest."""

    images: NDArray[np.uint8]
    errors: list[PictureError | None]
    digests: list[str]
    stamps: list[Stamp]


class Classified(NamedTuple):
    """A batch that was classified."""

    rows: list[Row]
    stamps: list[Stamp]


def predict(
    classifier: ImageClassifier,
    items: Iterable[Item],
    *,
    topk: int = 1,
    jobs: int = 2,
    threshold: float = 0.0,
    doubt_limit: float = math.inf,
    progress: Callable[[int, int | None], None] | None = None,
) -> Iterator[Row]:
    """Classify files, one row each, in order, holding a few batches in memory.

    Parameters
    ----------
    classifier : ImageClassifier
    items : iterable of Item
    topk, threshold, doubt_limit
        See `Settings`.
    jobs : int
        Threads that read, decode and classify.
    progress : callable, optional
        Called with (done, total) after each batch; total is None where `items` has no length.
    """
    settings = Settings(min(topk, len(classifier.classes)), threshold, doubt_limit)
    total = len(items) if isinstance(items, Sized) else None
    done = 0
    for batch in classify_all(classifier, batches(items), settings, jobs):
        yield from batch.rows
        done += len(batch.rows)
        if progress:
            progress(done, total)


def classify_all(
    classifier: ImageClassifier, parts: Iterable[Sequence[Item]], settings: Settings, jobs: int
) -> Iterator[Classified]:
    """Classify batches in threads and yield them in order, as soon as they are ready, never more than a few ahead.

    Pictures are read a few at a time, so that all threads have work even where there are few and large ones.
    """
    waiting: deque[Future[Classified]] = deque()
    with ThreadPoolExecutor(jobs, thread_name_prefix="predict") as threads:
        try:
            for batch in parts:
                piece = len(batch) if type(batch[0].key) is int else PIECE
                loads = [
                    threads.submit(load, batch[at : at + piece], classifier.geometry)
                    for at in range(0, len(batch), piece)
                ]  # begun before what waits for them: the threads take tasks in order
                waiting.append(threads.submit(_classify_loaded, classifier, batch, loads, settings))
                while waiting and (waiting[0].done() or len(waiting) > AHEAD * jobs):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _classify_loaded(
    classifier: ImageClassifier, items: Sequence[Item], loads: Sequence[Future[Loaded]], settings: Settings
) -> Classified:
    images, errors, digests, stamps = zip(*(load.result() for load in loads), strict=True)
    chain = itertools.chain.from_iterable
    together = images[0] if len(images) == 1 else np.concatenate(images)
    return judge(classifier, items, Loaded(together, [*chain(errors)], [*chain(digests)], [*chain(stamps)]), settings)


def batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Cut items into batches: by their place, and where a data set begins or ends."""
    for path, run in itertools.groupby(items, key=lambda item: item.path if type(item.key) is int else None):
        size = BATCH if path is None else BATCH_IN_DATA_SET
        while batch := list(itertools.islice(run, size)):
            yield batch


def classify(classifier: ImageClassifier, items: Sequence[Item], settings: Settings) -> Classified:
    """Read, decode and classify one batch."""
    return judge(classifier, items, load(items, classifier.geometry), settings)


def judge(classifier: ImageClassifier, items: Sequence[Item], loaded: Loaded, settings: Settings) -> Classified:
    """Classify one batch that has been read."""
    if not len(loaded.images):
        rankings: list[tuple[tuple[str, float], ...]] = []
        statuses: list[str] = []
    else:
        if settings.doubt_limit < math.inf:
            probabilities, doubt = classifier.judge(loaded.images)
            unsure = doubt > settings.doubt_limit
        else:
            probabilities = classifier.probabilities(loaded.images)
            unsure = np.zeros(len(loaded.images), bool)
        unsure |= probabilities.max(axis=0) < settings.threshold
        rankings = _rank(probabilities, classifier.classes, settings.topk)
        statuses = np.where(unsure, "abstain", "ok").tolist()
    good = iter(zip(statuses, rankings, strict=True))
    model_id = classifier.model_id
    rows = []
    for item, error, digest in zip(items, loaded.errors, loaded.digests, strict=True):
        if error:
            rows.append(Row(item.name, "error", (), item.true_label, error.code, str(error), digest, model_id))
        else:
            status, ranking = next(good)
            rows.append(Row(item.name, status, ranking, item.true_label, "", "", digest, model_id))
    return Classified(rows, loaded.stamps)


def _rank(probabilities: Array, classes: tuple[str, ...], topk: int) -> list[tuple[tuple[str, float], ...]]:
    """Return the `topk` likeliest (label, probability) of each column; of equal ones the first class comes first."""
    if topk == 1:
        best = probabilities.argmax(axis=0)
        values = probabilities[best, np.arange(len(best))].tolist()
        return [((classes[k], value),) for k, value in zip(best.tolist(), values, strict=True)]
    order = np.argsort(-probabilities, axis=0, kind="stable")[:topk]
    values = np.take_along_axis(probabilities, order, axis=0).T.tolist()
    return [
        tuple((classes[k], value) for k, value in zip(column, column_values, strict=True))
        for column, column_values in zip(order.T.tolist(), values, strict=True)
    ]


def load(items: Sequence[Item], geometry: Geometry) -> Loaded:
    """Read and decode a batch of items (as `batches` cuts them)."""
    if items and type(items[0].key) is int:
        return _load_from_data_set(items, geometry)
    images, errors, digests = [], [], []
    stamps = stamps_of(items)  # before reading: a file that changes meanwhile shows next time
    for item in items:
        image, digest, error = load_one(item, geometry)
        errors.append(error)
        digests.append(digest)
        if image is not None:
            images.append(image)
    stacked = np.stack(images) if images else np.empty((0, *geometry.shape), np.uint8)
    return Loaded(stacked, errors, digests, stamps)


def _load_from_data_set(items: Sequence[Item], geometry: Geometry) -> Loaded:
    data = open_data_set(str(items[0].path))
    keys = np.array([item.key for item in items])
    rows = slice(int(keys[0]), int(keys[-1]) + 1)  # keys follow one another
    images = data.images[rows]
    if data.geometry != geometry:
        images = np.stack([render(from_array(image), geometry) for image in images])
    hexadecimal = data.file["sha256"][rows].tobytes().hex()
    digests = [hexadecimal[at : at + 64] for at in range(0, len(hexadecimal), 64)]
    return Loaded(images, [None] * len(items), digests, stamps_of(items))


def load_one(item: Item, geometry: Geometry) -> tuple[NDArray[np.uint8] | None, str, PictureError | None]:
    """Return the picture of an item (or None), the SHA-256 of its bytes, and what is wrong with it (or None)."""
    digest = ""
    try:
        data = read_item(item)
        if isinstance(data, bytes):
            digest = hashlib.sha256(data).hexdigest()
            return decode(data, geometry), digest, None
        digest = hashlib.sha256(data.tobytes()).hexdigest()
        return render(from_array(data), geometry), digest, None
    except PictureError as error:
        return None, digest, error
    except MemoryError:
        return None, digest, PictureError("too_large", "does not fit in memory")


def digest_of(item: Item) -> str:
    """Return the SHA-256 of an item's picture file, without decoding it.

    Raises
    ------
    PictureError
        When it cannot be read.
    """
    if type(item.key) is int:
        return open_data_set(str(item.path)).file["sha256"][item.key].tobytes().hex()
    data = read_item(item)
    return hashlib.sha256(data if isinstance(data, bytes) else data.tobytes()).hexdigest()


def read_item(item: Item) -> bytes | NDArray[np.uint8]:
    """Return the bytes of an item's picture file, or its picture as an array (from a file of arrays).

    Raises
    ------
    PictureError
    """
    if item.refused:
        raise PictureError(*item.refused)
    if item.key is None:
        return read_bytes(item.path)
    return open_container(str(item.path)).read(Sample(item.name, key=item.key))


def stamps_of(items: Iterable[Item]) -> list[Stamp]:
    """Return the stamp of each item's file."""
    stamps: list[Stamp] = []
    before: Path | None = None
    for item in items:
        stamps.append(stamps[-1] if item.path is before else stamp_of(item.path))
        before = item.path
    return stamps


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of a file."""
    try:
        status = os.stat(path)  # noqa: PTH116 (half the time of Path.stat)
    except (OSError, ValueError):
        return Stamp(-1, -1)
    return Stamp(status.st_size, status.st_mtime_ns)
