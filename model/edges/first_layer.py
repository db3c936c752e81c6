"""Unsupervised pretraining of layer 1: from small pieces of photographs to a bank of edge detectors.

A fully connected network trained in the ordinary way has noise in its first layer, whatever tutorials say. What
brings edges out is to ask for sparse answers to many small, whitened pieces of photographs, without any labels
(Olshausen & Field 1996; Bell & Sejnowski 1997). The steps, each a function below:

1. every piece loses its mean and is divided by its spread (`normalize_contrast`);
2. the pieces are whitened: their leading principal components, each scaled to a spread of 1 (`whiten`);
3. a method of `PRETRAINERS` finds directions in which the answers are sparse;
4. whitening is folded into these directions, so that each is an image again; somewhat more are learned than are
   needed, and the sparsest are kept (`learn_filters`);
5. they are brought to the size and colours of the images to be classified (`fit_filters`), and become rows of W1,
   in pairs w, -w where the activation cuts off one side (`first_layer_weights`).

`pretrain_first_layer` does all of it. The network itself may see images as they are: rows of W1 have mean 0, so an
image's mean does not matter, and its contrast only scales the answers. Nothing here is fitted to what
`model.edges.scores`
scores: no Gabor function is put in anywhere.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model.activations import Array
from model.contrast import normalize_contrast

LEARNING_SIDE = 32  # filters for larger images are learned on pieces of this size and enlarged
N_CROPS = 8_000
MAX_ITERATIONS = 50
ONE_SIDED = ("relu", "leaky_relu", "elu", "gelu", "softplus")  # answer to w or to -w, but hardly to both
_SPARE = 1.1  # share of filters learned; a few always stay noise, and answer least sparsely


def whiten(X: Array, n_components: int) -> tuple[Array, Array]:
    """Project examples on their leading principal components, each scaled to a variance of 1.

    Parameters
    ----------
    X : ndarray of shape (n_x, m), float
    n_components : int
        K. Components without variance are left out, so fewer may come back.

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


class _SparseFiltering:
    """Cost and gradient of sparse filtering (Ngiam, Koh, Chen, Bhaskar, Ng 2011) on whitened examples.

    F = sqrt((W Z)^2 + epsilon); every row of F is divided by its length (each feature is as active as the others),
    then every column (each example is as active as the others); the cost is the sum of what comes out. The columns
    are worked through in pieces that stay in the cache. Because Z Z^T = m I, one of the three terms of the gradient
    needs no pass over the examples.
    """

    _EPSILON = np.float32(1e-8)
    _PIECE = 1000

    def __init__(self, Z: Array) -> None:
        self._pieces = [np.ascontiguousarray(Z[:, i : i + self._PIECE]) for i in range(0, Z.shape[1], self._PIECE)]
        self._K, self._m = Z.shape

    def __call__(self, flat: Array) -> tuple[float, Array]:
        W = flat.reshape(-1, self._K).astype(np.float32)
        answers = [W @ Z for Z in self._pieces]
        squares = [A * A + self._EPSILON for A in answers]
        row = 1 / np.sqrt(np.sum([Q.sum(axis=1, dtype=np.float64) for Q in squares], axis=0)).astype(np.float32)
        row_squared = row * row
        cost, along_row = 0.0, np.zeros(len(W))
        gradient = np.zeros(W.shape, np.float32)
        for Z, A, Q in zip(self._pieces, answers, squares, strict=True):
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


