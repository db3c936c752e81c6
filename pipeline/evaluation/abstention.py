"""What a classifier gains by saying "I don't know": accuracy against coverage, and the strangers it refuses.

The strange images come with the installation: random noise, flat colours, handwritten digits (scikit-learn's) and
pieces of photographs of a temple and a flower (scikit-learn's). To a model whose own images are like one of these,
that kind is not strange; nor are the photographs quite, where the first layer was learned from them.
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
        Share of valid images one is ready to lose: that of the validation images above the threshold.
    m_validation : int
        Validation images that the threshold rests on.
    lost : float
        Share of the evaluated images that are refused.
    curve : tuple of (coverage, accuracy)
        Accuracy on the least doubtful share of the evaluated images.
    refused : dict
        Kind of strange images -> share that is refused.
    familiar : tuple of str
        Kinds that are not quite strange: the first layer was learned, without labels, from the same photographs.
    """

    rate: float
    m_validation: int
    lost: float
    curve: tuple[tuple[float, float], ...]
    refused: dict[str, float]
    familiar: tuple[str, ...] = ()


def measure_abstention(
    classifier: ImageClassifier, uncertainty: NDArray[np.float64], right: NDArray[np.bool_], rate: float = RATE
) -> Abstention | None:
    """Measure what abstaining does on evaluated images, and on strange ones; None where nothing is known of doubt.

    Parameters
    ----------
    classifier : ImageClassifier
    uncertainty : ndarray of shape (m,)
        Of the evaluated images.
    right : ndarray of shape (m,), bool
        Whether the likeliest class is the true one.
    rate : float
    """
    if classifier.calibration is None:
        return None
    threshold = classifier.uncertainty_threshold(rate)
    learned_from_them = classifier.pretraining.is_on and not classifier.provenance.get("pretrain_on")
    refused = {}
    for kind, make in OOD_KINDS.items():
        images = make(classifier.geometry, np.random.default_rng(0))
        refused[kind] = float(np.mean(classifier.classify_with_uncertainty(images)[1] > threshold))
    return Abstention(
        rate,
        classifier.calibration.m,
        float(np.mean(uncertainty > threshold)),
        coverage_curve(uncertainty, right),
        refused,
        ("photographs",) if learned_from_them else (),
    )


def coverage_curve(uncertainty: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Return (coverage, accuracy) when only the least doubtful share of images is answered."""
    in_order = right[np.argsort(uncertainty, kind="stable")]
    return tuple((c, float(in_order[: max(1, round(c * len(right)))].mean())) for c in COVERAGES)


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
    """Return pieces, of many sizes, of two photographs."""
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


def describe_abstention(found: Abstention) -> str:
    """Say what abstaining does, for the command line."""
    curve = "  ".join(f"{100 * coverage:.0f}%: {100 * accuracy:.1f}%" for coverage, accuracy in found.curve)
    refused = ", ".join(f"{kind} {100 * share:.0f}%" for kind, share in found.refused.items())
    return (
        f"Accuracy when only the least doubtful are answered: {curve}\n"
        f"With --reject {found.rate:g} (a threshold from {found.m_validation:,} validation images), "
        f"{100 * found.lost:.1f}% of these images are refused; of strange ones: {refused}"
        + "".join(
            f"\nNote: the {kind} are among those that the first layer was learned from" for kind in found.familiar
        )
    )
