"""Batches of preprocessed images for the training loop, from memory or, if they are too many, from the file.

Images stay 8-bit; a batch becomes floating point only when it is yielded. Both sources yield every example once per
epoch, in an order that depends on the seed alone. From the file, whole chunks are read in random order into a window of
bounded size and shuffled there, while a thread already fills the next window. If images are augmented, a thread
prepares the next batch while the network trains on this one.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from model.batches import Batch, BatchSource, split_evenly
from model.randomness import RandomStream
from model.training import TrainingState, check_sources
from pipeline.data.dataset import Dataset
from pipeline.images.augment import AugmentConfig, augment
from pipeline.preprocess import Preprocessor

PixelBatch = tuple[NDArray[np.uint8], NDArray[np.integer]]  # pixels of shape (m, n_x) and labels of shape (m,)


def image_batches(
    dataset: Dataset,
    split: str,
    preprocessor: Preprocessor,
    *,
    memory: int,
    augmentation: AugmentConfig | None = None,
    dtype: str = "float32",
) -> ImageBatches:
    """Return the batches of one split; its images are held in memory if they take at most `memory` bytes.

    Parameters
    ----------
    dataset : Dataset
    split : str
        Name of a split.
    preprocessor : Preprocessor
    memory : int
        Bytes that the images may take.
    augmentation : AugmentConfig, optional
        Resolved; applied to shuffled batches only, never to those in order.
    dtype : str
        NumPy type of X.
    """
    indices = dataset.indices(split)
    batches: ImageBatches
    if len(indices) * preprocessor.geometry.n_x <= memory:
        batches = MemoryBatches(*dataset.read(split), preprocessor, dtype)
    else:
        batches = FileBatches(dataset, indices, preprocessor, memory, dtype)
    batches.augmentation = augmentation if augmentation and augmentation.is_on else None
    return batches


def batch_sources(
    dataset: Dataset, preprocessor: Preprocessor, augmentation: AugmentConfig, state: TrainingState, memory: int
) -> tuple[BatchSource, BatchSource | None]:
    """Return the batches of training and of validation images; there is no second source without such images.

    Raises
    ------
    ConfigError
        When the run is to stop early, and there are no validation images.
    """
    dtype = state.training.dtype
    train_source = image_batches(dataset, "train", preprocessor, memory=memory, augmentation=augmentation, dtype=dtype)
    validation_source = None
    if len(dataset.indices("validation")):
        validation_source = image_batches(dataset, "validation", preprocessor, memory=memory, dtype=dtype)
    check_sources(state, train_source, validation_source)
    return train_source, validation_source


class ImageBatches(ABC):
    """A `model.batches.BatchSource` of images; subclasses say where the pixels come from.

    Attributes
    ----------
    labels : ndarray of shape (m,), integer
    n_x : int
    augmentation : AugmentConfig or None
    """

    def __init__(self, labels: NDArray[np.integer], preprocessor: Preprocessor, dtype: str) -> None:
        self.labels = labels
        self.n_x = preprocessor.geometry.n_x
        self.augmentation: AugmentConfig | None = None
        self._preprocessor = preprocessor
        self._dtype = dtype
        self._buffer = np.empty((0, self.n_x), np.float32)

    @abstractmethod
    def rows(self, batch_size: int, order: Sequence[int] | None) -> Generator[PixelBatch, None, None]:
        """Yield (pixels, labels) of every image once; the pixels may be a buffer that the next ones overwrite."""

    def batches(self, batch_size: int, order: Sequence[int] | None) -> Iterator[Batch]:
        """Yield every image once; see `model.batches.BatchSource`."""
        if order is not None and self.augmentation:
            yield from ahead(self._augmented(batch_size, order, self.augmentation))
            return
        for pixels, labels in self.rows(batch_size, order):
            if len(self._buffer) < len(pixels):
                self._buffer = np.empty(pixels.shape, np.float32)
            X = self._preprocessor.apply(pixels, self._buffer[: len(pixels)])
            yield Batch(X.astype(self._dtype, copy=False), labels)

    def _augmented(
        self, batch_size: int, order: Sequence[int], augmentation: AugmentConfig
    ) -> Generator[Batch, None, None]:
        for step, (pixels, labels) in enumerate(self.rows(batch_size, order)):
            rng = np.random.default_rng([*order, step, RandomStream.AUGMENTATION])
            changed = augment(pixels, self._preprocessor.geometry, augmentation, rng)
            yield Batch(self._preprocessor.apply(changed).astype(self._dtype, copy=False), labels)


def ahead(batches: Generator[Batch, None, None]) -> Iterator[Batch]:
    """Yield what a generator yields, while a thread already makes the next item."""
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        pending = thread.submit(next, batches, None)
        try:
            while (batch := pending.result()) is not None:
                pending = thread.submit(next, batches, None)
                yield batch
        finally:
            pending.exception()  # waits: a generator that runs cannot be closed
            batches.close()


class MemoryBatches(ImageBatches):
    """Batches from images in memory.

    Parameters
    ----------
    images : ndarray of shape (m, height, width, channels), uint8
    labels : ndarray of shape (m,), integer
    preprocessor : Preprocessor
    dtype : str
    """

    def __init__(
        self, images: np.ndarray, labels: NDArray[np.integer], preprocessor: Preprocessor, dtype: str = "float32"
    ) -> None:
        super().__init__(labels, preprocessor, dtype)
        self._pixels = images.reshape(len(images), self.n_x)

    def rows(self, batch_size: int, order: Sequence[int] | None) -> Generator[PixelBatch, None, None]:
        """Yield (pixels, labels) of every image once."""
        m = len(self.labels)
        if order is None or batch_size >= m:  # the order within a single batch has no effect: no copy is needed
            for part in split_evenly(m, batch_size):
                yield self._pixels[part], self.labels[part]
            return
        shuffled = np.random.default_rng(order).permutation(m)
        buffer = np.empty((min(batch_size, m), self.n_x), np.uint8)
        for part in split_evenly(m, batch_size):
            chosen = shuffled[part]
            pixels = buffer[: len(chosen)]
            np.take(self._pixels, chosen, axis=0, out=pixels, mode="clip")
            yield pixels, self.labels[chosen]


class FileBatches(ImageBatches):
    """Batches that are read from the data set file during the training.

    Parameters
    ----------
    dataset : Dataset
        It has to stay open as long as batches are taken.
    indices : ndarray of shape (m,)
        Rows of the data set, ascending.
    preprocessor : Preprocessor
    memory : int
        Bytes for images: the current window, the next one, and the copy between them.
    dtype : str
    """

    def __init__(
        self,
        dataset: Dataset,
        indices: NDArray[np.integer],
        preprocessor: Preprocessor,
        memory: int,
        dtype: str = "float32",
    ) -> None:
        super().__init__(dataset.labels[indices], preprocessor, dtype)
        self._images = dataset.images
        self._indices = indices
        chunk = self._images.chunks[0] if self._images.chunks else 1024
        edges = np.searchsorted(indices, np.arange(0, len(self._images) + chunk, chunk))
        self._chunks = [slice(a, b) for a, b in itertools.pairwise(edges) if b > a]
        self._per_window = max(1, memory // (3 * chunk * self.n_x))

    def rows(self, batch_size: int, order: Sequence[int] | None) -> Generator[PixelBatch, None, None]:
        """Yield (pixels, labels) of every image once."""
        sizes = iter([part.stop - part.start for part in split_evenly(len(self.labels), batch_size)])
        size = next(sizes)
        pixels, labels = np.empty((0, self.n_x), np.uint8), self.labels[:0]
        for window_pixels, window_labels in self._windows(order):
            pixels, labels = np.concatenate([pixels, window_pixels]), np.concatenate([labels, window_labels])
            at = 0
            while len(labels) - at >= size:
                yield pixels[at : at + size], labels[at : at + size]
                at += size
                size = next(sizes, len(labels) + 1)
            pixels, labels = pixels[at:].copy(), labels[at:]

    def _windows(self, order: Sequence[int] | None) -> Iterator[PixelBatch]:
        """Yield (pixels, labels) of a few chunks at a time, while a thread reads the next ones."""
        rng = None if order is None else np.random.default_rng(order)
        chunks = self._chunks if rng is None else [self._chunks[k] for k in rng.permutation(len(self._chunks))]
        windows = [chunks[k : k + self._per_window] for k in range(0, len(chunks), self._per_window)]
        sizes = [sum(chunk.stop - chunk.start for chunk in window) for window in windows]
        orders = [np.arange(size) if rng is None else rng.permutation(size) for size in sizes]
        with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
            pending = thread.submit(self._read, windows[0], orders[0])
            for window, window_order in zip(windows[1:], orders[1:], strict=True):
                ready = pending.result()
                pending = thread.submit(self._read, window, window_order)
                yield ready
            yield pending.result()

    def _read(self, window: list[slice], positions: np.ndarray) -> PixelBatch:
        """Read chunks; their k-th image goes to row positions[k]."""
        pixels, labels = np.empty((len(positions), self.n_x), np.uint8), np.empty(len(positions), self.labels.dtype)
        at = 0
        for chunk in window:
            rows = self._indices[chunk]
            first = int(rows[0])
            read = self._images[first : int(rows[-1]) + 1].reshape(-1, self.n_x)
            into = positions[at : at + len(rows)]
            pixels[into], labels[into] = read[rows - first], self.labels[chunk]
            at += len(rows)
        return pixels, labels
