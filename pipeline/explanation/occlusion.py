"""Why an image is taken for a class: which parts of it, when hidden, change the answer.

A small window is slid over the image and what is under it is painted over with the image's mean colour; where
the class's log-odds fall, the image spoke for the class (Zeiler & Fergus 2014, "Visualizing and understanding
convolutional networks", section 4.2). Nothing but the classifier's own probabilities is asked, so the map is true of
the classifier as it is served, with its preprocessing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier import ImageClassifier

WINDOW = 0.2  # side of the window, as a share of the image's shorter side
_STEPS_PER_WINDOW = 3
_LEAST = 1e-12  # keeps the logarithm of a probability finite


def occlusion_map(classifier: ImageClassifier, image: NDArray[np.uint8], k: int) -> NDArray[np.float64]:
    """Return how much each pixel speaks for class `k`.

    Parameters
    ----------
    classifier : ImageClassifier
    image : ndarray of shape (height, width, channels), uint8
        As the network sees it.
    k : int
        Index of the class.

    Returns
    -------
    ndarray of shape (height, width), float64
        Mean fall of the class's log-odds over all windows that hide the pixel: above 0 speaks for the class, below 0
        against it.
    """
    height, width, _ = image.shape
    side = max(1, round(WINDOW * min(height, width)))
    step = max(1, round(side / _STEPS_PER_WINDOW))
    corners = [(y, x) for y in _starts(height, side, step) for x in _starts(width, side, step)]
    hidden = np.repeat(image[None], len(corners) + 1, axis=0)  # the last one stays as it is
    paint = np.rint(image.mean(axis=(0, 1))).astype(np.uint8)
    for copy, (y, x) in zip(hidden, corners, strict=False):
        copy[y : y + side, x : x + side] = paint
    odds = log_odds(classifier.probabilities(hidden), k)
    falls, hits = np.zeros((height, width)), np.zeros((height, width))
    for (y, x), value in zip(corners, odds[-1] - odds[:-1], strict=True):
        falls[y : y + side, x : x + side] += value
        hits[y : y + side, x : x + side] += 1
    return falls / hits


def log_odds(probabilities: np.ndarray, k: int) -> NDArray[np.float64]:
    """Return log(p / (1 - p)) of class k in each column of probabilities (n_classes, m), shape (m,).

    1 - p is summed from the other classes, which keeps its digits where p is nearly 1.
    """
    p = probabilities[k].astype(np.float64)
    others = np.delete(probabilities, k, axis=0).astype(np.float64).sum(axis=0)
    return np.log(np.maximum(p, _LEAST)) - np.log(np.maximum(others, _LEAST))


def _starts(length: int, side: int, step: int) -> list[int]:
    """Return where windows of `side` begin, so that they cover `length` to its last pixel."""
    return [*range(0, length - side, step), length - side]
