"""The L-layer network: forward and backward through all layers, and nothing else.

The notation is the course's. Examples are columns: X = A[0] is (n_x, m); layer l has W[l] (n_l, n_{l-1}) and
b[l] (n_l, 1),

    Z[l] = W[l] A[l-1] + b[l]        A[l] = g(Z[l])        l = 1 .. L

and the last Z holds the logits, which a head (`model.heads`) turns into probabilities and a cost. The input is not
counted as a layer. Every function can be called alone with arrays of these shapes, and the training loop calls the
same functions: given a `Workspace` and gradients to fill, they allocate nothing the size of a batch. Arrays of
examples are in Fortran order (each example is contiguous), which BLAS accepts without a copy. How the parameters
change is not here, see `model.optimizers` and `model.training`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.activations import ACTIVATIONS, Array
from model.batch_norm import BatchNormCache, batch_norm_backward, batch_norm_forward, batch_norm_inference
from model.config import NetworkConfig
from model.errors import DimensionError
from model.heads import HEADS
from model.parameters import Parameters, check_shape


class Workspace:
    """Buffers for one batch, allocated on first use and used again for every later batch of the same run."""

    def __init__(self) -> None:
        self._memory: dict[tuple[str, int], Array] = {}

    def array(self, name: str, l: int, shape: tuple[int, int], dtype: np.dtype) -> Array:
        """Return the buffer `name` of layer `l` as an F-ordered array with undefined contents."""
        size = shape[0] * shape[1]
        memory = self._memory.get((name, l))
        if memory is None or memory.size < size or memory.dtype != dtype:
            memory = self._memory[name, l] = np.empty(size, dtype)
        return memory[:size].reshape(shape, order="F")


class LinearCache(NamedTuple):
    """What the backward step of a linear layer needs."""

    A_prev: Array
    W: Array
    layer: int


def linear_forward(
    A_prev: Array, W: Array, b: Array | None, *, layer: int = 1, out: Array | None = None
) -> tuple[Array, LinearCache]:
    """Compute Z = W A_prev + b.

    Parameters
    ----------
    A_prev : ndarray of shape (n_{l-1}, m)
        Activations of the layer before; X for layer 1.
    W : ndarray of shape (n_l, n_{l-1})
    b : ndarray of shape (n_l, 1), or None
        None if batch normalisation follows, which would remove it again.
    layer : int
        l, for error messages.
    out : ndarray of shape (n_l, m), optional
        Array that Z is written to.

    Returns
    -------
    Z : ndarray of shape (n_l, m)
    cache : LinearCache

    Raises
    ------
    DimensionError
        When the shapes do not fit.
    """
    n, n_prev = W.shape
    check_shape(f"layer {layer}: A{layer - 1}", A_prev, (n_prev, None), f"(n{layer - 1}, m)")
    if out is None:
        out = np.empty((n, A_prev.shape[1]), np.result_type(W, A_prev), order="F")
    Z = np.matmul(W, A_prev, out=out)
    if b is not None:
        check_shape(f"layer {layer}: b{layer}", b, (n, 1), f"(n{layer}, 1)")
        Z += b
    return Z, LinearCache(A_prev, W, layer)


def linear_backward(
    dZ: Array,
    cache: LinearCache,
    *,
    dW: Array | None = None,
    db: Array | None = None,
    dA_prev: Array | None = None,
    needs_dA_prev: bool = True,
) -> tuple[Array | None, Array, Array]:
    """Compute dA_prev = W^T dZ, dW = dZ A_prev^T and db = the sum of dZ over the examples.

    The course writes 1/m before dW and db; here dZ of the last layer already contains it (`model.heads`).

    Parameters
    ----------
    dZ : ndarray of shape (n_l, m)
        Gradient of the cost by Z.
    cache : LinearCache
        From `linear_forward`.
    dW, db, dA_prev : ndarray, optional
        Arrays that the results are written to: (n_l, n_{l-1}), (n_l, 1), (n_{l-1}, m).
    needs_dA_prev : bool
        False for layer 1, whose input is data.

    Returns
    -------
    dA_prev, dW, db
        dA_prev is None if it is not needed.

    Raises
    ------
    DimensionError
        When dZ does not fit the cache.
    """
    A_prev, W, l = cache
    check_shape(f"layer {l}: dZ{l}", dZ, (W.shape[0], A_prev.shape[1]), f"(n{l}, m)")
    dW = np.matmul(dZ, A_prev.T, out=dW)
    if db is None:
        db = np.empty((len(dZ), 1), dZ.dtype)
    np.matmul(dZ, np.ones((dZ.shape[1], 1), dZ.dtype), out=db)
    if not needs_dA_prev:
        return None, dW, db
    if dA_prev is None:
        dA_prev = np.empty(A_prev.shape, dZ.dtype, order="F")
    return np.matmul(W.T, dZ, out=dA_prev), dW, db


_DRAWS = 65_536  # random numbers drawn at a time, few enough to stay in the processor's cache


def draw_mask(rng: np.random.Generator, dropout: float, mask: Array) -> Array:
    """Fill `mask` with 0 for a share `dropout` of its elements and 1 / (1 - dropout) for the rest.

    This is inverted dropout (Srivastava et al. 2014): the expected activation does not change, so prediction needs no
    correction.
    """
    flat, kept = mask.reshape(-1, order="A"), mask.dtype.type(1 / (1 - dropout))
    for start in range(0, flat.size, _DRAWS):
        draws = rng.random(min(_DRAWS, flat.size - start), dtype=np.float32)
        np.multiply(draws >= dropout, kept, out=flat[start : start + _DRAWS])
    return mask


class LayerCache(NamedTuple):
    """What backward needs from forward in one layer; `normalization` and `mask` are None if the layer has none."""

    linear: LinearCache
    normalization: BatchNormCache | None
    Z: Array
    A: Array
    mask: Array | None


def forward(
    X: Array,
    parameters: Parameters,
    config: NetworkConfig,
    *,
    training: bool = False,
    rng: np.random.Generator | None = None,
    workspace: Workspace | None = None,
) -> tuple[Array, list[LayerCache]]:
    """Go forward through all layers.

    Parameters
    ----------
    X : ndarray of shape (n_x, m)
        Examples as columns.
    parameters : Parameters
        With `training` and batch normalisation, the running statistics in it are updated.
    config : NetworkConfig
        Resolved, so without "auto".
    training : bool
        Normalise by the batch's own statistics and apply dropout.
    rng : Generator, optional
        Draws the dropout masks; needed only with `training` and dropout.
    workspace : Workspace, optional
        Buffers to use again. The returned arrays are views of them and are valid until the next call.

    Returns
    -------
    logits : ndarray of shape (n_L, m)
        Z[L].
    caches : list of LayerCache
        One per layer, for `backward`.

    Raises
    ------
    DimensionError, ValueError
        When X has another shape than (n_x, m), or is not floating point.
    """
    n_x = parameters.layer_dims[0]
    if X.ndim != 2 or X.shape[0] != n_x:
        raise DimensionError(f"X has shape {X.shape}; examples are columns, expected ({n_x}, m)")
    if not np.issubdtype(X.dtype, np.floating):
        raise ValueError(f"X has dtype {X.dtype}; give float32 or float64, and divide raw pixels by 255 first")
    workspace = workspace or Workspace()
    dtype, m, activation = parameters.flat.dtype, X.shape[1], ACTIVATIONS[config.activation]
    A, caches = X, []
    mask: Array | None
    if training and config.input_dropout:
        assert rng is not None, "dropout needs rng"
        mask = draw_mask(rng, config.input_dropout, workspace.array("mask", 0, X.shape, dtype))
        A = np.multiply(X, mask, out=workspace.array("dropped", 0, X.shape, dtype))
    for l, n in enumerate(parameters.layer_dims[1:], start=1):
        W, b, gamma = parameters[l]
        shape = (n, m)
        Z = workspace.array("Z", l, shape, dtype)
        Z, linear = linear_forward(A, W, None if gamma is not None else b, layer=l, out=Z)
        if l == parameters.L:
            caches.append(LayerCache(linear, None, Z, Z, None))
            break
        normalization = None
        running = parameters.running_statistics(l)
        if gamma is not None and running is not None:
            if training:
                Z_hat = workspace.array("Z_hat", l, shape, dtype)
                Z, normalization = batch_norm_forward(Z, gamma, b, *running, Z_hat=Z_hat)
            else:
                Z = batch_norm_inference(Z, gamma, b, *running)
        A = activation.forward(Z, workspace.array("A", l, shape, dtype))
        caches.append(LayerCache(linear, normalization, Z, A, None))
        if training and config.dropout:
            assert rng is not None, "dropout needs rng"
            mask = draw_mask(rng, config.dropout, workspace.array("mask", l, shape, dtype))
            caches[-1] = caches[-1]._replace(mask=mask)
            A = np.multiply(A, mask, out=workspace.array("dropped", l, shape, dtype))
    return Z, caches


def backward(
    dZ: Array,
    caches: Sequence[LayerCache],
    gradients: Parameters,
    config: NetworkConfig,
    *,
    workspace: Workspace | None = None,
) -> None:
    """Go backward through all layers and fill `gradients` with dW, db (and dgamma) of each.

    Parameters
    ----------
    dZ : ndarray of shape (n_L, m)
        Gradient of the cost by the logits, from the `backward` of a head.
    caches : list of LayerCache
        From `forward` with ``training=True``.
    gradients : Parameters
        The same shapes as the parameters; overwritten.
    config : NetworkConfig
    workspace : Workspace, optional

    Raises
    ------
    DimensionError
        When dZ does not fit the caches.
    """
    workspace = workspace or Workspace()
    activation = ACTIVATIONS[config.activation]
    for l in range(len(caches), 0, -1):
        linear, normalization, _, _, _ = caches[l - 1]
        dW, db, dgamma = gradients[l]
        if normalization is not None and dgamma is not None:
            dZ = batch_norm_backward(dZ, normalization, dgamma=dgamma, dbeta=db)
            db_of_linear: Array | None = None  # db holds dbeta; there is no b before the normalisation
        else:
            db_of_linear = db
        dA_prev = workspace.array("dA", l - 1, linear.A_prev.shape, dZ.dtype) if l > 1 else None
        dA_prev, _, _ = linear_backward(dZ, linear, dW=dW, db=db_of_linear, dA_prev=dA_prev, needs_dA_prev=l > 1)
        if dA_prev is None:
            return
        _, _, Z_prev, A_prev, mask = caches[l - 2]
        if mask is not None:
            dA_prev *= mask
        dZ = activation.backward(dA_prev, Z_prev, A_prev, dA_prev)


def cost_and_gradients(
    X: Array,
    Y: Array,
    weights: Array,
    parameters: Parameters,
    gradients: Parameters,
    config: NetworkConfig,
    *,
    l2: float = 0.0,
    rng: np.random.Generator | None = None,
    workspace: Workspace | None = None,
) -> tuple[float, Array]:
    """Compute the cost of a batch and its gradient: one forward and one backward pass.

    J = sum_i weights_i loss_i + l2/2 * (sum of squares of all W).

    Parameters
    ----------
    X : ndarray of shape (n_x, m)
    Y : ndarray of shape (n_L, m)
        Targets from the head's `targets`.
    weights : ndarray of shape (m,)
        Weight of each example; with 1/m for each, J is the mean loss.
    parameters : Parameters
    gradients : Parameters
        The same shapes; overwritten.
    config : NetworkConfig
    l2 : float
        Strength of the penalty on the squares of W; b and gamma are not penalised.
    rng : Generator, optional
        Draws the dropout masks.
    workspace : Workspace, optional

    Returns
    -------
    cost : float
    logits : ndarray of shape (n_L, m)
    """
    head = HEADS[config.head]
    logits, caches = forward(X, parameters, config, training=True, rng=rng, workspace=workspace)
    check_shape("Y", Y, logits.shape, "(nL, m)")
    cost = float(head.losses(logits, Y) @ weights)
    backward(head.backward(logits, Y, weights), caches, gradients, config, workspace=workspace)
    if l2:
        for l in range(1, parameters.L + 1):
            W = parameters[l].W
            cost += l2 / 2 * float(np.vdot(W, W))
            gradients[l].W[:] += l2 * W
    return cost, logits


def class_probabilities(X: Array, parameters: Parameters, config: NetworkConfig, *, batch_size: int = 1024) -> Array:
    """Return the probability of each class for each example.

    Parameters
    ----------
    X : ndarray of shape (n_x, m)
    parameters : Parameters
    config : NetworkConfig
    batch_size : int
        Examples in one forward pass, which limits the memory used.

    Returns
    -------
    ndarray of shape (n_classes, m)
        Columns sum to 1.
    """
    head, workspace, parts = HEADS[config.head], Workspace(), []
    for start in range(0, max(X.shape[1], 1), batch_size):
        logits, _ = forward(X[:, start : start + batch_size], parameters, config, workspace=workspace)
        parts.append(head.class_probabilities(logits))
    return np.concatenate(parts, axis=1)


def labels_from(probabilities: Array) -> NDArray[np.intp]:
    """Return the most probable class of each column, shape (m,); the first of several equal ones."""
    return probabilities.argmax(axis=0)
