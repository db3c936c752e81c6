"""Honest probabilities, and when to say "I don't know".

The temperature T divides the logits before they become probabilities (Guo et al. 2017, "On calibration of modern
neural networks"): above 1 it takes back confidence that the validation examples do not bear out. It is linear in the
last layer, so it is folded into that layer's W and b.

The doubt of an example joins two signs that an answer may be wrong: the probability left to the other classes, and the
distance of its last hidden layer A[L-1] from what the training examples have there (Lee et al. 2018, "A simple unified
framework for detecting out-of-distribution samples": the nearest class mean, by Mahalanobis distance under one
covariance). Each is placed among the values of the validation examples, and the greater of the two places is the
doubt: 0.9 is an example at least as suspect, in one way, as 90% of them; above 1, more than any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.activations import Array
from model.config import NetworkConfig
from model.heads import HEADS
from model.network import Workspace, forward
from model.parameters import Parameters

TEMPERATURES = (0.5, 10.0)
FEWEST_FOR_TEMPERATURE = 100
LARGEST_HIDDEN = 2048  # units; the distance in a wider layer would cost more than the network
_FOLDS = 5
_QUANTILES = 1001
_LEAST = 1e-12  # keeps logarithms finite


@dataclass(frozen=True)
class Calibration:
    """What the validation examples taught about a classifier's answers.

    Attributes
    ----------
    temperature : float
        Already folded into the network.
    m : int
        Validation examples that all the rest comes from.
    log_others, distance, uncertainty : ndarray of shape (q,), float64
        Values of the validation examples, ascending; quantiles of them where they are many. Of `distance` there are
        none where the last hidden layer is wider than `LARGEST_HIDDEN`.
    means : ndarray of shape (n_{L-1}, n_classes)
        Mean of the last hidden layer over the training examples of each class.
    whitening : ndarray of shape (n_{L-1}, n_{L-1})
        Turns differences from a mean into numbers of covariance 1.
    """

    temperature: float
    m: int
    log_others: NDArray[np.float64]
    distance: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    means: Array
    whitening: Array

    def check(self, n_hidden: int, n_classes: int) -> None:
        """Make sure that this belongs to a network of these sizes.

        Raises
        ------
        ValueError
            When it does not.
        """
        distance = len(self.distance) > 0
        shapes = self.means.shape, self.whitening.shape
        if not (len(self.uncertainty) and len(self.log_others)) or (
            distance and shapes != ((n_hidden, n_classes), (n_hidden, n_hidden))
        ):
            raise ValueError("the calibration does not fit the network")

    def uncertainties(self, probabilities: Array, hidden: Array) -> NDArray[np.float64]:
        """Return how doubtful answers are.

        Parameters
        ----------
        probabilities : ndarray of shape (n_classes, m)
        hidden : ndarray of shape (n_{L-1}, m)
            Activations of the last hidden layer.

        Returns
        -------
        ndarray of shape (m,), 0 or more
        """
        return np.maximum(*self.uncertainty_parts(probabilities, hidden))

    def uncertainty_parts(self, probabilities: Array, hidden: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the two signs whose maximum is `uncertainties`, each of shape (m,): by probability, and by distance.

        Without a distance (see `distance`), the second is 0.
        """
        by_probability = _place(log_other_probability(probabilities), self.log_others)
        if not len(self.distance):
            return by_probability, np.zeros_like(by_probability)
        return by_probability, _place(distances(hidden, self.means, self.whitening), self.distance)

    def threshold(self, rate: float) -> float:
        """Return the doubt that a share `rate` of the validation examples is above."""
        return float(np.quantile(self.uncertainty, 1 - rate))


