"""Short trials before the training, which decide how training images are augmented.

With many images, a small network is trained for a few epochs on some of them, once for each augmentation recipe, and
evaluated on validation images. If a class does not depend on the position of its parts, moving them costs the network
nothing (handwritten digits); if it does, the error rises steeply (clothes: a longer sleeve, a shifted hem).

With few images the recipe is fixed, and the trial decides whether images may be mirrored: a network that never saw a
mirrored image is evaluated on images as they are, and mirrored. It classifies mirrored cats as well as others; not so
mirrored digits and shoes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from model.config import NetworkConfig, TrainingConfig
from model.randomness import RandomStream
from model.training import cost_and_accuracy, start, train
from pipeline.data.dataset import Dataset
from pipeline.images.augment import MANY, AugmentConfig, resolve_augmentation
from pipeline.preprocess import Preprocessor
from pipeline.training.batches import MemoryBatches

STRONGEST_FIRST = ("digits", "affine")
_IMAGES, _EVALUATED, _FEWEST_EVALUATED = 16_384, 4_096, 500
_FEWEST_TO_MIRROR, _IMAGES_TO_MIRROR, _EPOCHS_TO_MIRROR = 100, 2_000, 20


@dataclass(frozen=True)
class AugmentationTrial:
    """What a trial decided.

    Attributes
    ----------
    decision : AugmentConfig or None
        Resolved; None if no trial was made.
    errors : dict of str to float
        Share of the validation images that were misclassified with each recipe, or of the training images ``as they
        are`` and ``mirrored``.
    """

    decision: AugmentConfig | None = None
    errors: dict[str, float] = field(default_factory=dict)


def try_augmentations(
    config: AugmentConfig, dataset: Dataset, preprocessor: Preprocessor, *, seed: int, memory: int
) -> AugmentationTrial:
    """Try augmentations if the configuration leaves the recipe open, and there are enough images.

    The strongest recipe is chosen whose error is not clearly above that without augmentation (by more than a standard
    error). A short training understates what augmentation gains in a long one, so equal errors count for it.

    Parameters
    ----------
    config : AugmentConfig
    dataset : Dataset
        Recipes are tried from 10,000 training and 500 validation images; mirroring from 100 training images, and up to
        10,000.
    preprocessor : Preprocessor
        Fitted.
    seed : int
        The seed of the run.
    memory : int
        Bytes that the images may take; mirroring is tried on 100 images at least.
    """
    indices, validation = dataset.indices("train"), dataset.indices("validation")
    if config.augment != "auto":
        return AugmentationTrial()
    at_most = max(1, memory // preprocessor.geometry.n_x)
    rng = np.random.default_rng([seed, 0, 0, RandomStream.AUGMENTATION_TRIAL])
    if len(indices) >= MANY and len(validation) >= _FEWEST_EVALUATED:
        chosen = np.sort(rng.permutation(indices)[: min(_IMAGES, at_most)])
        evaluated = np.sort(rng.permutation(validation)[: min(_EVALUATED, at_most)])
        return _try_recipes(config, dataset, chosen, evaluated, preprocessor, seed)
    if config.flip == "auto" and _FEWEST_TO_MIRROR <= len(indices) < MANY:
        m = min(len(indices), max(_FEWEST_TO_MIRROR, min(_IMAGES_TO_MIRROR, at_most)))
        errors = _mirroring_errors(dataset, np.sort(rng.permutation(indices)[:m]), preprocessor, seed, rng)
        flip = is_mirroring_harmless(errors["as they are"], errors["mirrored"], m)
        return AugmentationTrial(resolve_augmentation(replace(config, flip=flip), len(indices)), errors)
    return AugmentationTrial()


def is_mirroring_harmless(as_they_are: float, mirrored: float, m: int) -> bool:
    """Tell whether the error on m mirrored images is at most two standard errors above that on the same images."""
    return mirrored <= as_they_are + 2 * _standard_error(as_they_are, m)


def _standard_error(share: float, m: int) -> float:
    return math.sqrt(share * (1 - share) / m)


def _try_recipes(
    config: AugmentConfig,
    dataset: Dataset,
    indices: np.ndarray,
    evaluated: np.ndarray,
    preprocessor: Preprocessor,
    seed: int,
) -> AugmentationTrial:
    source, validation = (
        MemoryBatches(dataset.take(rows), dataset.labels[rows], preprocessor) for rows in (indices, evaluated)
    )
    training = TrainingConfig(epochs=4, batch_size=min(128, len(source.labels)), seed=seed)
    errors: dict[str, float] = {}
    for name in ("none", *STRONGEST_FIRST):
        resolved = resolve_augmentation(replace(config, augment=name), len(dataset.indices("train")))
        source.augmentation = resolved if resolved.is_on else None
        errors[name] = _errors(source, [validation], len(dataset.classes), training)[0]
        margin = _standard_error(errors["none"], len(validation.labels))
        if name != "none" and errors[name] <= errors["none"] + margin:
            return AugmentationTrial(resolved, errors)
    none = resolve_augmentation(replace(config, augment="none"), len(dataset.indices("train")))
    return AugmentationTrial(none, errors)


def _mirroring_errors(
    dataset: Dataset, rows: np.ndarray, preprocessor: Preprocessor, seed: int, rng: np.random.Generator
) -> dict[str, float]:
    """Learn from each half of some training images; return the errors on the other half, as it is and mirrored."""
    images, labels = dataset.take(rows), dataset.labels[rows]
    order = np.lexsort((rng.random(len(rows)), labels))  # every other image of each class
    halves, wrong = (order[::2], order[1::2]), np.zeros(2)
    for learned, held_out in (halves, halves[::-1]):
        source = MemoryBatches(images[learned], labels[learned], preprocessor)
        training = TrainingConfig(epochs=_EPOCHS_TO_MIRROR, seed=seed)
        mirrored = np.ascontiguousarray(images[held_out][:, :, ::-1])
        sets = [MemoryBatches(pixels, labels[held_out], preprocessor) for pixels in (images[held_out], mirrored)]
        wrong += len(held_out) * np.array(_errors(source, sets, len(dataset.classes), training))
    return dict(zip(("as they are", "mirrored"), (wrong / len(rows)).tolist(), strict=True))


def _errors(
    source: MemoryBatches, evaluated: Sequence[MemoryBatches], n_classes: int, training: TrainingConfig
) -> list[float]:
    """Train a small network, and return the share of each set of images that it misclassifies."""
    from threadpoolctl import threadpool_limits

    network = NetworkConfig(hidden=(128,))
    state = start(network, training, n_x=source.n_x, m=len(source.labels), n_classes=n_classes)
    with threadpool_limits(1):  # too little work to share; and the choice does not depend on the number of threads
        for _ in train(state, source):
            pass
        return [1 - cost_and_accuracy(state.current, state.network, images)[1] for images in evaluated]