class _Rica:
    """Cost and gradient of reconstruction ICA (Le, Karpenko, Ngiam, Ng 2011) on whitened examples.

    Rows of W are kept at length 1 inside the cost; smooth absolute answers, plus lambda times the squared error of
    the reconstruction W^T W z.
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
    """Minimise over W (n, K) with L-BFGS (Liu, Nocedal 1989) from a random start; `steps` gets W on the way."""
    from scipy.optimize import minimize

    def keep(flat: Array) -> None:
        steps.append(flat.reshape(n, K).astype(np.float32))

    start = rng.standard_normal(n * K)
    keep(start)
    options = {"maxiter": MAX_ITERATIONS, "maxcor": 20}
    return minimize(cost, start, jac=True, method="L-BFGS-B", options=options, callback=keep).x.reshape(n, K)


def _sparse_filtering(Z: Array, n: int, rng: np.random.Generator, steps: list[Array]) -> Array:
    return _minimize(_SparseFiltering(Z), n, len(Z), rng, steps)


def _rica(Z: Array, n: int, rng: np.random.Generator, steps: list[Array]) -> Array:
    return _minimize(_Rica(Z), n, len(Z), rng, steps)


def _ica(Z: Array, n: int, rng: np.random.Generator, steps: list[Array]) -> Array:
    """Find independent components (Hyvärinen 1999) with scikit-learn; as many as there are dimensions; no steps."""
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    ica = FastICA(whiten=False, max_iter=200, tol=1e-3, random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the filters are fine well before full convergence
        ica.fit(Z.T)
    return ica.components_


@dataclass(frozen=True)
class Pretrainer:
    """A way to find sparse directions, and how many components (K) it takes for n.

    `learn` turns whitened examples (K, m) and n into directions (n, K); a list gets those of every step on the way.
    """

    learn: Callable[[Array, int, np.random.Generator, list[Array]], Array]
    n_components: Callable[[int], int]


def _components_for(n: int) -> int:
    """Return how many principal components n filters are learned in: n + 100 up to 100 filters, 20 sqrt(n) above.

    More components make finer and more local filters; with too many for the number of filters and examples, more of
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
    """Learn n filters from unlabelled pieces of photographs.

    Parameters
    ----------
    crops : ndarray of shape (n_x, m), float, 0 to 1
        About `N_CROPS` of them (see `n_crops_for`); far fewer give noisy filters.
    n : int
        Filters wanted, at least 1.
    method : str
        A name in `PRETRAINERS`.
    rng : Generator
        The same one gives the same filters, whatever the number of threads.
    steps : list, optional
        Gets these filters as they were at the start and after every step; ica has none.

    Returns
    -------
    filters : ndarray of shape (n, n_x), float64
        Whitening folded in: they apply to images. Every row has mean 0 and length 1.
    sparseness : ndarray of shape (n,), float64, 0 to 1
        Of each filter's answers to the crops: 1 - mean size / root mean square. 0.2 is noise's (Gaussian answers).

    Raises
    ------
    ValueError
        When the method is unknown, or comes to no result; n is more than the crops have dimensions for (ica); there
        are no crops, they are all flat, or they hold NaN or infinity.
    """
    if method not in PRETRAINERS:
        raise ValueError(f"pretrain: {method!r} is unknown; choose one of {', '.join(PRETRAINERS)}")
    if not crops.size or not np.isfinite(crops).all():
        raise ValueError(f"crops of shape {crops.shape} are empty or hold NaN or infinity")
    from threadpoolctl import threadpool_limits

    # One thread, whatever the machine has: several round differently, and from there the filters go other ways.
    with threadpool_limits(1, user_api="blas"):
        return _learn_filters(crops, n, method, rng, steps)


def _learn_filters(
    crops: Array, n: int, method: str, rng: np.random.Generator, steps: list[Array] | None
) -> tuple[Array, Array]:
    pretrainer, n_learned = PRETRAINERS[method], math.ceil(_SPARE * n)
    # The last few components of small pieces carry next to no variance: mostly rounding and resizing.
    largest = max(1, min(int(0.9 * len(crops)), crops.shape[1] - 1))
    Z, P = whiten(normalize_contrast(crops), min(pretrainer.n_components(n_learned), largest))
    if not len(Z):
        raise ValueError("crops are all alike or flat; there is nothing to learn from them")
    on_the_way: list[Array] = []
    directions = pretrainer.learn(Z, n_learned, rng, on_the_way)
    if not np.isfinite(directions).all():
        raise ValueError(f"pretrain: {method} came to no result with these crops; use sparse_filtering or other crops")
    if len(directions) < n:
        raise ValueError(
            f"pretrain: {method} finds at most {len(directions)} filters in these crops, {n} are wanted; "
            "use sparse_filtering, fewer units or larger images"
        )
    answers = directions.astype(np.float32) @ Z
    sparseness = 1 - np.abs(answers).mean(axis=1) / np.sqrt((answers * answers).mean(axis=1))
    kept = np.sort(np.argsort(-sparseness, kind="stable")[:n])
    if steps is not None:
        steps += [_unwhitened(some[kept], P) for some in on_the_way]
    return _unwhitened(directions[kept], P), sparseness[kept].astype(np.float64)


