"""Images of what a classifier's layers look at: edges, then larger patterns, each kind named for how it was made."""

from __future__ import annotations

import numpy as np

from model.activations import Array
from model.edges.first_layer import (
    crop_shape_for,
    fit_filters,
    learn_filters,
    n_crops_for,
    n_filters_for,
)
from model.edges.scores import FilterScores, score_filters
from model.edges.stimuli import (
    layer_activations,
    linear_projection,
    maximally_activating_mean,
    maximise_activation,
    receptive_fields,
)
from model.parameters import Parameters
from model.randomness import RandomStream
from pipeline.classifier import ImageClassifier
from pipeline.explanation.figures import LayerImages
from pipeline.images.crops import NOISES, embedded_photographs, noise_photographs, take_crops

_EXAMPLES = 64  # images that receptive fields are measured on
_CONTROL_FILTERS = 50
_CONTROL_PIECES = 200
_TOP = 8  # images that a unit's mean is made of


def score_first_layer(classifier: ImageClassifier, *, fit_all: bool = False) -> FilterScores:
    """Score the first layer as a bank of edge detectors; see `model.edges.scores.score_filters`."""
    return score_filters(classifier.parameters[1].W, classifier.geometry.shape, fit_all=fit_all)


def control_shares(classifier: ImageClassifier, *, seed: int = 0) -> dict[str, float]:
    """Return the share of edge units where there should be none: the same measure, and method, without edges to learn.

    For the classifier's own size, colours, activation and method of pretraining (sparse filtering where it had none).
    At most `_CONTROL_FILTERS` filters each, so that it takes about a second, or a few for images of 32 pixels a side
    and more.

    Parameters
    ----------
    classifier : ImageClassifier
    seed : int

    Returns
    -------
    dict of str to float, 0 to 1
        The key says what was done: "learned from white noise", "learned from 1/f noise", "learned from photographs with
        random phases", "random weights", and "pieces of photographs, as they are", of which a few do look like an
        edge: the floor that a claim has to clear.

    Raises
    ------
    ValueError
        When the images are too small for the method.
    """
    shape, W1 = classifier.geometry.shape, classifier.parameters[1].W
    crop_shape, n = crop_shape_for(shape), min(_CONTROL_FILTERS, n_filters_for(len(W1), classifier.network.activation))
    method = classifier.pretraining.pretrain if classifier.pretraining.is_on else "sparse_filtering"
    rng = np.random.default_rng([seed, 0, 0, RandomStream.CONTROLS])
    found = {}
    for kind in NOISES:
        crops = take_crops(noise_photographs(kind, rng), crop_shape, n_crops_for(n), rng)
        found[f"learned from {kind}"] = learn_filters(crops, n, method=method, rng=rng)[0]
    found["random weights"] = rng.normal(size=(_CONTROL_FILTERS, W1.shape[1]))
    pieces = take_crops(embedded_photographs(), crop_shape, _CONTROL_PIECES, rng).T
    found["pieces of photographs, as they are"] = pieces - pieces.mean(axis=1, keepdims=True)
    return {
        name: float(score_filters(fit_filters(W, crop_shape, shape) if W.shape[1] != W1.shape[1] else W, shape,
                                  fit_all=False).edge.mean())
        for name, W in found.items()
    }  # fmt: skip


def first_layer_images(classifier: ImageClassifier, scores: FilterScores, n: int) -> LayerImages:
    """Return n rows of W1, evenly spread over the units in their order; of an on/off pair only one."""
    W1 = classifier.parameters[1].W
    order = scores.order[scores.partner[scores.order] < 0]
    shown = order[np.linspace(0, len(order) - 1, min(n, len(order))).astype(int)]
    return LayerImages("Layer 1", f"{len(shown)} of {len(W1)} units: rows of W1. {scores.summary()}", W1[shown])


def deeper_layer_images(classifier: ImageClassifier, images: np.ndarray, l: int, n: int) -> list[LayerImages]:
    """Return the images of the first n units of layer l, made in three ways.

    Parameters
    ----------
    classifier : ImageClassifier
    images : ndarray of shape (m, height, width, channels), uint8
        Images that took no part in the training.
    l : int
        2 to L.
    n : int

    Returns
    -------
    list of LayerImages
        The mean of the images a unit answers to most, times its receptive field; an image made to excite it; the
        product of the weight matrices.
    """
    parameters, network = classifier.parameters, classifier.network
    X: Array = classifier.preprocessor.apply(images)
    shown = _first_units(parameters, l, n)
    fields = receptive_fields(l, X[:, :_EXAMPLES], shown, network)
    answers = layer_activations(X, parameters, network)[l - 1][:n]
    means = maximally_activating_mean(X, answers, fields, n_images=_TOP)
    mean, rng = float(X.mean()), np.random.default_rng(0)
    made = maximise_activation(l, shown, network, rng, mean=mean, std=float(X.std())) - mean
    count = parameters.layer_dims[l]
    some = f"the first {n} of {count} units" if n < count else f"its {count} units" if count > 1 else "its one unit"
    how = f"{some}: mean of the {min(_TOP, len(images))} images each answers to most, times its receptive field"
    return [
        LayerImages(f"Layer {l}", how, means),
        LayerImages("", "the same units: images made to excite them, by gradient ascent", made),
        LayerImages("", "the same units: the product of all weights below, as if there were no activations",
                      linear_projection(l, shown)),
    ]  # fmt: skip


def _first_units(parameters: Parameters, l: int, n: int) -> Parameters:
    """Return layers 1 to l of a network, and of layer l the first n units only: all that these need."""
    dims = (*parameters.layer_dims[:l], min(n, parameters.layer_dims[l]))
    some = Parameters(dims, dtype=parameters.flat.dtype)
    for below in range(1, l + 1):
        some[below].W[:], some[below].b[:] = parameters[below].W[: dims[below]], parameters[below].b[: dims[below]]
    return some
