"""Calibrate a trained classifier on the validation split of its data set; see `model.calibration`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.calibration import NetworkOutputs, calibrate, fit_temperature, fold_temperature
from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset

MOST_TRAINING_IMAGES = 5000  # enough for the means and the covariance


def calibrated(classifier: ImageClassifier, dataset: Dataset) -> ImageClassifier:
    """Return the classifier with a temperature folded in, and with the uncertainty of its validation images.

    Without validation images, the classifier is returned as it is, not calibrated.
    """
    indices = dataset.indices("validation")
    if not len(indices):
        return classifier
    n_classes = len(classifier.classes)
    logits = _outputs(classifier, dataset, indices).logits
    temperature = fit_temperature(logits, dataset.labels[indices], n_classes, classifier.network.head)
    if temperature != 1:
        classifier = replace(classifier, parameters=fold_temperature(classifier.parameters, temperature))
    probabilities, _, hidden = _outputs(classifier, dataset, indices)
    chosen = dataset.indices("train")
    if len(chosen) > MOST_TRAINING_IMAGES:
        chosen = chosen[np.linspace(0, len(chosen) - 1, MOST_TRAINING_IMAGES).astype(int)]
    training = _outputs(classifier, dataset, chosen).hidden, dataset.labels[chosen]
    return replace(classifier, calibration=calibrate(temperature, probabilities, hidden, training, n_classes))


def _outputs(classifier: ImageClassifier, dataset: Dataset, indices: NDArray[np.integer]) -> NetworkOutputs:
    parts = [classifier.outputs(images) for images in dataset.iterate(indices)]
    return NetworkOutputs(*(np.concatenate(part, axis=1) for part in zip(*parts, strict=True)))
