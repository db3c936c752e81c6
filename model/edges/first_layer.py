"""Unsupervised pretraining of layer 1: from small crops of photographs to a bank of edge detectors.

The first layer of a fully connected network that is trained in the ordinary way looks like noise, whatever tutorials
say. Edges appear if the activations for many small, whitened crops of photographs are made sparse, without any labels
(Olshausen & Field 1996; Bell & Sejnowski 1997). The steps, each a function below:

1. the mean of every crop is subtracted, and the crop is divided by its standard deviation (`normalize_contrast`);
2. the crops are whitened: projected on their leading principal components, each scaled to a standard deviation of 1
   (`whiten`);
3. a method of `PRETRAINERS` finds directions whose activations are sparse;
4. whitening is folded into these directions, so that each is an image again; a few more are learned than are needed,
   and the sparsest are kept (`learn_filters`);
5. these filters are resized to the size and colours of the images to be classified (`fit_filters`) and become rows of
   W1, in pairs w, -w if the activation is one-sided (`first_layer_weights`).

`pretrain_first_layer` does all of it. The network itself may see images as they are: rows of W1 have mean 0, so an
image's mean does not matter, and its contrast only scales the activations. No Gabor function is used anywhere here, so
the filters are not fitted to what `model.edges.scores` measures. Cutting the crops out of photographs is left to
`pipeline.images.crops`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model.activations import Array
from model.contrast import normalize_contrast

LEARNING_SIDE = 32  # filters for larger images are learned on crops of this size and enlarged
N_CROPS = 8_000
MAX_ITERATIONS = 50
ONE_SIDED = ("relu", "leaky_relu", "elu", "gelu", "softplus")  # a unit is active for w or for -w, hardly for both
_SPARE = 1.1  # filters learned for each one needed; a few stay noise, and their activations are the least sparse


def whiten(X: Array, n_components: int) -> tuple[Array, Array]:
    """Project examples on their leading principal components, each scaled to a variance of 1.

    Parameters
    ----------
    X : ndarray of shape (n_x, m), float
    n_components : int
        K, at most. Components without variance are left out.

    Returns
    -------
    Z : ndarray of shape (K, m), float32
        Mean 0; Z Z^T / m is the identity.
    P : ndarray of shape (K, n_x), float64
        Z = P (X - the mean of X).
    """
    centred = X - X.mean(axis=1, keepdims=True)
    variances, directions = np.linalg.eigh((centred @ centred.T).astype(np.float64) / X.shape[1])
    kept = np.flatnonzero(variances > 1e-6 * max(variances[-1], 1e-30))[-n_components:][::-1]
    P = (directions[:, kept] / np.sqrt(variances[kept])).T
    return P.astype(np.float32) @ centred, P


class SparseFiltering:
    """Cost and gradient of sparse filtering (Ngiam, Koh, Chen, Bhaskar, Ng 2011) on whitened examples.

    F = sqrt((W Z)^2 + epsilon); every row of F is divided by its length (all features are equally active), then every
    column (all examples are equally active); the cost is the sum of the result. The columns are processed in blocks
    that stay in the processor's cache. Because Z Z^T = m I, one of the three terms of the gradient needs no pass over
    the examples.
    """

    _EPSILON = np.float32(1e-8)
    _BLOCK = 1000  # examples

    def __init__(self, Z: Array) -> None:
        self._blocks = [np.ascontiguousarray(Z[:, i : i + self._BLOCK]) for i in range(0, Z.shape[1], self._BLOCK)]
        self._K, self._m = Z.shape

    def __call__(self, flat: Array) -> tuple[float, Array]:
        W = flat.reshape(-1, self._K).astype(np.float32)
        activations = [W @ Z for Z in self._blocks]
        squares = [A * A + self._EPSILON for A in activations]
        row = 1 / np.sqrt(np.sum([Q.sum(axis=1, dtype=np.float64) for Q in squares], axis=0)).astype(np.float32)
        row_squared = row * row
        cost, along_row = 0.0, np.zeros(len(W))
        gradient = np.zeros(W.shape, np.float32)
        for Z, A, Q in zip(self._blocks, activations, squares, strict=True):
            column = 1 / np.sqrt(row_squared @ Q)  # 1 / length of each normalised example
            F = np.sqrt(Q)
            total = (row @ F) * column
            cost += float(total.sum(dtype=np.float64))
            pull = total * column * column
            along_row += (F @ column) * row - (Q @ pull) * row_squared
            np.divide(column, F, out=F)
            F -= np.multiply(pull, row[:, None], out=Q)
            F *= A
            gradient += F @ Z.T
        gradient *= row[:, None]
        gradient -= (along_row * row_squared * self._m).astype(np.float32)[:, None] * W
        return cost, gradient.ravel().astype(np.float64)


class ReconstructionICA:
    """Cost and gradient of reconstruction ICA (Le, Karpenko, Ngiam, Ng 2011) on whitened examples.

    The cost is the mean over the examples of the smoothed absolute activations, sqrt((W z)^2 + epsilon), plus lambda
    times the squared error of the reconstruction W^T W z. Rows of W are scaled to length 1 inside the cost.
    """

    _EPSILON = 1e-2
    _LAMBDA = 0.1

    def __init__(self, Z: Array) -> None:
        self._Z = Z

    def __call__(self, flat: Array) -> tuple[float, Array]:
        Z, m = self._Z, self._Z.shape[1]
        free = flat.reshape(-1, len(Z)).astype(np.float32)
        lengths = np.linalg.norm(free, axis=1, keepdims=True)
        W = free / lengths
        A = W @ Z
        smooth = np.sqrt(A * A + np.float32(self._EPSILON))
        error = W.T @ A - Z
        cost = float(smooth.sum(dtype=np.float64) + self._LAMBDA * np.vdot(error, error)) / m
        dW = (A / smooth + np.float32(2 * self._LAMBDA) * (W @ error)) @ Z.T
        dW += np.float32(2 * self._LAMBDA) * (A @ error.T)
        dW /= m
        d_free = (dW - W * (dW * W).sum(axis=1, keepdims=True)) / lengths
        return cost, d_free.ravel().astype(np.float64)


def _minimize(
    cost: Callable[[Array], tuple[float, Array]], n: int, K: int, rng: np.random.Generator, steps: list[Array]
) -> Array:
    """Minimise over W (n, K) with L-BFGS (Liu, Nocedal 1989) from a random start; append every W to `steps`."""
    from scipy.optimize import minimize

    def keep(flat: Array) -> None:
        steps.append(flat.reshape(n, K).astype(np.float32))

    start = rng.standard_normal(n * K)
    keep(start)
    options = {"maxiter": MAX_ITERATIONS, "maxcor": 20}
    return minimize(cost, start, jac=True, method="L-BFGS-B", options=options, callback=keep).x.reshape(n, K)


def _sparse_filtering(Z: Array, n: int, rng: np.random.Generator, steps: list[Array]) -> Array:
    return _minimize(SparseFiltering(Z), n, len(Z), rng, steps)


def _rica(Z: Array, n: int, rng: np.random.Generator, steps: list[Array]) -> Array:
    return _minimize(ReconstructionICA(Z), n, len(Z), rng, steps)


def _ica(Z: Array, n: int, rng: np.random.Generator, steps: list[Array]) -> Array:
    """Find independent components (Hyvärinen 1999) with scikit-learn; at most K of them, and no steps are recorded."""
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    ica = FastICA(whiten=False, max_iter=200, tol=1e-3, random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the filters are fine well before full convergence
        ica.fit(Z.T)
    return ica.components_


@dataclass(frozen=True)
class Pretrainer:
    """A method to find sparse directions.

    ``learn(Z, n, rng, steps)`` turns whitened examples Z (K, m) into n directions (n, K), and appends those of every
    step to `steps`. ``n_components(n)`` is the K that it needs for n directions.
    """

    learn: Callable[[Array, int, np.random.Generator, list[Array]], Array]
    n_components: Callable[[int], int]


def _components_for(n: int) -> int:
    """Return the number of principal components for n filters: n + 100 up to 100 filters, 20 sqrt(n) above.

    More components give finer and more local filters; with too many for the number of filters and examples, more of
    the filters stay noise. Both rules give 200 at n = 100.
    """
    return n + 100 if n <= 100 else round(20 * math.sqrt(n))


PRETRAINERS: dict[str, Pretrainer] = {
    "sparse_filtering": Pretrainer(_sparse_filtering, _components_for),
    "rica": Pretrainer(_rica, _components_for),
    "ica": Pretrainer(_ica, lambda n: n),
}


def learn_filters(
    crops: Array,
    n: int,
    *,
    method: str = "sparse_filtering",
    rng: np.random.Generator,
    steps: list[Array] | None = None,
) -> tuple[Array, Array]:
    """Learn n filters from unlabelled crops of photographs.

    Parameters
    ----------
    crops : ndarray of shape (n_x, m), float, 0 to 1
        About `N_CROPS` crops (see `n_crops_for`); far fewer give noisy filters.
    n : int
        Number of filters, at least 1.
    method : str
        A name in `PRETRAINERS`.
    rng : Generator
        The same state gives the same filters, whatever the number of threads.
    steps : list, optional
        The filters at the start and after every step are appended to it; ica has no steps.

    Returns
    -------
    filters : ndarray of shape (n, n_x), float64
        With whitening folded in, so they apply to images. Every row has mean 0 and length 1.
    sparseness : ndarray of shape (n,), float64, 0 to 1
        1 - mean absolute value / root mean square of each filter's activations on the crops. Noise has 0.2, as
        Gaussian activations have.

    Raises
    ------
    ValueError
        When the method is unknown or does not converge; n is larger than the number of dimensions of the crops
        (ica); there are no crops, all are flat, or they hold NaN or infinity.
    """
    if method not in PRETRAINERS:
        raise ValueError(f"pretrain: {method!r} is unknown; choose one of {', '.join(PRETRAINERS)}")
    if not crops.size or not np.isfinite(crops).all():
        raise ValueError(f"crops of shape {crops.shape} are empty or hold NaN or infinity")
    from threadpoolctl import threadpool_limits

    # Several threads round differently, and tiny differences grow into other filters: so one thread on any machine.
    with threadpool_limits(1, user_api="blas"):
        return _learn_filters(crops, n, method, rng, steps)


def _learn_filters(
    crops: Array, n: int, method: str, rng: np.random.Generator, steps: list[Array] | None
) -> tuple[Array, Array]:
    pretrainer, n_learned = PRETRAINERS[method], math.ceil(_SPARE * n)
    # The last few components of small crops have almost no variance: mostly rounding and resizing.
    largest = max(1, min(int(0.9 * len(crops)), crops.shape[1] - 1))
    Z, P = whiten(normalize_contrast(crops), min(pretrainer.n_components(n_learned), largest))
    if not len(Z):
        raise ValueError("all crops are flat or identical, so no filter can be learned; use other photographs")
    directions_by_step: list[Array] = []
    directions = pretrainer.learn(Z, n_learned, rng, directions_by_step)
    if not np.isfinite(directions).all():
        raise ValueError(f"pretrain: {method} did not converge on these crops; use sparse_filtering or other crops")
    if len(directions) < n:
        raise ValueError(
            f"pretrain: {method} finds at most {len(directions)} filters in these crops, but {n} are needed; "
            "use sparse_filtering, fewer units or larger images"
        )
    activations = directions.astype(np.float32) @ Z
    sparseness = 1 - np.abs(activations).mean(axis=1) / np.sqrt((activations * activations).mean(axis=1))
    kept = np.sort(np.argsort(-sparseness, kind="stable")[:n])
    if steps is not None:
        steps += [_unwhitened(step[kept], P) for step in directions_by_step]
    return _unwhitened(directions[kept], P), sparseness[kept].astype(np.float64)


def _unwhitened(directions: Array, P: Array) -> Array:
    """Turn directions in the space of whitened crops into filters for images: rows of mean 0 and length 1."""
    filters = directions @ P
    filters -= filters.mean(axis=1, keepdims=True)
    return filters / np.linalg.norm(filters, axis=1, keepdims=True)


def n_crops_for(n: int) -> int:
    """Return the number of crops to learn n filters from: 40 for every principal component, at least `N_CROPS`."""
    return max(N_CROPS, 40 * _components_for(math.ceil(_SPARE * n)))


def n_filters_for(n_1: int, activation: str) -> int:
    """Return the number of filters for a first layer of n_1 units: half as many if each is used as w and as -w."""
    return math.ceil(n_1 / 2) if activation in ONE_SIDED else n_1


def crop_shape_for(geometry_shape: tuple[int, int, int], *, in_color: bool = False) -> tuple[int, int, int]:
    """Return the (height, width, channels) of the crops to learn from.

    They are as large as the images but at most `LEARNING_SIDE` pixels a side, with the same aspect ratio, and gray
    unless `in_color`: in colour, a third of the filters become colour-opponent blobs (as in Hoyer & Hyvärinen 2000)
    instead of edges.
    """
    height, width, channels = geometry_shape
    share = min(1.0, LEARNING_SIDE / max(height, width))
    return max(1, round(height * share)), max(1, round(width * share)), channels if in_color else 1


def fit_filters(filters: Array, crop_shape: tuple[int, int, int], geometry_shape: tuple[int, int, int]) -> Array:
    """Bring filters to the shape of the images.

    Sizes are changed by cubic convolution (Keys 1981); a gray filter gets the same weights for all colours.

    Parameters
    ----------
    filters : ndarray of shape (n, height * width * channels of the crops), float
    crop_shape, geometry_shape : (height, width, channels)
        With equally many channels, or one channel in the crops.

    Returns
    -------
    ndarray of shape (n, height * width * channels of the images), float64
        Every row has mean 0 and length 1.
    """
    if crop_shape == geometry_shape:
        return filters
    rows, columns = (_resizing(crop_shape[axis], geometry_shape[axis]) for axis in (0, 1))
    images = filters.reshape(-1, *crop_shape)
    resized = np.einsum("Hh,nhwc,Ww->nHWc", rows, images, columns, optimize=True)
    fitted = np.broadcast_to(resized, (*resized.shape[:3], geometry_shape[2])).reshape(len(filters), -1)
    fitted = fitted - fitted.mean(axis=1, keepdims=True)
    return fitted / np.linalg.norm(fitted, axis=1, keepdims=True)


def _resizing(n_from: int, n_to: int) -> Array:
    """Return the matrix (n_to, n_from) that resamples a line of values; beyond its ends the line continues flat."""
    positions = (np.arange(n_to) + 0.5) * n_from / n_to - 0.5
    first = np.floor(positions).astype(int)
    matrix = np.zeros((n_to, n_from))
    for step in (-1, 0, 1, 2):
        d = np.abs(positions - first - step)
        near, far = (1.5 * d - 2.5) * d * d + 1, ((-0.5 * d + 2.5) * d - 4) * d + 2
        np.add.at(matrix, (np.arange(n_to), np.clip(first + step, 0, n_from - 1)), np.where(d <= 1, near, far))
    return matrix


def first_layer_weights(filters: Array, X: Array, n_1: int, activation: str) -> Array:
    """Make W1 from filters: in pairs w, -w for one-sided activations, each unit's Z with a standard deviation of 1.

    Parameters
    ----------
    filters : ndarray of shape (n, n_x), float
        With n from `n_filters_for`.
    X : ndarray of shape (n_x, m), float
        Training examples as the network will see them; a sample is enough.
    n_1 : int
        Units of layer 1. If their number is odd, the last filter is used without its negative.
    activation : str

    Returns
    -------
    W1 : ndarray of shape (n_1, n_x), float64
        To be used with b1 = 0.

    Raises
    ------
    ValueError
        When the number of filters or their size does not fit.
    """
    n_filters = n_filters_for(n_1, activation)
    if filters.shape != (n_filters, len(X)):
        raise ValueError(f"filters have shape {filters.shape}, expected ({n_filters}, {len(X)}) for {n_1} units")
    std = (filters @ X).std(axis=1, keepdims=True)
    scaled = filters / np.where(std > 1e-6, std, 1)
    return np.concatenate([scaled, -scaled[: n_1 - n_filters]])


def pretrain_first_layer(
    crops: Array,
    crop_shape: tuple[int, int, int],
    geometry_shape: tuple[int, int, int],
    X: Array,
    n_1: int,
    activation: str,
    *,
    method: str = "sparse_filtering",
    rng: np.random.Generator,
) -> Array:
    """Learn W1 from crops of photographs.

    Parameters
    ----------
    crops : ndarray of shape (height * width * channels of the crops, m), float, 0 to 1
        About ``n_crops_for(n_filters_for(n_1, activation))`` crops.
    crop_shape : (height, width, channels)
        Shape of the crops, from `crop_shape_for`.
    geometry_shape : (height, width, channels)
        Shape of the images to be classified.
    X : ndarray of shape (n_x, m), float
        Training examples as the network will see them (centred, or normalised for contrast); a sample is enough.
    n_1 : int
        Units of layer 1.
    activation : str
    method : str
        A name in `PRETRAINERS`.
    rng : Generator

    Returns
    -------
    W1 : ndarray of shape (n_1, n_x), float64

    Raises
    ------
    ValueError
        When `learn_filters` or `first_layer_weights` raises it.
    """
    filters, _ = learn_filters(crops, n_filters_for(n_1, activation), method=method, rng=rng)
    return first_layer_weights(fit_filters(filters, crop_shape, geometry_shape), X, n_1, activation)
