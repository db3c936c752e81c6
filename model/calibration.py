"""Calibrated probabilities, and an uncertainty by which a classifier can abstain.

Two things are fitted after training, with the validation examples:

- The **temperature** T divides the logits before they become probabilities (Guo et al. 2017, "On calibration of modern
  neural networks"). Above 1 it lowers a confidence that the validation examples do not confirm. It is linear in the
  last layer, so it is folded into that layer's W and b.
- The **uncertainty** of an example combines two signs that its prediction may be wrong: the probability left for all
  other classes, and the distance of its last hidden layer A[L-1] from those of the training examples (Lee et al. 2018,
  "A simple unified framework for detecting out-of-distribution samples": Mahalanobis distance from the nearest class
  mean, with one covariance for all classes). Each sign is ranked among its values on the validation examples, and the
  larger rank is the uncertainty.

For example, if the probability left for other classes is larger than on 60 % of the validation examples (rank 0.6) and
the distance is larger than on 90 % of them (rank 0.9), the uncertainty is 0.9. A rank above 1 means that a sign is
larger than on any validation example: a distance as far beyond the largest one as that is beyond the median has rank 2.

Which share of images a classifier should abstain on is not decided here, see `pipeline.evaluation.abstention`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.activations import Array
from model.config import NetworkConfig
from model.heads import HEADS
from model.network import Workspace, forward
from model.parameters import Parameters

TEMPERATURES = (0.5, 10.0)  # the range that the temperature is searched in
FEWEST_FOR_TEMPERATURE = 100  # validation examples
LARGEST_HIDDEN = 2048  # units; the distance in a wider layer would cost more than the network
_FOLDS = 5
_QUANTILES = 1001  # values kept of each sign
_TINY = 1e-12  # keeps logarithms and quotients finite


@dataclass(frozen=True)
class Calibration:
    """What the validation examples show about a classifier's probabilities.

    Attributes
    ----------
    temperature : float
        Already folded into the network.
    m : int
        Number of validation examples.
    log_others, distance, uncertainty : ndarray of shape (q,), float64
        The two signs and the uncertainty on the validation examples, in ascending order; their quantiles if there are
        many examples. `distance` is empty if the last hidden layer is wider than `LARGEST_HIDDEN`.
    means : ndarray of shape (n_{L-1}, n_classes)
        Mean of the last hidden layer over the training examples of each class.
    whitening : ndarray of shape (n_{L-1}, n_{L-1})
        Turns differences from a mean into vectors whose covariance is the identity.
    """

    temperature: float
    m: int
    log_others: NDArray[np.float64]
    distance: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    means: Array
    whitening: Array

    def check(self, n_hidden: int, n_classes: int) -> None:
        """Check that the calibration fits a network of these sizes.

        Raises
        ------
        ValueError
            When it does not.
        """
        has_distance = len(self.distance) > 0
        shapes = self.means.shape, self.whitening.shape
        if not (len(self.uncertainty) and len(self.log_others)) or (
            has_distance and shapes != ((n_hidden, n_classes), (n_hidden, n_hidden))
        ):
            raise ValueError("the calibration does not fit the network")

    def uncertainties(self, probabilities: Array, hidden: Array) -> NDArray[np.float64]:
        """Return the uncertainty of each prediction: the larger of the ranks of its two signs.

        Parameters
        ----------
        probabilities : ndarray of shape (n_classes, m)
        hidden : ndarray of shape (n_{L-1}, m)
            Activations of the last hidden layer.

        Returns
        -------
        ndarray of shape (m,), 0 or more
        """
        return np.maximum(*self.ranks(probabilities, hidden))

    def ranks(self, probabilities: Array, hidden: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the rank of each sign, by probability and by distance; the larger one is the uncertainty.

        Parameters and shapes are those of `uncertainties`. The rank by distance is 0 if there is no `distance`.
        """
        by_probability = _rank_among(log_other_probability(probabilities), self.log_others)
        if not len(self.distance):
            return by_probability, np.zeros_like(by_probability)
        return by_probability, _rank_among(distances(hidden, self.means, self.whitening), self.distance)

    def threshold(self, rate: float) -> float:
        """Return the uncertainty that a share `rate` of the validation examples exceeds."""
        return float(np.quantile(self.uncertainty, 1 - rate))


