"""What a classifier gains by abstaining: accuracy against coverage, and the out-of-distribution images it rejects.

The out-of-distribution images come with the installation: random noise, flat colours, handwritten digits and crops of
two photographs, a temple and a flower (both from scikit-learn). A kind that resembles the model's own images is not
out-of-distribution for that model. The photographs are only partly out-of-distribution if the first layer was learned
from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier import ImageClassifier
from pipeline.images.decode import fit_to_geometry, from_array
from pipeline.images.geometry import Geometry

RATE = 0.05
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
_PER_KIND = 200  # images of each kind


@dataclass(frozen=True)
class Abstention:
    """What abstaining does.

    Attributes
    ----------
    rate : float
        Share of the validation images whose uncertainty is above the threshold: what abstaining may cost.
    m_validation : int
        Number of validation images that the threshold comes from.
    abstained : float
        Share of the evaluated images on which the classifier abstains.
    curve : tuple of (coverage, accuracy)
        Accuracy on the share (coverage) of the evaluated images that are least uncertain.
    ood_abstained : dict
        Kind of out-of-distribution images -> share of them on which the classifier abstains.
    familiar : tuple of str
        Kinds that are not quite out-of-distribution: the first layer was learned, without labels, from the same
        photographs.
    """

    rate: float
    m_validation: int
    abstained: float
    curve: tuple[tuple[float, float], ...]
    ood_abstained: dict[str, float]
    familiar: tuple[str, ...] = ()


def measure_abstention(
    classifier: ImageClassifier, uncertainty: NDArray[np.float64], is_correct: NDArray[np.bool_], rate: float = RATE
) -> Abstention | None:
    """Measure what abstaining does on evaluated and on out-of-distribution images; None without a calibration.

    Parameters
    ----------
    classifier : ImageClassifier
    uncertainty : ndarray of shape (m,)
        Uncertainty of each evaluated image.
    is_correct : ndarray of shape (m,), bool
        Whether the most probable class is the true one.
    rate : float
        Share of the validation images that the classifier may abstain on.
    """
    if classifier.calibration is None:
        return None
    threshold = classifier.uncertainty_threshold(rate)
    learned_from_them = classifier.pretraining.is_on and not classifier.provenance.get("pretrain_on")
    ood_abstained = {}
    for kind, make in OOD_KINDS.items():
        images = make(classifier.geometry, np.random.default_rng(0))
        ood_abstained[kind] = float(np.mean(classifier.classify_with_uncertainty(images)[1] > threshold))
    return Abstention(
        rate,
        classifier.calibration.m,
        float(np.mean(uncertainty > threshold)),
        coverage_curve(uncertainty, is_correct),
        ood_abstained,
        ("photographs",) if learned_from_them else (),
    )


def coverage_curve(uncertainty: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Return (coverage, accuracy) pairs: the accuracy on the least uncertain share (coverage) of the images."""
    in_order = is_correct[np.argsort(uncertainty, kind="stable")]
    return tuple((c, float(in_order[: max(1, round(c * len(is_correct)))].mean())) for c in COVERAGES)


def random_noise(geometry: Geometry, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return images of random pixels."""
    return rng.integers(0, 256, (_PER_KIND, *geometry.shape), dtype=np.uint8)


def flat_colours(geometry: Geometry, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return images of one colour each."""
    colors = rng.integers(0, 256, (_PER_KIND, 1, 1, geometry.shape[2]), dtype=np.uint8)
    return np.broadcast_to(colors, (_PER_KIND, *geometry.shape)).copy()


def handwritten_digits(geometry: Geometry, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return handwritten digits."""
    from sklearn.datasets import load_digits

    found = (load_digits().images * 15.9).astype(np.uint8)
    chosen = rng.choice(len(found), _PER_KIND, replace=False)
    return np.stack([fit_to_geometry(from_array(found[i]), geometry) for i in chosen])


def photograph_crops(geometry: Geometry, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return crops of two photographs, in many sizes."""
    from sklearn.datasets import load_sample_images

    photos, images = load_sample_images().images, []
    for k in range(_PER_KIND):
        photo = photos[k % len(photos)]
        side = int(rng.integers(32, min(photo.shape[:2])))
        top, left = (int(rng.integers(0, size - side + 1)) for size in photo.shape[:2])
        images.append(fit_to_geometry(from_array(photo[top : top + side, left : left + side]), geometry))
    return np.stack(images)


OOD_KINDS: dict[str, Callable[[Geometry, np.random.Generator], NDArray[np.uint8]]] = {
    "noise": random_noise,
    "flat colours": flat_colours,
    "digits": handwritten_digits,
    "photographs": photograph_crops,
}
