"""Test-time augmentation: the predictions for several augmented versions of an image are averaged.

Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks", section 4.1. The
augmentation is that of the model's training, and the same for every image, so that a prediction depends only on the
image and on the number of versions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model.activations import Array
from model.randomness import RandomStream
from model.storage.checkpoint import config_from
from pipeline.classifier import ImageClassifier
from pipeline.errors import InputError
from pipeline.images.augment import MANY, AugmentConfig, augment, resolve_augmentation


def tta_probabilities(classifier: ImageClassifier, images: np.ndarray, n_versions: int) -> Array:
    """Return the mean probability of each class over the image itself and ``n_versions - 1`` augmented versions.

    Parameters
    ----------
    classifier : ImageClassifier
    images : ndarray of shape (m, height, width, channels), uint8
    n_versions : int
        1 or more.

    Returns
    -------
    ndarray of shape (n_classes, m)

    Raises
    ------
    InputError
        If the model was trained without augmentation, so that augmented images would confuse it.
    """
    total = classifier.probabilities(images)
    if n_versions == 1:
        return total
    stored = config_from(AugmentConfig, classifier.provenance.get("augmentation", {}))
    config = replace(resolve_augmentation(stored, MANY), cutout=0.0)
    if not config.is_on:
        raise InputError(
            "tta: this model was trained without augmentation, so it cannot be evaluated with it; leave it out"
        )
    for version in range(1, n_versions):
        rng = np.random.default_rng([0, 0, version, RandomStream.TEST_TIME_AUGMENTATION])
        augmented = augment(images.reshape(len(images), -1), classifier.geometry, config, rng, alike=True)
        total = total + classifier.probabilities(augmented)
    return total / n_versions
