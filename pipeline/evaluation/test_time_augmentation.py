"""Test-time averaging: the answers for several variations of an image are averaged (Krizhevsky et al. 2012).

The variations are of the kind the model was trained on, and the same for every image, so that an answer depends on
the image and the number of views alone.
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


def tta_probabilities(classifier: ImageClassifier, images: np.ndarray, views: int) -> Array:
    """Return the mean probability of each class over the image itself and ``views - 1`` variations.

    Parameters
    ----------
    classifier : ImageClassifier
    images : ndarray of shape (m, height, width, channels), uint8
    views : int
        1 or more.

    Returns
    -------
    ndarray of shape (n_classes, m)

    Raises
    ------
    InputError
        When the model was trained on images as they are: it would be confused, not steadied.
    """
    total = classifier.probabilities(images)
    if views == 1:
        return total
    stored = config_from(AugmentConfig, classifier.provenance.get("augmentation", {}))
    config = replace(resolve_augmentation(stored, MANY), cutout=0.0)
    if not config.is_on:
        raise InputError("--tta: this model was trained on images as they are; leave it out")
    for view in range(1, views):
        rng = np.random.default_rng([0, 0, view, RandomStream.TEST_TIME_AUGMENTATION])
        changed = augment(images.reshape(len(images), -1), classifier.geometry, config, rng, alike=True)
        total = total + classifier.probabilities(changed)
    return total / views
