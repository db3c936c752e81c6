"""Which random changes do these images bear? Short trials tell, before the training begins.

With many images, a small network is trained for a moment on some of them, once for each recipe, and judged on
validation images. Where a class does not depend on where its images' parts lie, moving them costs the network
nothing (handwritten digits); where it does, the error jumps (clothes: a longer sleeve, a shifted hem).

With few images the recipe is given, and what is asked is whether they may be mirrored: a network that never saw a
mirrored image is judged on images as they are, and mirrored. Cats it knows as well; digits and shoes it does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from model.config import NetworkConfig, TrainingConfig
from model.randomness import RandomStream
from model.training import cost_and_accuracy, start, train
from pipeline.data.dataset import Dataset
from pipeline.images.augment import MANY, AugmentConfig, resolve_augmentation
from pipeline.preprocess import Preprocessor
from pipeline.training.batches import MemoryBatches

STRONGEST_FIRST = ("digits", "affine")
_IMAGES, _JUDGES, _FEWEST_JUDGES = 16_384, 4_096, 500
_FEWEST_TO_MIRROR, _IMAGES_TO_MIRROR, _EPOCHS_TO_MIRROR = 100, 2_000, 20


def resolve_by_trial(
    config: AugmentConfig, dataset: Dataset, preprocessor: Preprocessor, *, seed: int, memory: int
) -> tuple[AugmentConfig, dict[str, float]]:
    """Turn every "auto" of an augmentation into a value, by a trial where there are many images.

    The strongest recipe is taken whose error in the trial is not surely above that without changes (by more than a
    standard error; of mirrored images, two). A short training understates what changes gain in a long one, so a draw
    counts for them.

    Parameters
    ----------
    config : AugmentConfig
    dataset : Dataset
        Recipes are tried from 10,000 training and 500 validation images on, mirroring from 100 up to 10,000 training
        images, both where `config` leaves the recipe open.
    preprocessor : Preprocessor
        Fitted.
    seed : int
        Of the training.
    memory : int
        Bytes that the images may take; mirroring is tried on 100 at least.

    Returns
    -------
    config : AugmentConfig
        Resolved.
    errors : dict of str to float
        Share of validation images that each recipe got wrong, or of training images ``as they are`` and
        ``mirrored``; empty where no trial was made.
    """
    indices, judges = dataset.indices("train"), dataset.indices("validation")
    room = max(1, memory // preprocessor.geometry.n_x)
    if config.augment == "auto" and config.flip == "auto" and _FEWEST_TO_MIRROR <= len(indices) < MANY:
        m = min(len(indices), max(_FEWEST_TO_MIRROR, min(_IMAGES_TO_MIRROR, room)))
        errors = _mirroring(dataset, indices, m, preprocessor, seed)
        flip = errors["mirrored"] <= errors["as they are"] + 2 * _standard_error(errors["as they are"], m)
        return resolve_augmentation(replace(config, flip=flip), len(indices)), errors
    if config.augment != "auto" or len(indices) < MANY or len(judges) < _FEWEST_JUDGES:
        return resolve_augmentation(config, len(indices)), {}
    rng = np.random.default_rng([seed, 0, 0, RandomStream.AUGMENTATION_TRIAL])
    source, validation = (
        MemoryBatches(dataset.take(rows), dataset.labels[rows], preprocessor)
        for rows in (
            np.sort(rng.permutation(indices)[: min(_IMAGES, room)]),
            np.sort(rng.permutation(judges)[: min(_JUDGES, room)]),
        )
    )
    training = TrainingConfig(epochs=4, batch_size=min(128, len(source.labels)), pretrain="none", seed=seed)
    errors = {}
    for name in ("none", *STRONGEST_FIRST):
        resolved = resolve_augmentation(replace(config, augment=name), len(indices))
        source.augmentation = resolved if resolved.is_on else None
        errors[name] = _errors(source, [validation], len(dataset.classes), training)[0]
        margin = _standard_error(errors["none"], len(validation.labels))
        if name != "none" and errors[name] <= errors["none"] + margin:
            return resolved, errors
    return resolve_augmentation(replace(config, augment="none"), len(indices)), errors


def _standard_error(share: float, m: int) -> float:
    return math.sqrt(share * (1 - share) / m)


def _mirroring(
    dataset: Dataset, indices: np.ndarray, m: int, preprocessor: Preprocessor, seed: int
) -> dict[str, float]:
    """Learn from each half of m training images; return the errors on the other half, as it is and mirrored."""
    rng = np.random.default_rng([seed, 0, 0, RandomStream.AUGMENTATION_TRIAL])
    rows = np.sort(rng.permutation(indices)[:m])
    images, labels = dataset.take(rows), dataset.labels[rows]
    order = np.lexsort((rng.random(len(rows)), labels))  # every other one of each class
    halves, wrong = (order[::2], order[1::2]), np.zeros(2)
    for one, other in (halves, halves[::-1]):
        source = MemoryBatches(images[one], labels[one], preprocessor)
        training = TrainingConfig(epochs=_EPOCHS_TO_MIRROR, pretrain="none", seed=seed)
        mirrored = np.ascontiguousarray(images[other][:, :, ::-1])
        judges = [MemoryBatches(judged, labels[other], preprocessor) for judged in (images[other], mirrored)]
        wrong += len(other) * np.array(_errors(source, judges, len(dataset.classes), training))
    return dict(zip(("as they are", "mirrored"), (wrong / len(rows)).tolist(), strict=True))


def _errors(
    source: MemoryBatches, judges: Sequence[MemoryBatches], n_classes: int, training: TrainingConfig
) -> list[float]:
    """Return the share of each of some sets of images that a small network gets wrong."""
    from threadpoolctl import threadpool_limits

    network = NetworkConfig(hidden=(128,))
    state = start(network, training, n_x=source.n_x, m=len(source.labels), n_classes=n_classes)
    with threadpool_limits(1):  # too little to share; and the choice does not depend on the number of threads
        for _ in train(state, source):
            pass
        return [1 - cost_and_accuracy(state.current, state.network, judge)[1] for judge in judges]
