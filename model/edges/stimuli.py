"""What the units of deeper layers respond to: images of it, and measures.

A row of W1 is an image; a row of W2 is not, so there is no single correct image of a deeper unit. Three are computed
here, and each should be shown under its own name: the mean of the maximally activating images
(`maximally_activating_mean`), an image optimised to activate the unit (`maximise_activation`; Erhan, Bengio, Courville,
Vincent 2009), and the product of the weight matrices up to it (`linear_projection`), which ignores the activation
functions in between. `receptive_fields` measures which pixels influence a unit, `unit_auc` how well a single unit
separates the classes. All functions expect networks without batch normalisation (`model.folding` removes it).
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
    """Return A1 ... A_{L-1} and Z_L, each (n_l, m), for the examples X (n_x, m)."""
    _, caches = forward(X, parameters, config)
    return [cache.A for cache in caches]


def _slopes(cache: LayerCache, config: NetworkConfig) -> Array:
    """Return g'(Z) of a hidden layer, (n_l, m)."""
    activation = ACTIVATIONS[config.activation]
    return activation.backward(np.ones_like(cache.Z), cache.Z, cache.A, np.empty_like(cache.Z))


def receptive_fields(l: int, X: Array, parameters: Parameters, config: NetworkConfig) -> Array:
    """Return how strongly each input pixel influences each unit of layer l.

    This is the root mean square, over the examples, of the derivative of the unit's Z by the pixel; for layer 1 it is
    the absolute value of W1.

    Parameters
    ----------
    l : int
        1 to L.
    X : ndarray of shape (n_x, m), float
        A few dozen examples are enough; each costs a product of all weight matrices up to l.
    parameters : Parameters
        Without batch normalisation.
    config : NetworkConfig

    Returns
    -------
    ndarray of shape (n_l, n_x), float64, 0 or more
        Its `model.edges.scores.energy_area` is the area of the receptive field.
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


def maximally_activating_mean(
    X: Array, activations: Array, fields: Array | None = None, *, n_images: int = 20
) -> Array:
    """Return the mean of each unit's maximally activating images, weighted by its activation, minus the overall mean.

    Parameters
    ----------
    X : ndarray of shape (n_x, m), float
    activations : ndarray of shape (n, m), float
        From `layer_activations`.
    fields : ndarray of shape (n, n_x), optional
        Receptive fields. Every pixel is multiplied by its value in the field, so that only pixels that influence the
        unit are shown.
    n_images : int
        Number of images in each mean.

    Returns
    -------
    ndarray of shape (n, n_x), float64
        Zeros for a unit that no image activates.
    """
    k = min(n_images, X.shape[1])
    top = np.argsort(-activations, axis=1, kind="stable")[:, :k]
    weights = np.maximum(np.take_along_axis(activations, top, axis=1).astype(np.float64), 0)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    means = np.stack([X[:, chosen] @ weight for chosen, weight in zip(top, weights, strict=True)])
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
    std: float = 1.0,
    n_steps: int = 100,
) -> Array:
    """Return an image that maximally activates each unit of layer l: gradient ascent on its Z from noise.

    The mean and standard deviation of the pixels are held constant; otherwise Z would grow without end (Erhan, Bengio,
    Courville, Vincent 2009).

    Parameters
    ----------
    l : int
        1 to L.
    parameters : Parameters
        Without batch normalisation.
    config : NetworkConfig
    rng : Generator
    mean, std : float
        Mean and standard deviation of the pixels of each image, as in the images the network was trained on; 0 and 1
        if those are normalised for contrast.
    n_steps : int

    Returns
    -------
    ndarray of shape (n_l, n_x), float64
    """
    n_x, n = parameters.layer_dims[0], parameters.layer_dims[l]
    dtype = parameters.flat.dtype
    X = _standardised(rng.standard_normal((n_x, n)))  # column i is the pattern for unit i
    for step in range(n_steps):
        _, caches = forward(np.asfortranarray((mean + std * X).astype(dtype)), parameters, config)
        gradient = parameters[l].W.T  # column i: the gradient of unit i by A of the layer below
        for below in range(l - 1, 0, -1):
            gradient = parameters[below].W.T @ (gradient * _slopes(caches[below - 1], config))
        length = np.linalg.norm(gradient, axis=0)
        stride = np.sqrt(n_x) * (0.5 - 0.45 * step / n_steps)  # sqrt(n_x) is the length of the pattern
        X = _standardised(X + stride * gradient / np.maximum(length, 1e-12))
    return (mean + std * X).T


def _standardised(X: Array) -> Array:
    """Bring every column to mean 0 and standard deviation 1, in float64."""
    X = X.astype(np.float64)
    X -= X.mean(axis=0)
    return X / np.maximum(X.std(axis=0), 1e-12)


def linear_projection(l: int, parameters: Parameters) -> Array:
    """Return W_l ... W_2 W_1, (n_l, n_x), float64: the weights of layer l without the activation functions below it."""
    product = parameters[1].W.astype(np.float64)
    for above in range(2, l + 1):
        product = parameters[above].W @ product
    return product


def unit_auc(activations: Array, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return how well each single unit separates one class from the others.

    This is the area under the ROC curve of the unit's activations, or 1 minus it, whichever is larger; with more than
    two classes, for the class that the unit separates best. Ties count half (Mann & Whitney 1947).

    Parameters
    ----------
    activations : ndarray of shape (n, m), float
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
        raise ValueError("labels hold one class only; an AUC needs examples of at least two classes")
    ranks = rankdata(activations, axis=1)
    best = np.full(len(activations), 0.5)
    for c in classes:
        of_class = labels == c
        n_in, n_out = int(of_class.sum()), int((~of_class).sum())
        auc = (ranks[:, of_class].sum(axis=1) - n_in * (n_in + 1) / 2) / (n_in * n_out)
        best = np.maximum(best, np.maximum(auc, 1 - auc))
    return best
