"""The parameters W and b of an L-layer network: one flat vector, a view per layer, and every dimension checked.

One vector makes everything that treats all parameters alike a single expression: an optimiser's step, an average of
networks, a copy. `layer_shapes` is the chapter's table of matrix dimensions.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model.activations import Array
from model.config import NetworkConfig
from model.errors import DimensionError
from model.initializers import INITIALIZERS


def check_shape(name: str, matrix: Array, expected: tuple[int | None, int | None], symbols: str) -> None:
    """Raise an error if a matrix has another shape than `expected` (None: any size), e.g. ``symbols="(n2, n1)"``.

    Raises
    ------
    DimensionError
    """
    height, width = expected
    fits = matrix.ndim == 2 and height in (None, matrix.shape[0]) and width in (None, matrix.shape[1])
    if not fits:
        wanted = "(" + ", ".join("m" if n is None else str(n) for n in expected) + ")"
        raise DimensionError(f"{name} has shape {matrix.shape}, expected {wanted} = {symbols}")


class LayerParameters(NamedTuple):
    """Views into the flat parameter vector: W (n, n_prev), b (n, 1) and, with batch normalisation, gamma (n, 1)."""

    W: Array
    b: Array
    gamma: Array | None


class RunningStatistics(NamedTuple):
    """Running mean and variance (n, 1) of W A_prev in a batch-normalised layer; averages, not learned by gradients."""

    mean: Array
    variance: Array


class Parameters:
    """All parameters of a network as one flat vector, with a view per layer.

    ``parameters[l]`` is layer l, counted from 1 as in the course; ``parameters.flat`` is the vector.

    With batch normalisation a hidden layer also has a gain gamma, its b is added after the normalisation (the
    literature calls it beta), and ``running`` holds the statistics that replace those of the batch at prediction.
    """

    def __init__(
        self,
        layer_dims: Sequence[int],
        *,
        batch_norm: bool = False,
        dtype: np.dtype | type | str = np.float32,
        flat: Array | None = None,
        running: Array | None = None,
    ) -> None:
        if len(layer_dims) < 2 or any(n < 1 for n in layer_dims):
            raise DimensionError(
                f"layer_dims is {tuple(layer_dims)}; it needs an input and an output size, each 1 or more"
            )
        self.layer_dims = tuple(int(n) for n in layer_dims)
        self.batch_norm = batch_norm
        n_hidden = sum(self.layer_dims[1:-1])
        size = sum(n * n_prev + n for n_prev, n in self.shapes()) + batch_norm * n_hidden
        self.flat = np.zeros(size, dtype) if flat is None else flat
        self.running = np.zeros(2 * n_hidden * batch_norm, self.flat.dtype) if running is None else running
        if self.flat.shape != (size,) or self.running.shape != (2 * n_hidden * batch_norm,):
            raise DimensionError(
                f"layer_dims {self.layer_dims} needs {size} parameters in one vector, got shape {self.flat.shape}"
            )
        self._layers, self._running = self._views()
        if running is None:
            for statistics in self._running:
                statistics.variance[:] = 1

    def shapes(self) -> list[tuple[int, int]]:
        """Return (n_prev, n) of each layer, first to last."""
        return list(itertools.pairwise(self.layer_dims))

    def _views(self) -> tuple[list[LayerParameters], list[RunningStatistics]]:
        layers, running, at, running_at = [], [], 0, 0
        for l, (n_prev, n) in enumerate(self.shapes(), start=1):
            W = self.flat[at : at + n * n_prev].reshape(n, n_prev)
            at += n * n_prev
            b = self.flat[at : at + n].reshape(n, 1)
            at += n
            gamma = None
            if self.batch_norm and l < self.L:
                gamma = self.flat[at : at + n].reshape(n, 1)
                at += n
                pair = self.running[running_at : running_at + 2 * n].reshape(2, n, 1)
                running.append(RunningStatistics(pair[0], pair[1]))
                running_at += 2 * n
            layers.append(LayerParameters(W, b, gamma))
        return layers, running

    @property
    def L(self) -> int:
        """Number of layers, the input not counted."""
        return len(self.layer_dims) - 1

    def __getitem__(self, l: int) -> LayerParameters:
        if not 1 <= l <= self.L:
            raise IndexError(f"layer {l} does not exist; layers are counted from 1 to L = {self.L}")
        return self._layers[l - 1]

    def running_statistics(self, l: int) -> RunningStatistics | None:
        """Return the running statistics of layer l, or None if it has no batch normalisation."""
        return self._running[l - 1] if self.batch_norm and l < self.L else None

    def __getstate__(self) -> dict[str, object]:
        return {
            "layer_dims": self.layer_dims,
            "batch_norm": self.batch_norm,
            "flat": self.flat,
            "running": self.running,
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        Parameters.__init__(self, **state)  # type: ignore[arg-type]  # new views: copied ones would not belong to the vector

    def copy(self) -> Parameters:
        """Return an independent copy."""
        return self.like(self.flat.copy(), self.running.copy())

    def like(self, flat: Array, running: Array | None = None) -> Parameters:
        """Return parameters of the same shapes over another flat vector (not copied)."""
        return Parameters(self.layer_dims, batch_norm=self.batch_norm, flat=flat, running=running)

    def assign(self, other: Parameters) -> None:
        """Overwrite every value with that of `other`, which has the same shapes."""
        self.flat[:] = other.flat
        self.running[:] = other.running


def initialize(
    layer_dims: Sequence[int],
    config: NetworkConfig,
    rng: np.random.Generator,
    dtype: np.dtype | type | str = np.float32,
) -> Parameters:
    """Return initial parameters: W by `config.initializer`, b = 0, gamma = 1; the last W times `config.head_scale`."""
    parameters = Parameters(layer_dims, batch_norm=config.batch_norm is True, dtype=dtype)
    for l, (n_prev, n) in enumerate(parameters.shapes(), start=1):
        W, _, gamma = parameters[l]
        W[:] = INITIALIZERS[config.initializer](n, n_prev, rng)
        if gamma is not None:
            gamma[:] = 1
    parameters[parameters.L].W[:] *= config.head_scale
    return parameters


class LayerShapes(NamedTuple):
    """Shapes of all matrices of one layer for m examples, as in the chapter's table of matrix dimensions."""

    layer: int
    W: tuple[int, int]
    b: tuple[int, int]
    Z: tuple[int, str | int]
    A: tuple[int, str | int]
    n_parameters: int
    activation: str

    def texts(self) -> tuple[str, str, str, str, str, str]:
        """Return the layer, the shapes of W, b and Z (A has that of Z), the activation and the size, as text."""
        W, b, Z = (f"({height}, {width})" for height, width in (self.W, self.b, self.Z))
        return f"{self.layer}", W, b, Z, self.activation, f"{self.n_parameters:,}"


def layer_shapes(parameters: Parameters, config: NetworkConfig, m: int | str = "m") -> list[LayerShapes]:
    """Return the shapes of W, b, Z, A (dW, db, dZ, dA have the same) of each layer for `m` examples."""
    return [
        LayerShapes(
            layer=l,
            W=(n, n_prev),
            b=(n, 1),
            Z=(n, m),
            A=(n, m),
            n_parameters=sum(view.size for view in parameters[l] if view is not None),
            activation=config.activation if l < parameters.L else config.head,
        )
        for l, (n_prev, n) in enumerate(parameters.shapes(), start=1)
    ]