def _place(values: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where values lie among known ones: 0 at the least, 1 at the greatest, and on beyond it."""
    places = np.interp(values, known, np.linspace(0, 1, len(known)))
    scale = max(float(known[-1] - known[len(known) // 2]), _LEAST)
    return places + np.maximum(values - known[-1], 0) / scale


def log_other_probability(probabilities: Array) -> NDArray[np.float64]:
    """Return log(q) for each column, q being the probability left to all classes but the likeliest: shape (m,)."""
    others = probabilities.astype(np.float64)
    others[probabilities.argmax(axis=0), np.arange(others.shape[1])] = 0
    return np.log(others.sum(axis=0) + _LEAST)


def distances(hidden: Array, means: Array, whitening: Array) -> NDArray[np.float64]:
    """Return the Mahalanobis distance of each column from the nearest mean, shape (m,)."""
    points, centres = whitening @ hidden, whitening @ means
    squares = np.einsum("nm,nm->m", points, points)[None] + np.einsum("nc,nc->c", centres, centres)[:, None]
    squares = squares - 2 * centres.T @ points  # (n_classes, m)
    return np.sqrt(np.maximum(squares.min(axis=0), 0)).astype(np.float64)


class NetworkOutputs(NamedTuple):
    """What a network says about m examples.

    Attributes
    ----------
    probabilities : ndarray of shape (n_classes, m)
    logits : ndarray of shape (n_L, m)
    hidden : ndarray of shape (n_{L-1}, m)
        A[L-1]; X itself where there is no hidden layer.
    """

    probabilities: Array
    logits: Array
    hidden: Array


def network_outputs(
    X: Array, parameters: Parameters, config: NetworkConfig, workspace: Workspace | None = None
) -> NetworkOutputs:
    """Go through the network once and return all that calibration asks of it.

    Parameters
    ----------
    X : ndarray of shape (n_x, m)
    parameters : Parameters
    config : NetworkConfig
    workspace : Workspace, optional
        Holds the logits and the hidden layer, until it is used again.
    """
    logits, caches = forward(X, parameters, config, workspace=workspace or Workspace())
    return NetworkOutputs(HEADS[config.head].class_probabilities(logits), logits, caches[-1].linear.A_prev)


def fit_temperature(logits: Array, labels: NDArray[np.integer], n_classes: int, head: str) -> float:
    """Return the temperature under which validation examples are likeliest, within `TEMPERATURES`.

    It is 1 for fewer than `FEWEST_FOR_TEMPERATURE` examples, where none is wrong (the likelihood would then grow with
    ever more confidence), and where it would not help on examples it was not fitted on (5-fold cross-validation).

    Parameters
    ----------
    logits : ndarray of shape (n_L, m)
    labels : ndarray of shape (m,), integer
    n_classes : int
    head : str
        Name of the output layer, see `model.heads.HEADS`.
    """
    from scipy.optimize import minimize_scalar

    output, m = HEADS[head], len(labels)
    logits = logits.astype(np.float64)
    wrong = np.count_nonzero(output.class_probabilities(logits).argmax(axis=0) != labels)
    if m < FEWEST_FOR_TEMPERATURE or not wrong:
        return 1.0
    Y = output.targets(labels, n_classes, 0.0, np.dtype(np.float64))

    def cost(log_T: float, chosen: NDArray[np.bool_]) -> float:
        return float(output.losses(logits[:, chosen] / np.exp(log_T), Y[:, chosen]).sum())

    def fit(chosen: NDArray[np.bool_]) -> float:
        found = minimize_scalar(cost, bounds=np.log(TEMPERATURES), args=(chosen,), method="bounded")
        return float(found.x)

    everything = np.ones(m, bool)
    folds = [np.arange(m) % _FOLDS == k for k in range(_FOLDS)]
    if sum(cost(fit(~fold), fold) for fold in folds) >= cost(0.0, everything):
        return 1.0
    return float(np.exp(fit(everything)))


def fold_temperature(parameters: Parameters, temperature: float) -> Parameters:
    """Return the network whose logits are those of `parameters` divided by the temperature."""
    flat = parameters.flat.copy()
    result = Parameters(
        parameters.layer_dims, batch_norm=parameters.batch_norm, flat=flat, running=parameters.running.copy()
    )
    W, b, _ = result[result.L]
    W /= temperature
    b /= temperature
    return result


def fit_distance(hidden: Array, labels: NDArray[np.integer], n_classes: int) -> tuple[Array, Array]:
    """Return (means, whitening) of training examples' last hidden layer, for `distances`.

    The covariance is shrunk towards a sphere (Ledoit & Wolf 2004), since units may be more than examples.

    Parameters
    ----------
    hidden : ndarray of shape (n_{L-1}, m)
    labels : ndarray of shape (m,), integer
        A class without an example has the mean of all.
    n_classes : int
    """
    from sklearn.covariance import ledoit_wolf

    A = hidden.astype(np.float64)
    means = np.repeat(A.mean(axis=1, keepdims=True), n_classes, axis=1)
    for c in np.unique(labels):
        means[:, c] = A[:, labels == c].mean(axis=1)
    covariance, _ = ledoit_wolf((A - means[:, labels]).T, assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, max(values[-1], _LEAST) * 1e-9)
    whitening = (vectors / np.sqrt(values)).T
    return means.astype(hidden.dtype), np.asfortranarray(whitening, hidden.dtype)


def calibrate(
    temperature: float, probabilities: Array, hidden: Array, training: tuple[Array, NDArray[np.integer]], n_classes: int
) -> Calibration:
    """Learn what doubt is usual.

    Parameters
    ----------
    temperature : float
        That is in the network already.
    probabilities, hidden : ndarray of shape (n_classes, m), (n_{L-1}, m)
        Of the validation examples.
    training : (hidden, labels)
        Of training examples, a few thousand at most: ndarray of shape (n_{L-1}, m_train), and (m_train,).
    n_classes : int

    Raises
    ------
    ValueError
        When there are no validation examples.
    """
    m = probabilities.shape[1]
    if not m:
        raise ValueError("there are no validation examples to calibrate on")
    n, dtype = len(hidden), hidden.dtype
    means, whitening = np.empty((n, 0), dtype), np.empty((0, 0), dtype)
    distance = np.empty(0)
    if n <= LARGEST_HIDDEN:
        means, whitening = fit_distance(*training, n_classes)
        distance = _quantiles(distances(hidden, means, whitening))
    found = Calibration(
        temperature, m, _quantiles(log_other_probability(probabilities)), distance, np.empty(0), means, whitening
    )
    uncertainty = _quantiles(found.uncertainties(probabilities, hidden))
    return Calibration(temperature, m, found.log_others, distance, uncertainty, means, whitening)


def _quantiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sort(values) if len(values) <= _QUANTILES else np.quantile(values, np.linspace(0, 1, _QUANTILES))
