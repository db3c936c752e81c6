"""Images of what the layers of a classifier have learned, each kind labelled with how it was made."""

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

_IMAGES_FOR_FIELDS = 64  # images that receptive fields are measured on
_CONTROL_FILTERS = 50
_CONTROL_PATCHES = 200
_TOP = 8  # images in the mean of a unit's maximally activating images


def score_first_layer(classifier: ImageClassifier, *, fit_all: bool = False) -> FilterScores:
    """Score the first layer as a bank of edge detectors; see `model.edges.scores.score_filters`."""
    return score_filters(classifier.parameters[1].W, classifier.geometry.shape, fit_all=fit_all)


def control_shares(classifier: ImageClassifier, *, seed: int = 0) -> dict[str, float]:
    """Return the share of edge detectors in controls: layers that had no edges to learn, scored by the same criteria.

    The controls have the classifier's own image size, colours, activation and method of pretraining (sparse filtering
    if it had none). Each has at most `_CONTROL_FILTERS` filters, so that scoring them takes about a second, or a few
    seconds for images of 32 pixels a side and more.

    Parameters
    ----------
    classifier : ImageClassifier
    seed : int

    Returns
    -------
    dict of str to float, 0 to 1
        The keys name the controls: "learned from white noise", "learned from 1/f noise", "learned from photographs
        with random phases", "random weights", and "raw patches of photographs". A few raw patches do look like an edge;
        their share is the floor that a trained layer has to exceed.

    Raises
    ------
    ValueError
        If the images are too small for the method.
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
    patches = take_crops(embedded_photographs(), crop_shape, _CONTROL_PATCHES, rng).T
    found["raw patches of photographs"] = patches - patches.mean(axis=1, keepdims=True)
    return {
        name: float(score_filters(fit_filters(W, crop_shape, shape) if W.shape[1] != W1.shape[1] else W, shape,
                                  fit_all=False).edge.mean())
        for name, W in found.items()
    }  # fmt: skip


def first_layer_images(classifier: ImageClassifier, scores: FilterScores, n: int) -> LayerImages:
    """Return n rows of W1, evenly spaced over the units in their order; only the first unit of each on/off pair."""
    W1 = classifier.parameters[1].W
    order = scores.order[scores.partner[scores.order] < 0]
    shown = order[np.linspace(0, len(order) - 1, min(n, len(order))).astype(int)]
    return LayerImages("Layer 1", f"{len(shown)} of {len(W1)} units: rows of W1. {scores.summary()}", W1[shown])


def layer_receptive_fields(classifier: ImageClassifier, images: np.ndarray, l: int) -> np.ndarray:
    """Return the receptive fields of all units of layer l, (n_l, n_x), measured on the first of some images.

    `images` has shape (m, height, width, channels), uint8.
    """
    X: Array = classifier.preprocessor.apply(images[:_IMAGES_FOR_FIELDS])
    return receptive_fields(l, X, classifier.parameters, classifier.network)


def deeper_layer_images(classifier: ImageClassifier, images: np.ndarray, l: int, n: int) -> list[LayerImages]:
    """Return the images of the first n units of layer l, made in three ways.

    Parameters
    ----------
    classifier : ImageClassifier
    images : ndarray of shape (m, height, width, channels), uint8
        Images that the classifier was not trained on.
    l : int
        2 to L.
    n : int
        Number of units.

    Returns
    -------
    list of LayerImages
        The mean of the images that activate a unit most, times its receptive field; an image computed to activate it;
        the product of the weight matrices.
    """
    parameters, network = classifier.parameters, classifier.network
    X: Array = classifier.preprocessor.apply(images)
    shown = _first_units(parameters, l, n)
    fields = receptive_fields(l, X[:, :_IMAGES_FOR_FIELDS], shown, network)
    activations = layer_activations(X, parameters, network)[l - 1][:n]
    means = maximally_activating_mean(X, activations, fields, n_images=_TOP)
    mean, rng = float(X.mean()), np.random.default_rng(0)
    maximised = maximise_activation(l, shown, network, rng, mean=mean, std=float(X.std())) - mean
    n_l = parameters.layer_dims[l]
    units = f"the first {n} of {n_l} units" if n < n_l else f"all {n_l} units" if n_l > 1 else "its only unit"
    method = f"{units}: mean of the {min(_TOP, len(images))} images that activate each most, times its receptive field"
    return [
        LayerImages(f"Layer {l}: maximally activating images", method, means),
        LayerImages(f"Layer {l}: activation maximisation", "the same units: gradient ascent from noise", maximised),
        LayerImages(f"Layer {l}: product of the weights", "the same units: as if there were no activation functions",
                      linear_projection(l, shown)),
    ]  # fmt: skip


def _first_units(parameters: Parameters, l: int, n: int) -> Parameters:
    """Return layers 1 to l of a network, with only the first n units of layer l."""
    dims = (*parameters.layer_dims[:l], min(n, parameters.layer_dims[l]))
    part = Parameters(dims, dtype=parameters.flat.dtype)
    for below in range(1, l + 1):
        part[below].W[:], part[below].b[:] = parameters[below].W[: dims[below]], parameters[below].b[: dims[below]]
    return part
