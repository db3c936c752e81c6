"""Pictures of what a classifier's layers look at: edges, then larger patterns, each kind named for how it was made."""

from __future__ import annotations

import numpy as np

from model.activations import Array
from model.filters import FilterScores, score_filters
from model.hierarchy import (
    layer_answers,
    linear_projection,
    maximise_activation,
    most_exciting_mean,
    receptive_fields,
)
from pipeline.classifier import ImageClassifier
from pipeline.figures import LayerPictures

_EXAMPLES = 64  # pictures that receptive fields are measured on
_TOP = 8  # pictures that a unit's mean is made of


def score_first_layer(classifier: ImageClassifier, *, fit_all: bool = False) -> FilterScores:
    """Score the first layer as a bank of edge detectors; see `model.filters.score_filters`."""
    return score_filters(classifier.parameters[1].W, classifier.geometry.shape, fit_all=fit_all)


def first_layer_pictures(classifier: ImageClassifier, scores: FilterScores, n: int) -> LayerPictures:
    """Return n rows of W1, evenly spread over the units in their order; of an on/off pair only one."""
    W1 = classifier.parameters[1].W
    order = scores.order[scores.partner[scores.order] < 0]
    shown = order[np.linspace(0, len(order) - 1, min(n, len(order))).astype(int)]
    return LayerPictures("Layer 1", f"{len(shown)} of {len(W1)} units: rows of W1. {scores.sentence()}", W1[shown])


def deeper_layer_pictures(classifier: ImageClassifier, images: np.ndarray, l: int, n: int) -> list[LayerPictures]:
    """Return the pictures of the first n units of layer l, made in three ways.

    Parameters
    ----------
    classifier : ImageClassifier
    images : ndarray of shape (m, height, width, channels), uint8
        Pictures that took no part in the training.
    l : int
        2 to L.
    n : int

    Returns
    -------
    list of LayerPictures
        The mean of the pictures a unit answers to most, times its receptive field; a picture made to excite it; the
        product of the weight matrices.
    """
    parameters, network = classifier.parameters, classifier.network
    X: Array = classifier.preprocessor.apply(images)
    fields = receptive_fields(l, X[:, :_EXAMPLES], parameters, network)
    answers = layer_answers(X, parameters, network)[l - 1]
    means = most_exciting_mean(X, answers, fields, n_pictures=_TOP)[:n]
    mean, rng = float(X.mean()), np.random.default_rng(0)
    made = maximise_activation(l, parameters, network, rng, mean=mean, spread=float(X.std()))[:n] - mean
    count = parameters.layer_dims[l]
    some = f"the first {n} of {count} units" if n < count else f"its {count} units" if count > 1 else "its one unit"
    how = f"{some}: mean of the {min(_TOP, len(images))} pictures each answers to most, times its receptive field"
    return [
        LayerPictures(f"Layer {l}", how, means),
        LayerPictures("", "the same units: pictures made to excite them, by gradient ascent", made),
        LayerPictures("", "the same units: the product of all weights below, as if there were no activations",
                      linear_projection(l, parameters)[:n]),
    ]  # fmt: skip
