"""The evidence for a class in an image: which parts of the image, when hidden, change the prediction.

A small window slides over the image, and the pixels below it are painted with the mean colour of the image. If the
log-odds of the class fall, the hidden part is evidence for the class (Zeiler & Fergus 2014, "Visualizing and
understanding convolutional networks", section 4.2). Only the probabilities of the classifier are used, so the map is
true of the classifier as it is served, with its preprocessing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier import ImageClassifier

WINDOW = 0.2  # side of the window, as a share of the image's shorter side
_STEPS_PER_WINDOW = 3
_LEAST_PROBABILITY = 1e-12  # keeps logarithms finite


def occlusion_map(classifier: ImageClassifier, image: NDArray[np.uint8], k: int) -> NDArray[np.float64]:
    """Return how strongly each pixel is evidence for class `k`.

    Parameters
    ----------
    classifier : ImageClassifier
    image : ndarray of shape (height, width, channels), uint8
        The image as the network sees it.
    k : int
        Index of the class.

    Returns
    -------
    ndarray of shape (height, width), float64
        Mean decrease of the log-odds of the class over all windows that hide the pixel: above 0 is evidence for the
        class, below 0 evidence against it.
    """
    height, width, _ = image.shape
    side = max(1, round(WINDOW * min(height, width)))
    step = max(1, round(side / _STEPS_PER_WINDOW))
    corners = [(y, x) for y in _window_starts(height, side, step) for x in _window_starts(width, side, step)]
    hidden = np.repeat(image[None], len(corners) + 1, axis=0)  # the last copy is not changed
    paint = np.rint(image.mean(axis=(0, 1))).astype(np.uint8)
    for copy, (y, x) in zip(hidden, corners, strict=False):
        copy[y : y + side, x : x + side] = paint
    odds = log_odds(classifier.probabilities(hidden), k)
    decreases, n_windows = np.zeros((height, width)), np.zeros((height, width))
    for (y, x), value in zip(corners, odds[-1] - odds[:-1], strict=True):
        decreases[y : y + side, x : x + side] += value
        n_windows[y : y + side, x : x + side] += 1
    return decreases / n_windows


def log_odds(probabilities: np.ndarray, k: int) -> NDArray[np.float64]:
    """Return log(p / (1 - p)) of class k in each column of probabilities (n_classes, m), shape (m,).

    1 - p is the sum over the other classes, which keeps its precision if p is nearly 1.
    """
    p = probabilities[k].astype(np.float64)
    others = np.delete(probabilities, k, axis=0).astype(np.float64).sum(axis=0)
    return np.log(np.maximum(p, _LEAST_PROBABILITY)) - np.log(np.maximum(others, _LEAST_PROBABILITY))


def _window_starts(length: int, side: int, step: int) -> list[int]:
    """Return the first pixels of windows of `side` pixels that cover `length` pixels, to the last one."""
    return [*range(0, length - side, step), length - side]
