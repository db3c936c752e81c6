"""Output layers ("heads") and their costs: a table. Cost and gradient are computed directly from the logits Z[L].

Computed by way of A = g(Z), the gradient of the cross-entropy is -(Y/A - (1-Y)/(1-A)), which divides by zero as soon as
a probability rounds to 0 or 1. Computed from the logits it is simply A - Y, and the cost is a log-sum-exp that cannot
overflow. Two heads are here, both for classification; regression is left out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from model.activations import Array, sigmoid


class Head(ABC):
    """An output layer with its cost J = sum_i weight_i * loss_i over the m examples of a batch.

    With ``weight_i = 1/m`` this is the course's J = (1/m) sum of losses. The division by m happens once, here, so
    every dW and db further down is a plain product or sum.
    """

    @abstractmethod
    def n_outputs(self, n_classes: int) -> int:
        """Return n_L, the rows of the logits, for a problem with `n_classes` classes."""

    @abstractmethod
    def targets(self, labels: NDArray[np.integer], n_classes: int, smoothing: float, dtype: np.dtype) -> Array:
        """Return Y (n_L, m) for integer labels (m,); a share `smoothing` is distributed evenly over the classes."""

    @abstractmethod
    def losses(self, logits: Array, Y: Array) -> Array:
        """Return the loss of each example, shape (m,), from logits and Y of shape (n_L, m)."""

    @abstractmethod
    def activate(self, logits: Array) -> Array:
        """Return A[L], shape (n_L, m)."""

    def backward(self, logits: Array, Y: Array, weights: Array) -> Array:
        """Return dZ[L] = (A[L] - Y) * weights, shape (n_L, m): the gradient of the cost by the logits."""
        dZ = self.activate(logits)
        dZ -= Y
        dZ *= weights
        return dZ

    def class_probabilities(self, logits: Array) -> Array:
        """Return one probability per class and example, shape (n_classes, m); columns sum to 1."""
        return self.activate(logits)


class Softmax(Head):
    """A = exp(Z) / sum of exp(Z) down each column; loss = -sum_c Y_c log A_c. One row per class."""

    def n_outputs(self, n_classes: int) -> int:
        return n_classes

    def targets(self, labels: NDArray[np.integer], n_classes: int, smoothing: float, dtype: np.dtype) -> Array:
        Y = np.full((n_classes, len(labels)), smoothing / n_classes, dtype=dtype, order="F")
        Y[labels, np.arange(len(labels))] += 1 - smoothing
        return Y

    def losses(self, logits: Array, Y: Array) -> Array:
        largest = logits.max(axis=0)
        log_sum = np.log(np.exp(logits - largest).sum(axis=0)) + largest
        return log_sum - np.einsum("cm,cm->m", Y, logits)  # the Y of an example sum to 1

    def activate(self, logits: Array) -> Array:
        A = logits - logits.max(axis=0)
        np.exp(A, out=A)
        A /= A.sum(axis=0)
        return A

    def class_probabilities(self, logits: Array) -> Array:
        return self.activate(np.ascontiguousarray(logits))  # C order is fast for few classes


class Sigmoid(Head):
    """A = 1 / (1 + exp(-Z)), the probability of class 1 of two; loss = -(Y log A + (1-Y) log(1-A)). One row."""

    def n_outputs(self, n_classes: int) -> int:
        if n_classes != 2:
            raise ValueError(f"the sigmoid head separates two classes, not {n_classes}; use the softmax head")
        return 1

    def targets(self, labels: NDArray[np.integer], n_classes: int, smoothing: float, dtype: np.dtype) -> Array:
        Y = np.asarray(labels, dtype=dtype).reshape(1, -1)
        return Y * (1 - smoothing) + smoothing / 2

    def losses(self, logits: Array, Y: Array) -> Array:
        return (np.logaddexp(0, logits) - Y * logits)[0]

    def activate(self, logits: Array) -> Array:
        return sigmoid(logits)

    def class_probabilities(self, logits: Array) -> Array:
        return np.concatenate([sigmoid(-logits), sigmoid(logits)])


HEADS: dict[str, Head] = {"softmax": Softmax(), "sigmoid": Sigmoid()}
