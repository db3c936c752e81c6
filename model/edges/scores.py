"""How far a layer's filters are edge detectors: scores with fixed limits, from the weights alone.

Row i of W1 is an image. A unit is an **edge unit** if one Gabor function explains this image (R² of at least 0.5), and
the image is local (90 % of its energy within 30 % of its area) and oriented (selectivity of at least 0.3). It is a
**strict** edge unit with an R² of at least 0.7 and 90 % of its energy within 15 % of its area. The limits were set on
images of known kind: Gabor functions pass, even with noise of a quarter of their energy; white, smooth and 1/f noise,
blobs, centre-surround images, single pixels, gratings and faces do not pass; of raw crops of photographs about one in
twelve passes, so a claim of learned edges has to exceed that.

The measures follow Jones & Palmer 1987 (Gabor fit), Olshausen & Field 1996 and Bell & Sejnowski 1997 (filters learned
from photographs), and Ringach 2002 (orientation selectivity, 1 - circular variance). Drawing is left to
`pipeline.explanation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.edges.gabor import fit_gabors

EDGE_R2, EDGE_AREA, EDGE_SELECTIVITY = 0.5, 0.30, 0.3
STRICT_R2, STRICT_AREA = 0.7, 0.15
SAME = 0.8  # two filters whose cosine is at least 0.8 in size count as one filter
ORIENTATION_BINS = 8


@dataclass(frozen=True)
class FilterScores:
    """Measures of the filters of n units. Every array has shape (n,) and is float64 unless stated otherwise.

    Attributes
    ----------
    r2 : 0 to 1
        Share of the filter's energy that one Gabor function explains.
    area90 : 0 to 1
        Smallest share of the image's pixels that holds 90 % of the filter's energy.
    selectivity : 0 to 1
        1 - circular variance of the energy over orientations: 0 for a round blob, 1 for a grating.
    orientation : 0 to pi
        Direction of the preferred edge, in radians, counter-clockwise on the screen; 0 is horizontal.
    frequency : cycles per pixel
        Preferred spatial frequency, from the Gabor fit.
    distinct : bool
        False for a filter that (up to its sign) repeats an earlier one.
    partner : int
        Index of the earlier filter whose negative this one is (an on/off pair), or -1.
    coverage : float, 0 to 1
        Entropy of the orientations of all edge units over 8 bins, as a share of the largest possible.
    distinct_share : float, 0 to 1
        Share of distinct filters in the layer; an on/off pair counts once.
    """

    r2: np.ndarray
    area90: np.ndarray
    selectivity: np.ndarray
    orientation: np.ndarray
    frequency: np.ndarray
    distinct: np.ndarray
    partner: np.ndarray
    coverage: float
    distinct_share: float

    @property
    def edge(self) -> np.ndarray:
        """Whether each unit is an edge unit; ndarray of shape (n,), bool."""
        local_and_oriented = (self.area90 <= EDGE_AREA) & (self.selectivity >= EDGE_SELECTIVITY)
        return local_and_oriented & (self.r2 >= EDGE_R2)

    @property
    def strict(self) -> np.ndarray:
        """Whether each unit is a strict edge unit; ndarray of shape (n,), bool."""
        return self.edge & (self.r2 >= STRICT_R2) & (self.area90 <= STRICT_AREA)

    @property
    def order(self) -> np.ndarray:
        """The order to show units in: edge units by orientation bin and frequency, then the others by R²."""
        bins = orientation_bins(self.orientation)
        return np.lexsort((np.where(self.edge, self.frequency, -self.r2), np.where(self.edge, bins, 99)))

    def summary(self) -> str:
        """Return how many units are edge detectors, in words.

        Examples
        --------
        ``94 of 100 first-layer units are edge detectors``
        """
        n, n_edges = len(self.r2), int(self.edge.sum())
        units = "first-layer unit is an edge detector" if n == 1 else "first-layer units are edge detectors"
        rest = "" if 2 * n_edges >= n else ": most show no edge, but templates, blobs or noise"
        return f"{n_edges} of {n} {units}{rest}"


def score_filters(W: np.ndarray, geometry_shape: tuple[int, int, int], *, fit_all: bool = True) -> FilterScores:
    """Score the rows of a first layer's weights as edge detectors.

    A colour filter is scored on the colour direction that holds most of its energy. Energy in other directions counts
    as not explained by the Gabor function, and all energy counts in the area.

    Parameters
    ----------
    W : ndarray of shape (n, n_x), any float dtype
        Weights of pixels, so with standardisation, whitening and batch normalisation folded in.
    geometry_shape : (height, width, channels)
    fit_all : bool
        False: fit a Gabor function only to filters whose area and selectivity allow an edge detector; r2, orientation
        and frequency of the others are 0. The edge units, their coverage and the summary are the same, and a layer
        of noise is scored at once.

    Returns
    -------
    FilterScores

    Raises
    ------
    ValueError
        When W does not fit the geometry or is not finite.
    """
    height, width, channels = geometry_shape
    if W.ndim != 2 or W.shape[1] != height * width * channels:
        raise ValueError(f"W of shape {W.shape} does not fit images of {height}x{width}x{channels}")
    if not np.isfinite(W).all():
        raise ValueError("W holds values that are not finite; such a layer cannot be scored")
    W = W.astype(np.float64)
    images, colour_share = _main_colour(W.reshape(-1, height * width, channels))
    images = images.reshape(-1, height, width)
    area90 = energy_area(W.reshape(-1, height * width, channels))
    selectivity = orientation_selectivity(images)
    fitted = np.flatnonzero(fit_all | ((area90 <= EDGE_AREA) & (selectivity >= EDGE_SELECTIVITY)))
    r2, orientation, frequency = np.zeros((3, len(W)))
    if len(fitted):
        fit = fit_gabors(images[fitted])
        # The wave advances across the edge, and y points down: a quarter turn and a flip give the edge on the screen.
        orientation[fitted] = np.mod(np.pi / 2 - fit.angle, np.pi)
        r2[fitted], frequency[fitted] = fit.r2 * colour_share[fitted], fit.frequency
    distinct, partner = _distinct(W)
    edge = (r2 >= EDGE_R2) & (area90 <= EDGE_AREA) & (selectivity >= EDGE_SELECTIVITY)
    counted = partner < 0
    return FilterScores(
        r2,
        area90,
        selectivity,
        orientation,
        frequency,
        distinct,
        partner,
        coverage=_coverage(orientation[edge]),
        distinct_share=float(distinct[counted].mean()) if counted.any() else 0.0,
    )


def energy_area(W: np.ndarray, share: float = 0.9) -> np.ndarray:
    """Return the smallest share of pixels that holds the given share of each filter's energy.

    Parameters
    ----------
    W : ndarray of shape (n, pixels, channels), float
    share : float, 0 to 1

    Returns
    -------
    ndarray of shape (n,), float64, 0 to 1
        1 for a filter of zeros.
    """
    energy = np.sort((W.astype(np.float64) ** 2).sum(axis=2), axis=1)[:, ::-1]
    held = np.cumsum(energy, axis=1)
    n_pixels = (held < share * held[:, -1:]).sum(axis=1) + 1
    return np.where(held[:, -1] > 0, n_pixels / W.shape[1], 1.0)


def orientation_selectivity(images: np.ndarray) -> np.ndarray:
    """Return 1 - circular variance of each image's energy over orientations (Ringach 2002).

    Parameters
    ----------
    images : ndarray of shape (n, height, width), float

    Returns
    -------
    ndarray of shape (n,), float64, 0 to 1
    """
    side = max(images.shape[1:])
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.fft2(centred, s=(side, side))) ** 2
    frequency = np.fft.fftfreq(side)
    turns = np.exp(2j * np.arctan2(frequency[:, None], frequency[None, :]))
    if side % 2 == 0:  # Nyquist's frequency stands for both of its signs, so its direction is undefined
        turns[side // 2, 1:] = 0
        turns[1:, side // 2] = 0
    total = power.sum(axis=(1, 2))
    return np.abs((power * turns).sum(axis=(1, 2))) / np.where(total > 0, total, 1)


def orientation_bins(orientation: np.ndarray) -> np.ndarray:
    """Return the bin, 0 to 7, of each orientation; bin 0 is centred on horizontal edges."""
    return np.round(orientation / np.pi * ORIENTATION_BINS).astype(int) % ORIENTATION_BINS


def _coverage(orientation: np.ndarray) -> float:
    if len(orientation) == 0:
        return 0.0
    share = np.bincount(orientation_bins(orientation), minlength=ORIENTATION_BINS) / len(orientation)
    share = share[share > 0]
    return float(abs((share * np.log(share)).sum()) / np.log(ORIENTATION_BINS))


def _main_colour(W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project W (n, pixels, channels) on each filter's strongest colour; return (n, pixels) and its share of energy."""
    if W.shape[2] == 1:
        return W[:, :, 0], np.ones(len(W))
    values, directions = np.linalg.eigh(W.transpose(0, 2, 1) @ W)  # ascending
    total = values.sum(axis=1)
    return np.einsum("npc,nc->np", W, directions[:, :, -1]), values[:, -1] / np.where(total > 0, total, 1)


def _distinct(W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each filter repeats no earlier one, and the index of its negative or -1; see `FilterScores`."""
    norms = np.linalg.norm(W, axis=1, keepdims=True)
    unit = W / np.where(norms > 0, norms, 1)
    cosines = unit @ unit.T
    distinct, partner = norms[:, 0] > 0, np.full(len(W), -1)
    taken = np.zeros(len(W), bool)
    for j in range(len(W)):
        earlier = cosines[j, :j].copy()
        earlier[partner[:j] >= 0] = 0  # the first filter stands for a pair
        negatives = np.where(taken[:j], 0, earlier)
        if j and negatives.min() <= -SAME:
            partner[j] = int(negatives.argmin())
            taken[partner[j]] = True
        distinct[j] &= j == 0 or bool(np.abs(earlier).max() < SAME)
    return distinct, partner