def _rank_among(values: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of values among reference values: 0 at the smallest, 1 at the largest, more beyond it.

    Between two reference values the rank is interpolated. Beyond the largest it grows by 1 for every distance between
    the median and the largest: among 0, 1, 2, 3, 4, a value of 1 has rank 0.25, 3.5 has 0.875, and 6 has 2.
    """
    ranks = np.interp(values, reference, np.linspace(0, 1, len(reference)))
    scale = max(float(reference[-1] - reference[len(reference) // 2]), _TINY)
    return ranks + np.maximum(values - reference[-1], 0) / scale


def log_other_probability(probabilities: Array) -> NDArray[np.float64]:
    """Return log(q), shape (m,): q is the probability of all classes of a column but the most probable one.

    It still distinguishes predictions whose largest probability rounds to 1.
    """
    others = probabilities.astype(np.float64)
    others[probabilities.argmax(axis=0), np.arange(others.shape[1])] = 0
    return np.log(others.sum(axis=0) + _TINY)


def distances(hidden: Array, means: Array, whitening: Array) -> NDArray[np.float64]:
    """Return the Mahalanobis distance of each column of `hidden` from the nearest mean, shape (m,)."""
    points, centres = whitening @ hidden, whitening @ means
    squares = np.einsum("nm,nm->m", points, points)[None] + np.einsum("nc,nc->c", centres, centres)[:, None]
    squares = squares - 2 * centres.T @ points  # (n_classes, m)
    return np.sqrt(np.maximum(squares.min(axis=0), 0)).astype(np.float64)


class NetworkOutputs(NamedTuple):
    """The outputs of a network for m examples.

    Attributes
    ----------
    probabilities : ndarray of shape (n_classes, m)
    logits : ndarray of shape (n_L, m)
    hidden : ndarray of shape (n_{L-1}, m)
        A[L-1]; X itself if there is no hidden layer.
    """

    probabilities: Array
    logits: Array
    hidden: Array


def network_outputs(
    X: Array, parameters: Parameters, config: NetworkConfig, workspace: Workspace | None = None
) -> NetworkOutputs:
    """Go forward through the network once and return all that calibration needs.

    Parameters
    ----------
    X : ndarray of shape (n_x, m)
    parameters : Parameters
    config : NetworkConfig
    workspace : Workspace, optional
        Logits and hidden layer are views of it, valid until it is used again.
    """
    logits, caches = forward(X, parameters, config, workspace=workspace or Workspace())
    return NetworkOutputs(HEADS[config.head].class_probabilities(logits), logits, caches[-1].linear.A_prev)


def fit_temperature(logits: Array, labels: NDArray[np.integer], n_classes: int, head: str) -> float:
    """Return the temperature within `TEMPERATURES` that maximises the likelihood of the validation labels.

    It is 1 if there are fewer than `FEWEST_FOR_TEMPERATURE` examples; if none is misclassified, since the likelihood
    then grows with the confidence without end; or if it does not help on examples it was not fitted on (5-fold
    cross-validation).

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
    folded = parameters.copy()
    W, b, _ = folded[folded.L]
    W /= temperature
    b /= temperature
    return folded


def fit_distance(hidden: Array, labels: NDArray[np.integer], n_classes: int) -> tuple[Array, Array]:
    """Return (means, whitening) of the last hidden layer of training examples, for `distances`.

    The covariance is shrunk towards a multiple of the identity (Ledoit & Wolf 2004), since there may be more units than
    examples.

    Parameters
    ----------
    hidden : ndarray of shape (n_{L-1}, m)
    labels : ndarray of shape (m,), integer
        A class without examples gets the mean of all examples.
    n_classes : int
    """
    from sklearn.covariance import ledoit_wolf

    A = hidden.astype(np.float64)
    means = np.repeat(A.mean(axis=1, keepdims=True), n_classes, axis=1)
    for c in np.unique(labels):
        means[:, c] = A[:, labels == c].mean(axis=1)
    covariance, _ = ledoit_wolf((A - means[:, labels]).T, assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, max(values[-1], _TINY) * 1e-9)
    whitening = (vectors / np.sqrt(values)).T
    return means.astype(hidden.dtype), np.asfortranarray(whitening, hidden.dtype)


def calibrate(
    temperature: float, probabilities: Array, hidden: Array, training: tuple[Array, NDArray[np.integer]], n_classes: int
) -> Calibration:
    """Measure the usual uncertainty on validation examples.

    Parameters
    ----------
    temperature : float
        The one that is folded into the network.
    probabilities, hidden : ndarray of shape (n_classes, m), (n_{L-1}, m)
        Outputs for the validation examples.
    training : (hidden, labels)
        Last hidden layer (n_{L-1}, m_train) and labels (m_train,) of training examples; a few thousand are enough.
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
    log_others = _quantiles(log_other_probability(probabilities))
    signs = Calibration(temperature, m, log_others, distance, np.empty(0), means, whitening)
    return replace(signs, uncertainty=_quantiles(signs.uncertainties(probabilities, hidden)))


def _quantiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sort(values) if len(values) <= _QUANTILES else np.quantile(values, np.linspace(0, 1, _QUANTILES))
