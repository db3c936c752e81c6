"""How certain a classifier is, what its images are like and how it was trained, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from model.calibration import FEWEST_FOR_TEMPERATURE, Calibration
from model.config import TrainingConfig
from pipeline.images.geometry import Geometry
from pipeline.text import duration

SURE, FAIRLY_SURE, CLOSE = 0.95, 0.75, 0.15
_WORTH_NAMING = 1.0  # seconds
# Why a classifier abstains -> what is shown instead of a class, and the sentence below it.
ABSTAINS = {
    "unsure": (
        "Not sure",
        "The model abstains: it is less certain of this image than of almost all validation images.",
    ),
    "unlike": ("Unlike the training data", "The model abstains: it was not trained on images like this one."),
}


def describe_geometry(geometry: Geometry) -> str:
    """Return the height and width of images, in the order of ``--size``, and if they are in colour: 64×53 gray."""
    return f"{geometry.height}×{geometry.width} {'RGB' if geometry.color == 'rgb' else geometry.color}"


def describe_change(change: float) -> str:
    """Say how far training with labels moved a pretrained first layer from where it began.

    Parameters
    ----------
    change : float
        ||W1 - before|| / ||before||
    """
    if change < 1:
        return f"training with labels changed the layer by {100 * change:.0f}% of its norm"
    return f"training with labels changed the layer by {change:.1f} times its norm: little of the pretraining is left"


def describe_seconds(seconds: Mapping[str, float]) -> str:
    """Say how long something took, with the phases that took a second or more: 91 s (training 35 s, ...)."""
    phases = ", ".join(f"{name} {duration(took)}" for name, took in seconds.items() if took >= _WORTH_NAMING)
    return duration(sum(seconds.values())) + (f" ({phases})" if phases else "")


def describe_optimizer(training: TrainingConfig) -> str:
    """Return how a network was trained: adamw, learning rate 0.001."""
    rate = training.learning_rate
    return f"{training.optimizer}, learning rate {rate if rate == 'auto' else f'{rate:.3g}'}"


def headline(ranking: Sequence[tuple[str, float]], reason: str = "") -> str:
    """Name the most probable class, or both of two that are about equally probable; none if the classifier abstains."""
    if reason:
        return ABSTAINS[reason][0]
    (first, p), (second, q) = ranking[:2]
    return f"{first} or {second}?" if p - q < CLOSE else first


def verdict(ranking: Sequence[tuple[str, float]], reason: str = "") -> str:
    """Say how certain a classifier is of its most probable class.

    Parameters
    ----------
    ranking : sequence of (label, probability)
        The most probable first; two or more.
    reason : str
        A key of `ABSTAINS`; empty if the classifier does not abstain.
    """
    (first, p), (second, q) = ranking[:2]
    if reason:
        return f"{ABSTAINS[reason][1]} Its best guess is {first}."
    if p >= SURE:
        return "The model is sure."
    if p - q < CLOSE:
        return "The model cannot decide."
    if p >= FAIRLY_SURE:
        return "The model is fairly sure."
    return f"The model leans towards {first}, but {second} is possible."


def what_probabilities_are(calibration: Calibration | None) -> str:
    """Say in a sentence how a classifier's probabilities are calibrated."""
    if calibration is None:
        return "The model is not calibrated: its probabilities may be too high, and it never abstains."
    m = f"{calibration.m:,} validation images"
    if calibration.temperature != 1:
        return f"The probabilities are calibrated on {m} (temperature {calibration.temperature:.2f})."
    if calibration.m < FEWEST_FOR_TEMPERATURE:
        return f"The probabilities are not calibrated: {m} are too few."
    return f"The probabilities are not rescaled: on {m}, calibration did not improve them."
