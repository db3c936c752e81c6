"""Gives a run its first layers before training, without labels: from photographs to crops, from crops to W1."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np

from model.activations import Array
from model.batches import BatchSource
from model.edges.config import PretrainConfig
from model.edges.first_layer import (
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
from pipeline.images.crops import embedded_photographs, folder_photographs, take_crops
from pipeline.preprocess import Preprocessor

_LEAST_COSINE = 0.5  # median, of a model's filters with those of its pretraining: training turns them a little
_EXAMPLES = 2_000  # training images that set the scale of W1
_UNLABELLED = 8_000  # augmented training images from which layers 2 and 3 learn
_BATCH = 256


def pretrain_layers(
    state: TrainingState,
    pretraining: PretrainConfig,
    dataset: Dataset,
    preprocessor: Preprocessor,
    source: BatchSource,
    photographs: str | Path | None = None,
    *,
    augmented: bool,
) -> Array:
    """Fill in layer 1, and layers 2 and 3 if the configuration says so; the same seed gives the same weights.

    Parameters
    ----------
    state : TrainingState
        Its first layers are filled in.
    pretraining : PretrainConfig
        Resolved, and on.
    dataset : Dataset
        Its training images only set the scale of each unit of layer 1.
    preprocessor : Preprocessor
        Fitted.
    source : BatchSource
        The training images.
    photographs : str or Path, optional
        Folder to learn from; None: the photographs that come with scikit-learn and scikit-image.
    augmented : bool
        Whether the source augments the images: layers 2 and 3 then learn from 8,000 of them, several for each image.

    Returns
    -------
    W1 : ndarray of shape (n_1, n_x), float64

    Raises
    ------
    InputError
        When the folder holds no usable photographs, or layer 1 gives layers 2 and 3 nothing to learn from.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # several threads round differently
        W1 = _learn_first_layer(state, pretraining, dataset, preprocessor, photographs)
        state.parameters[1].W[:] = W1
        if pretraining.pretrain_layers > 1:
            _learn_upper_layers(state, pretraining, source, preprocessor.geometry.shape, augmented=augmented)
    if state.average:
        state.average.assign(state.parameters)
    return W1


def _learn_first_layer(
    state: TrainingState,
    pretraining: PretrainConfig,
    dataset: Dataset,
    preprocessor: Preprocessor,
    photographs: str | Path | None,
) -> Array:
    shape, n_1, activation = preprocessor.geometry.shape, state.parameters.layer_dims[1], state.network.activation
    crops, crop_shape, rng = _crops_for(shape, n_1, activation, state.training.seed, photographs)
    rows = dataset.indices("train")
    X = preprocessor.apply(dataset.take(rows[:: max(1, len(rows) // _EXAMPLES)]))
    try:
        return pretrain_first_layer(crops, crop_shape, shape, X, n_1, activation, method=pretraining.pretrain, rng=rng)
    except ValueError as error:
        raise InputError(f"pretrain: {str(error).removeprefix('pretrain: ')}") from None


def _learn_upper_layers(
    state: TrainingState,
    pretraining: PretrainConfig,
    source: BatchSource,
    shape: tuple[int, int, int],
    *,
    augmented: bool,
) -> None:
    parameters, seed = state.parameters, state.training.seed
    W1, widths = parameters[1].W, parameters.layer_dims[2 : pretraining.pretrain_layers + 1]
    size = min(_BATCH, len(source.labels))
    passes = math.ceil(_UNLABELLED / len(source.labels)) if augmented else 1
    with closing(_batches(source, size, passes, seed)) as batches:
        Z1 = np.concatenate([W1 @ X for X in islice(batches, math.ceil(_UNLABELLED / size))], axis=1)
    rng = np.random.default_rng([seed, 0, 0, RandomStream.UPPER_LAYERS])
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
    shape: tuple[int, int, int], n_1: int, activation: str, seed: int, photographs: str | Path | None
) -> tuple[Array, tuple[int, int, int], np.random.Generator]:
    """Return the crops from which a first layer is learned, their shape, and the generator for what follows."""
    rng = np.random.default_rng([seed, 0, 0, RandomStream.PRETRAINING])
    found = folder_photographs(photographs, rng) if photographs else embedded_photographs()
    crop_shape = crop_shape_for(shape)
    return take_crops(found, crop_shape, n_crops_for(n_filters_for(n_1, activation)), rng), crop_shape, rng


def first_layer_growth(classifier: ImageClassifier) -> list[Array]:
    """Learn the first layer of a pretrained classifier again, and return its filters from noise to edges.

    The steps are not stored with a model; the same seed and photographs give the same steps again. It is checked that
    they lead to the first layer of this model.

    Parameters
    ----------
    classifier : ImageClassifier

    Returns
    -------
    list of ndarray of shape (n, n_x)
        The filters at the start, after every step, and last the rows of W1 as training with labels has left them. n is
        as in `model.edges.first_layer.n_filters_for`: the first of each on/off pair.

    Raises
    ------
    InputError
        When the classifier was not pretrained, or by a method without steps; when its photographs are gone or have
        changed.
    """
    W1, pretraining = classifier.parameters[1].W, classifier.pretraining
    if not pretraining.is_on:
        raise InputError(
            "this model's first layer was not pretrained, so there is no growth of edges to show; "
            "train with pretrain=sparse_filtering"
        )
    shape, activation = classifier.geometry.shape, classifier.network.activation
    photographs = str(classifier.provenance.get("pretrain_on", "")) or None
    crops, crop_shape, rng = _crops_for(shape, len(W1), activation, classifier.training.seed, photographs)
    steps: list[Array] = []
    n = n_filters_for(len(W1), activation)
    learn_filters(crops, n, method=pretraining.pretrain, rng=rng, steps=steps)
    if not steps:
        raise InputError(f"pretrain={pretraining.pretrain} does not learn step by step; there is no growth to show")
    fitted = [fit_filters(step, crop_shape, shape) for step in steps]
    cosines = (fitted[-1] * W1[:n]).sum(axis=1) / np.maximum(np.linalg.norm(W1[:n], axis=1), 1e-12)
    if np.median(np.abs(cosines)) < _LEAST_COSINE:
        where = f"the photographs in {photographs}" if photographs else "the photographs that come with the libraries"
        raise InputError(f"learning again from {where} leads to other filters than this model's: they have changed")
    return [*fitted, W1[:n]]
