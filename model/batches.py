"""Where training gets its examples: the protocol `BatchSource`, and `ArrayBatches` for a data set in memory.

Training asks for batches of X and labels and knows nothing of files. Data sets that are larger than memory, and images
that are decoded or augmented on the way, implement the same protocol (`pipeline.training.batches`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from model.activations import Array


class Batch(NamedTuple):
    """Some examples: X (n_x, b) as columns, class numbers (b,), and weights (b,) that average 1 over the data set."""

    X: Array
    labels: NDArray[np.integer]
    weights: Array | None = None


class BatchSource(Protocol):
    """What `model.training.train` needs from a data set, which may be larger than memory."""

    @property
    def n_x(self) -> int:
        """Rows of X."""

    @property
    def labels(self) -> NDArray[np.integer]:
        """Class number of every example, shape (m,)."""

    def batches(self, batch_size: int, order: Sequence[int] | None) -> Iterator[Batch]:
        """Yield every example once, in batches of the sizes that `split_evenly` gives.

        `order` seeds the shuffling (``default_rng(order)``), so the same seed gives the same batches; None keeps the
        stored order. The arrays of a batch may be buffers that the next batch overwrites.
        """


def split_evenly(m: int, batch_size: int) -> list[slice]:
    """Cut range(m) into the fewest slices of at most `batch_size`, whose sizes differ by 1 at most.

    There is no small batch left over at the end: 10 examples in batches of at most 4 are 3 + 3 + 4, not 4 + 4 + 2. A
    batch of a single example, which batch normalisation cannot normalise, occurs only if `batch_size` is 1, m is 1, or
    m is odd and `batch_size` is 2.
    """
    n_batches = -(-m // batch_size)
    edges = [m * k // n_batches for k in range(n_batches + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


class ArrayBatches:
    """A data set in memory.

    Parameters
    ----------
    X : ndarray of shape (n_x, m)
        Floating point. Fortran order (each example contiguous) is fast, and is not copied.
    labels : ndarray of shape (m,), integer
    weights : ndarray of shape (m,), optional
        One for each example, 0 or more; scaled so that they average 1.

    Raises
    ------
    ValueError
        When shapes or dtypes do not fit, X or the weights hold NaN or infinity, or a weight is below 0.
    """

    def __init__(self, X: Array, labels: NDArray[np.integer], weights: Array | None = None) -> None:
        X, labels = np.asarray(X), np.asarray(labels)
        if labels.ndim != 1:
            raise ValueError(f"labels have shape {labels.shape}; give one class number per example, shape (m,)")
        if X.ndim != 2 or X.shape[1] != len(labels):
            hint = "; examples are columns: is it transposed?" if X.shape[:1] == labels.shape else ""
            raise ValueError(f"X has shape {X.shape} and there are {len(labels)} labels, expected (n_x, m){hint}")
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels have dtype {labels.dtype}; give whole class numbers")
        if not np.issubdtype(X.dtype, np.floating):
            raise ValueError(f"X has dtype {X.dtype}; give float32 or float64")
        with np.errstate(over="ignore", invalid="ignore"):
            total = X.sum(dtype=np.float64)
        if not np.isfinite(total) and not (finite := np.isfinite(X).all(axis=0)).all():
            example = int(np.flatnonzero(~finite)[0])
            raise ValueError(f"X holds NaN or infinity, first in example {example} (column {example}); remove it")
        self._examples = np.ascontiguousarray(X.T)  # (m, n_x): X itself, if X is in Fortran order
        self._labels = labels
        self._weights: Array | None = None
        if weights is not None:
            weights = np.asarray(weights)
            if (
                weights.shape != labels.shape
                or not np.isfinite(weights).all()
                or weights.min() < 0
                or not weights.any()
            ):
                raise ValueError(
                    f"weights have shape {weights.shape}; give a finite number of 0 or more for each of the "
                    f"{len(labels)} examples, not all 0"
                )
            self._weights = weights * (len(weights) / weights.sum())
        self._buffer = np.empty(0, X.dtype)

    @property
    def n_x(self) -> int:
        """Rows of X."""
        return self._examples.shape[1]

    @property
    def labels(self) -> NDArray[np.integer]:
        """Class number of every example, shape (m,)."""
        return self._labels

    def batches(self, batch_size: int, order: Sequence[int] | None) -> Iterator[Batch]:
        """Yield every example once; see `BatchSource`."""
        m = len(self._labels)
        if order is None or batch_size >= m:  # in a single batch the order has no effect, so nothing is copied
            for part in split_evenly(m, batch_size):
                yield Batch(self._examples[part].T, self._labels[part], _pick(self._weights, part))
            return
        shuffled = np.random.default_rng(order).permutation(m)
        if len(self._buffer) < min(batch_size, m):
            self._buffer = np.empty((min(batch_size, m), self.n_x), self._examples.dtype)
        for part in split_evenly(m, batch_size):
            chosen = shuffled[part]
            examples = self._buffer[: len(chosen)]
            np.take(self._examples, chosen, axis=0, out=examples, mode="clip")
            yield Batch(examples.T, self._labels[chosen], _pick(self._weights, chosen))


def _pick(weights: Array | None, chosen: slice | NDArray[np.intp]) -> Array | None:
    return None if weights is None else weights[chosen]
