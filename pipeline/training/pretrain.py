"""Gives a run's first layer its edge detectors before training: photographs to crops, crops to W1."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from model.activations import Array
from model.batches import BatchSource
from model.config import NetworkConfig, TrainingConfig
from model.edges.first_layer import (
    LEARNING_SIDE,
    crop_shape_for,
    fit_filters,
    learn_filters,
    n_crops_for,
    n_filters_for,
    pretrain_first_layer,
)
from model.edges.upper_layers import pretrain_upper_layers
from model.randomness import RandomStream
from model.training import TrainingState
from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.images.augment import AugmentConfig
from pipeline.images.crops import embedded_photographs, folder_photographs, take_crops
from pipeline.images.geometry import Geometry
from pipeline.preprocess import Preprocessor

_ROOM = 8  # pixels
_SAME = 0.5  # least median cosine of a model's filters with what its pretraining gave: training turns them a little
_EXAMPLES = 2_000  # training images that W1 is scaled on
_RATE_ENLARGED = 0.1
_UNLABELLED = 8_000  # variations of training images that layers 2 and 3 learn from
_BATCH = 256


def resolve_pretraining(
    training: TrainingConfig,
    network: NetworkConfig,
    augmentation: AugmentConfig,
    geometry: Geometry,
    photographs: str | Path | None,
) -> TrainingConfig:
    """Resolve ``pretrain = auto``: sparse filtering where training images are shifted, else none.

    Edges are local. Where every image is shifted a little each time, a network that starts with them was as good as
    one that starts at random, or better; where images never moved, it was 3 points worse on 40 well-centred faces
    (the figures are in docs/edges.md). Not for images under 8 pixels a side, which have no room for an edge. Naming
    `photographs`, or `pretrain_layers` above 1, asks for it too.

    Where images are larger than the crops that filters are learned from, so that these are enlarged, layer 1 has 0.1
    of the learning rate unless `layer_rates` says otherwise: at 0.3, hardly any edges were left of those for 64 x 64
    images in colour.

    Raises
    ------
    InputError
        When photographs are named, and pretrain is none.
    """
    if photographs and training.pretrain == "none":
        raise InputError("pretrain_on: names photographs to learn from, but pretrain is none; leave out one of them")
    if training.pretrain == "auto":
        training = replace(training, pretrain=_method(training, network, augmentation, geometry, photographs))
    enlarged = max(geometry.height, geometry.width) > LEARNING_SIDE
    if training.pretrain != "none" and training.pretrain_layers == 1 and enlarged and not training.layer_rates:
        training = replace(training, layer_rates=(_RATE_ENLARGED,))
    return training


def _method(
    training: TrainingConfig,
    network: NetworkConfig,
    augmentation: AugmentConfig,
    geometry: Geometry,
    photographs: str | Path | None,
) -> str:
    roomy = min(geometry.height, geometry.width) >= _ROOM
    wanted = bool(photographs) or training.pretrain_layers > 1
    wanted |= bool(augmentation.shift) and roomy and bool(network.hidden)
    return "sparse_filtering" if wanted else "none"


def learn_first_layer(
    state: TrainingState, dataset: Dataset, preprocessor: Preprocessor, photographs: str | Path | None = None
) -> Array:
    """Learn W1 without labels; the same seed, the same W1.

    Parameters
    ----------
    state : TrainingState
        Its configuration says how; left as it is.
    dataset : Dataset
        Its training images only set the scale of each unit.
    preprocessor : Preprocessor
        Fitted.
    photographs : str or Path, optional
        Folder to learn from; None: those that come with scikit-learn and scikit-image.

    Returns
    -------
    W1 : ndarray of shape (n_1, n_x), float64

    Raises
    ------
    InputError
        When the folder holds no usable photographs.
    """
    shape, n_1, activation = preprocessor.geometry.shape, state.parameters.layer_dims[1], state.network.activation
    crops, crop_shape, rng = _crops_for(shape, n_1, activation, state.training, photographs)
    rows = dataset.indices("train")
    X = preprocessor.apply(dataset.take(rows[:: max(1, len(rows) // _EXAMPLES)]))
    try:
        return pretrain_first_layer(
            crops, crop_shape, shape, X, n_1, activation, method=state.training.pretrain, rng=rng
        )
    except ValueError as error:
        raise InputError(f"pretrain: {str(error).removeprefix('pretrain: ')}") from None


def learn_upper_layers(state: TrainingState, source: BatchSource, shape: tuple[int, int, int], *, varied: bool) -> None:
    """Fill in layers 2 to `pretrain_layers`: learned without labels from the training images, varied as in training.

    Parameters
    ----------
    state : TrainingState
        With layer 1 filled in.
    source : BatchSource
        Of the training images.
    shape : (height, width, channels)
    varied : bool
        Whether the source varies the images: then several variations of each are used, 8,000 in all.

    Raises
    ------
    InputError
        When the images show layer 1 nothing to learn from.
    """
    parameters, training = state.parameters, state.training
    W1, widths = parameters[1].W, parameters.layer_dims[2 : training.pretrain_layers + 1]
    size = min(_BATCH, len(source.labels))
    passes = math.ceil(_UNLABELLED / len(source.labels)) if varied else 1
    with closing(_batches(source, size, passes, training.seed)) as batches:
        Z1 = np.concatenate([W1 @ X for X in islice(batches, math.ceil(_UNLABELLED / size))], axis=1)
    rng = np.random.default_rng([training.seed, 0, 0, RandomStream.UPPER_LAYERS])
    try:
        layers = pretrain_upper_layers(Z1.astype(np.float32), W1, shape, widths, state.network.activation, rng=rng)
    except ValueError as error:
        raise InputError(str(error)) from None
    for l, (W, b) in enumerate(layers, start=2):
        parameters[l].W[:] = W
        parameters[l].b[:] = 0 if parameters.batch_norm else b


def _batches(source: BatchSource, size: int, passes: int, seed: int) -> Generator[Array, None, None]:
    for number in range(passes):
        for batch in source.batches(size, [seed, 0, 1 + number, RandomStream.PRETRAINING]):
            yield batch.X


def _crops_for(
    shape: tuple[int, int, int],
    n_1: int,
    activation: str,
    training: TrainingConfig,
    photographs: str | Path | None,
) -> tuple[Array, tuple[int, int, int], np.random.Generator]:
    """Cut the crops that a first layer is learned from; return them, their shape and the generator to go on with."""
    rng = np.random.default_rng([training.seed, 0, 0, RandomStream.PRETRAINING])
    found = folder_photographs(photographs, rng) if photographs else embedded_photographs()
    crop_shape = crop_shape_for(shape)
    return take_crops(found, crop_shape, n_crops_for(n_filters_for(n_1, activation)), rng), crop_shape, rng


def first_layer_growth(classifier: ImageClassifier) -> list[Array]:
    """Learn the first layer of a pretrained classifier once more, and return its filters from noise to edges.

    The steps are not stored with a model; the same seed and photographs give the same ones again. That they lead to
    this model's first layer is checked.

    Parameters
    ----------
    classifier : ImageClassifier

    Returns
    -------
    list of ndarray of shape (n, n_x)
        The filters at the start, after every step, and last row i of W1 as training with labels has left it. n is as
        in `model.edges.first_layer.n_filters_for`: of each on/off pair the first.

    Raises
    ------
    InputError
        When the classifier was not pretrained, by a method that goes in steps; its photographs are gone or others.
    """
    training, W1 = classifier.training, classifier.parameters[1].W
    if training.pretrain == "none":
        raise InputError(
            "this model's first layer was not pretrained, so there is no growth of edges to show; "
            "train with --pretrain sparse_filtering"
        )
    shape, activation = classifier.geometry.shape, classifier.network.activation
    photographs = str(classifier.provenance.get("pretrain_on", "")) or None
    crops, crop_shape, rng = _crops_for(shape, len(W1), activation, training, photographs)
    steps: list[Array] = []
    n = n_filters_for(len(W1), activation)
    learn_filters(crops, n, method=training.pretrain, rng=rng, steps=steps)
    if not steps:
        raise InputError(f"--pretrain {training.pretrain} does not learn step by step; there is no growth to show")
    fitted = [fit_filters(step, crop_shape, shape) for step in steps]
    cosines = (fitted[-1] * W1[:n]).sum(axis=1) / np.maximum(np.linalg.norm(W1[:n], axis=1), 1e-12)
    if np.median(np.abs(cosines)) < _SAME:
        where = f"the photographs in {photographs}" if photographs else "the photographs that come with the libraries"
        raise InputError(f"learning once more from {where} leads to other filters than this model's: they have changed")
    return [*fitted, W1[:n]]