def _unwhitened(directions: Array, P: Array) -> Array:
    """Turn directions among the whitened examples into filters for images: rows of mean 0 and length 1."""
    filters = directions @ P
    filters -= filters.mean(axis=1, keepdims=True)
    return filters / np.linalg.norm(filters, axis=1, keepdims=True)


def n_crops_for(n: int) -> int:
    """Return how many crops n filters are to be learned from: `N_CROPS`, and 40 for every principal component."""
    return max(N_CROPS, 40 * _components_for(math.ceil(_SPARE * n)))


def n_filters_for(n_1: int, activation: str) -> int:
    """Return how many filters make a first layer of n_1 units: half of them where each is used as w and as -w."""
    return math.ceil(n_1 / 2) if activation in ONE_SIDED else n_1


def crop_shape_for(geometry_shape: tuple[int, int, int], *, in_color: bool = False) -> tuple[int, int, int]:
    """Return the (height, width, channels) of the crops to learn from.

    They are as large as the images, but at most `LEARNING_SIDE` a side, with the images' aspect; and gray unless
    `in_color`: in colour a third of the filters come out as wide fields of opponent colours (as in Hoyer & Hyvärinen
    2000) instead of edges.
    """
    height, width, channels = geometry_shape
    share = min(1.0, LEARNING_SIDE / max(height, width))
    return max(1, round(height * share)), max(1, round(width * share)), channels if in_color else 1


def fit_filters(filters: Array, crop_shape: tuple[int, int, int], geometry_shape: tuple[int, int, int]) -> Array:
    """Bring filters to the images' shape: sizes by cubic convolution (Keys 1981), gray filters on all colours alike.

    Parameters
    ----------
    filters : ndarray of shape (n, height * width * channels of the crops), float
    crop_shape, geometry_shape : (height, width, channels)
        Same channels, or one in the crops.

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
    """Return the matrix (n_to, n_from) that resamples a line of numbers; beyond its ends the line goes on flat."""
    places = (np.arange(n_to) + 0.5) * n_from / n_to - 0.5
    first = np.floor(places).astype(int)
    matrix = np.zeros((n_to, n_from))
    for step in (-1, 0, 1, 2):
        d = np.abs(places - first - step)
        near, far = (1.5 * d - 2.5) * d * d + 1, ((-0.5 * d + 2.5) * d - 4) * d + 2
        np.add.at(matrix, (np.arange(n_to), np.clip(first + step, 0, n_from - 1)), np.where(d <= 1, near, far))
    return matrix


def first_layer_weights(filters: Array, X: Array, n_1: int, activation: str) -> Array:
    """Make W1 of filters: in pairs w, -w for activations of one side, every unit's Z with a spread of 1.

    Parameters
    ----------
    filters : ndarray of shape (n, n_x), float
        n as from `n_filters_for`.
    X : ndarray of shape (n_x, m), float
        Training examples as the network will see them (a sample will do).
    n_1 : int
        Units of layer 1. With an odd number of them the last filter goes without its negative.
    activation : str

    Returns
    -------
    W1 : ndarray of shape (n_1, n_x), float64
        b1 starts at 0.

    Raises
    ------
    ValueError
        When the number of filters or their size does not fit.
    """
    wanted = n_filters_for(n_1, activation)
    if filters.shape != (wanted, len(X)):
        raise ValueError(f"filters have shape {filters.shape}, expected ({wanted}, {len(X)}) for {n_1} units")
    spread = (filters @ X).std(axis=1, keepdims=True)
    scaled = filters / np.where(spread > 1e-6, spread, 1)
    return np.concatenate([scaled, -scaled[: n_1 - wanted]])


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
    crops : ndarray of shape (n of crop_shape, m), float, 0 to 1
        Of `crop_shape_for`'s shape, about ``n_crops_for(n_filters_for(n_1, activation))`` of them.
    crop_shape, geometry_shape : (height, width, channels)
    X : ndarray of shape (n_x, m), float
        Training examples as the network will see them (centred, or normalised for contrast); a sample will do.
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
        As `learn_filters` and `first_layer_weights` do.
    """
    filters, _ = learn_filters(crops, n_filters_for(n_1, activation), method=method, rng=rng)
    return first_layer_weights(fit_filters(filters, crop_shape, geometry_shape), X, n_1, activation)
