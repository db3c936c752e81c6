"""What the units of deeper layers look at: from edges to larger patterns, measured and shown.

A row of W1 is an image; a row of W2 is not, so there is no one right image of a deeper unit. Three are made here,
and each has to be shown under its own name: the mean of the training images a unit answers to most
(`most_exciting_mean`), the image made to excite it (`maximise_activation`; Erhan, Bengio, Courville, Vincent 2009),
and the product of the weight matrices below it (`linear_projection`), which ignores the activations in between.
`receptive_fields` says where in the image a unit looks, `unit_auc` how well one unit alone tells the classes apart.
All of it is for networks of which batch normalisation is folded away (`model.folding`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.activations import ACTIVATIONS, Array
from model.config import NetworkConfig
from model.network import LayerCache, forward
from model.parameters import Parameters


def layer_activations(X: Array, parameters: Parameters, config: NetworkConfig) -> list[Array]:
    """Return A1 ... A_{L-1} and Z_L: what every layer answers to the examples X (n_x, m); each (n_l, m)."""
    _, caches = forward(X, parameters, config)
    return [cache.A for cache in caches]


def _slopes(cache: LayerCache, config: NetworkConfig) -> Array:
    """Return g'(Z) of a hidden layer, (n_l, m)."""
    activation = ACTIVATIONS[config.activation]
    return activation.backward(np.ones_like(cache.Z), cache.Z, cache.A, np.empty_like(cache.Z))


def receptive_fields(l: int, X: Array, parameters: Parameters, config: NetworkConfig) -> Array:
    """Return how strongly each input pixel moves each unit of layer l.

    The root mean square, over the examples, of the derivative of the unit's Z by the pixel; for layer 1 that is the
    size of W1.

    Parameters
    ----------
    l : int
        1 to L.
    X : ndarray of shape (n_x, m), float
        A few dozen examples: each costs a product of all weight matrices up to l.
    parameters : Parameters
        Without batch normalisation.
    config : NetworkConfig

    Returns
    -------
    ndarray of shape (n_l, n_x), float64, 0 or more
        `model.edges.scores.energy_area` of it is the area of the receptive field.
    """
    _, caches = forward(X, parameters, config)
    slopes = [_slopes(cache, config) for cache in caches[: l - 1]]
    total = np.zeros((parameters.layer_dims[l], len(X)))
    for example in range(X.shape[1]):
        jacobian = parameters[l].W
        for below in range(l - 1, 0, -1):
            jacobian = (jacobian * slopes[below - 1][:, example]) @ parameters[below].W
        total += jacobian.astype(np.float64) ** 2
    return np.sqrt(total / X.shape[1])


def most_exciting_mean(X: Array, answers: Array, fields: Array | None = None, *, n_images: int = 20) -> Array:
    """Return the mean of the examples each unit answers to most, weighted by its answers, less the mean of all.

    Parameters
    ----------
    X : ndarray of shape (n_x, m), float
    answers : ndarray of shape (n, m), float
        Of the units, from `layer_activations`.
    fields : ndarray of shape (n, n_x), optional
        Receptive fields: every pixel is multiplied by the field there, so that only what the unit sees is shown.
    n_images : int

    Returns
    -------
    ndarray of shape (n, n_x), float64
        Zero for a unit that answers to nothing.
    """
    k = min(n_images, X.shape[1])
    top = np.argsort(-answers, axis=1, kind="stable")[:, :k]
    weights = np.maximum(np.take_along_axis(answers, top, axis=1).astype(np.float64), 0)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    means = np.stack([X[:, some] @ weight for some, weight in zip(top, weights, strict=True)])
    means -= weights.sum(axis=1, keepdims=True) * X.mean(axis=1)
    if fields is not None:
        means *= fields / np.maximum(fields.max(axis=1, keepdims=True), 1e-12)
    return means


def maximise_activation(
    l: int,
    parameters: Parameters,
    config: NetworkConfig,
    rng: np.random.Generator,
    *,
    mean: float = 0.0,
    spread: float = 1.0,
    n_steps: int = 100,
) -> Array:
    """Make, for each unit of layer l, an image that excites it: gradient ascent on its Z from faint noise.

    Every image is held at one mean and one spread (standard deviation) of its pixels; without that, Z would grow
    without end (Erhan, Bengio, Courville, Vincent 2009).

    Parameters
    ----------
    l : int
        1 to L.
    parameters : Parameters
        Without batch normalisation.
    config : NetworkConfig
    rng : Generator
    mean, spread : float
        Of the images the network was made for: 0 and 1 where they are normalised for contrast.
    n_steps : int

    Returns
    -------
    ndarray of shape (n_l, n_x), float64
    """
    n_x, n = parameters.layer_dims[0], parameters.layer_dims[l]
    dtype = parameters.flat.dtype
    X = _held(rng.standard_normal((n_x, n)))  # column i is unit i's pattern: mean 0, spread 1
    for step in range(n_steps):
        _, caches = forward(np.asfortranarray((mean + spread * X).astype(dtype)), parameters, config)
        gradient = parameters[l].W.T  # column i: by the answers of the layer below
        for below in range(l - 1, 0, -1):
            gradient = parameters[below].W.T @ (gradient * _slopes(caches[below - 1], config))
        length = np.linalg.norm(gradient, axis=0)
        stride = np.sqrt(n_x) * (0.5 - 0.45 * step / n_steps)  # of the pattern's own length, which is sqrt(n_x)
        X = _held(X + stride * gradient / np.maximum(length, 1e-12))
    return (mean + spread * X).T


def _held(X: Array) -> Array:
    """Bring every column to mean 0 and spread 1, in float64."""
    X = X.astype(np.float64)
    X -= X.mean(axis=0)
    return X / np.maximum(X.std(axis=0), 1e-12)


def linear_projection(l: int, parameters: Parameters) -> Array:
    """Return W_l ... W_2 W_1, (n_l, n_x) float64: what layer l would see if the activations were not there."""
    product = parameters[1].W.astype(np.float64)
    for above in range(2, l + 1):
        product = parameters[above].W @ product
    return product


def unit_auc(answers: Array, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return how well each unit alone tells a class from the others.

    The area under the ROC curve of the unit's answers, or 1 minus it, whichever is larger; with more than two classes
    that of the class it tells best. Ties count half (Mann & Whitney 1947).

    Parameters
    ----------
    answers : ndarray of shape (n, m), float
    labels : ndarray of shape (m,), integer

    Returns
    -------
    ndarray of shape (n,), float64, 0.5 to 1

    Raises
    ------
    ValueError
        When there is only one class.
    """
    from scipy.stats import rankdata

    classes: Sequence[int] = np.unique(labels).tolist()
    if len(classes) < 2:
        raise ValueError("labels hold one class only; telling classes apart needs examples of two")
    ranks = rankdata(answers, axis=1)
    best = np.full(len(answers), 0.5)
    for one in classes:
        of_class = labels == one
        n_in, n_out = int(of_class.sum()), int((~of_class).sum())
        auc = (ranks[:, of_class].sum(axis=1) - n_in * (n_in + 1) / 2) / (n_in * n_out)
        best = np.maximum(best, np.maximum(auc, 1 - auc))
    return best
