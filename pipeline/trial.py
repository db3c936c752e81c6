"""Which random changes do these pictures bear? With many pictures a short trial tells, before the training begins.

A small network is trained for a moment on some of the training pictures, once for each recipe, and judged on validation
pictures. Where a class does not depend on where its pictures' parts lie, moving them costs the small network nothing
(handwritten digits); where it does, the error jumps (clothes: a longer sleeve, a shifted hem).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from model.config import NetworkConfig, TrainingConfig
from model.training import start, train
from pipeline.augment import MANY, AugmentConfig, resolve_augmentation
from pipeline.batches import MemoryBatches
from pipeline.dataset import Dataset
from pipeline.preprocess import Preprocessor

STRONGEST_FIRST = ("digits", "affine")
_PICTURES, _JUDGES, _FEWEST_JUDGES = 16_384, 4_096, 500
_TRYING = 3  # tells this use of the seed from others


def resolve_by_trial(
    config: AugmentConfig, dataset: Dataset, preprocessor: Preprocessor, *, seed: int, memory: int
) -> tuple[AugmentConfig, dict[str, float]]:
    """Turn every "auto" of an augmentation into a value, by a trial where there are many pictures.

    The strongest recipe is taken whose error in the trial is not surely above that without changes (by more than a
    standard error). A short training understates what changes gain in a long one, so a draw counts for them.

    Parameters
    ----------
    config : AugmentConfig
    dataset : Dataset
        From 10,000 training and 500 validation pictures on, and where `config` leaves the recipe open, a trial is made.
    preprocessor : Preprocessor
        Fitted.
    seed : int
        Of the training.
    memory : int
        Bytes that the pictures may take.

    Returns
    -------
    config : AugmentConfig
        Resolved.
    errors : dict of str to float
        Share of validation pictures that each recipe got wrong; empty where no trial was made.
    """
    indices, judges = dataset.indices("train"), dataset.indices("validation")
    if config.augment != "auto" or len(indices) < MANY or len(judges) < _FEWEST_JUDGES:
        return resolve_augmentation(config, len(indices)), {}
    rng = np.random.default_rng([seed, 0, 0, _TRYING])
    room = max(1, memory // preprocessor.geometry.n_x)
    source, validation = (
        MemoryBatches(dataset.take(rows), dataset.labels[rows], preprocessor)
        for rows in (
            np.sort(rng.permutation(indices)[: min(_PICTURES, room)]),
            np.sort(rng.permutation(judges)[: min(_JUDGES, room)]),
        )
    )
    errors: dict[str, float] = {}
    for name in ("none", *STRONGEST_FIRST):
        resolved = resolve_augmentation(replace(config, augment=name), len(indices))
        source.augmentation = resolved if resolved.is_on else None
        errors[name] = _error(source, validation, len(dataset.classes), seed)
        error = errors["none"]
        if name != "none" and errors[name] <= error + math.sqrt(error * (1 - error) / len(validation.labels)):
            return resolved, errors
    return resolve_augmentation(replace(config, augment="none"), len(indices)), errors


def _error(source: MemoryBatches, validation: MemoryBatches, n_classes: int, seed: int) -> float:
    """Return the share of validation pictures that a small network gets wrong."""
    from threadpoolctl import threadpool_limits

    network = NetworkConfig(hidden=(128,))
    training = TrainingConfig(epochs=4, batch_size=min(128, len(source.labels)), pretrain="none", seed=seed)
    state = start(network, training, n_x=source.n_x, m=len(source.labels), n_classes=n_classes)
    with threadpool_limits(1):  # too little to share; and the choice does not depend on the number of threads
        *_, last = train(state, source, validation)
    return 1 - last.validation_accuracy
