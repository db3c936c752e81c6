"""Gives a run's first layer its edge detectors before training: photographs to crops, crops to W1."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from model.activations import Array
from model.config import NetworkConfig, TrainingConfig
from model.pretraining import crop_shape_for, n_crops_for, n_filters_for, pretrain_first_layer
from model.training import TrainingState
from pipeline.augment import AugmentConfig
from pipeline.config import Geometry
from pipeline.crops import embedded_photographs, folder_photographs, take_crops
from pipeline.dataset import Dataset
from pipeline.errors import InputError
from pipeline.preprocess import Preprocessor

_PRETRAINING = 2  # tells this use of the seed from others
_ROOM = 8  # pixels
_EXAMPLES = 2_000  # training pictures that W1 is scaled on


def resolve_pretraining(
    training: TrainingConfig,
    network: NetworkConfig,
    augmentation: AugmentConfig,
    geometry: Geometry,
    photographs: str | Path | None,
) -> TrainingConfig:
    """Resolve ``pretrain = auto``: sparse filtering where training pictures are shifted, else none.

    Edges are local. Where every picture is shifted a little each time, a network that starts with them was as good as
    one that starts at random, or better; where pictures never moved, it was 3 points worse on 40 well-centred faces
    (the figures are in docs/edges.md). Not for pictures under 8 pixels a side, which have no room for an edge. Naming
    `photographs` asks for it too.

    Raises
    ------
    InputError
        When photographs are named, and pretrain is none.
    """
    if photographs and training.pretrain == "none":
        raise InputError("pretrain_on: names photographs to learn from, but pretrain is none; leave out one of them")
    if training.pretrain != "auto":
        return training
    roomy = min(geometry.height, geometry.width) >= _ROOM
    wanted = bool(photographs) or (bool(augmentation.shift) and roomy and bool(network.hidden))
    return replace(training, pretrain="sparse_filtering" if wanted else "none")


def learn_first_layer(
    state: TrainingState, dataset: Dataset, preprocessor: Preprocessor, photographs: str | Path | None = None
) -> Array:
    """Learn W1 without labels; the same seed, the same W1.

    Parameters
    ----------
    state : TrainingState
        Its configuration says how; left as it is.
    dataset : Dataset
        Its training pictures only set the scale of each unit.
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
    shape, n_1 = preprocessor.geometry.shape, state.parameters.layer_dims[1]
    activation, rng = state.network.activation, np.random.default_rng([state.training.seed, 0, 0, _PRETRAINING])
    found = folder_photographs(photographs, rng) if photographs else embedded_photographs()
    crop_shape = crop_shape_for(shape)
    crops = take_crops(found, crop_shape, n_crops_for(n_filters_for(n_1, activation)), rng)
    rows = dataset.indices("train")
    X = preprocessor.apply(dataset.take(rows[:: max(1, len(rows) // _EXAMPLES)]))
    try:
        return pretrain_first_layer(
            crops, crop_shape, shape, X, n_1, activation, method=state.training.pretrain, rng=rng
        )
    except ValueError as error:
        raise InputError(f"pretrain: {str(error).removeprefix('pretrain: ')}") from None
