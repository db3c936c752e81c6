"""The checks of an audit: each is a function from the facts of a data set to findings, and a line in `CHECKS`.

Thresholds are stated where they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.audit.report import SHOWN
from pipeline.data.duplicates import conflicts, star_groups
from pipeline.data.grouping import members
from pipeline.data.splits import Split
from pipeline.text import count, shortened

LEAKAGE_FROM = 0.85  # balanced accuracy of one feature


@dataclass(frozen=True)
class Facts:
    """What the checks look at: everything about the images except their pixels.

    `equal` and `near` as in `pipeline.data.division.Division`; `measures` by name, each of shape (m,); `smallest` is
    the (height, width) that images are resized to for training.
    """

    classes: tuple[str, ...]
    labels: np.ndarray
    split: np.ndarray
    paths: np.ndarray
    sizes: np.ndarray
    formats: np.ndarray
    modes: np.ndarray
    measures: dict[str, np.ndarray]
    equal: np.ndarray
    near: np.ndarray
    rejected: list[tuple[str, str, str]]
    smallest: tuple[int, int]


class CheckResult(NamedTuple):
    """A finding of a check, with the indices of its images; see `pipeline.audit.report.Finding`."""

    kind: str
    severity: str
    message: str
    rows: Sequence[int] = ()


def _class_sizes(facts: Facts) -> Iterator[CheckResult]:
    """Report classes ten times as large as others, and classes of fewer than ten images."""
    counts = np.bincount(facts.labels[facts.labels >= 0], minlength=len(facts.classes))
    if not len(counts):
        return
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] > 10 * counts[least]:
        message = (
            f"class {facts.classes[most]!r} has {counts[most]:,} images, {facts.classes[least]!r} {counts[least]:,}; "
            "consider --class-weight balanced"
        )
        yield CheckResult("class imbalance", "warning", message)
    few = [name for name, n in zip(facts.classes, counts, strict=True) if n < 10]
    if few:
        message = f"{count(len(few), 'class', 'classes')} of fewer than 10 images: {shortened(few)}"
        yield CheckResult("few images", "warning", message)
    if len(counts) == 1:
        message = f"there is only one class, {facts.classes[0]!r}: a classifier needs at least two"
        yield CheckResult("one class", "serious", message)


def _duplicates(facts: Facts) -> Iterator[CheckResult]:
    """Report exact and near duplicates, across splits and within one, and those with several labels."""
    near = members(star_groups(len(facts.labels), facts.near))
    for kind, sets in (("exact duplicates", members(facts.equal)), ("near duplicates", near)):
        across = [rows for rows in sets if _is_spread_over_splits(facts.split[rows])]
        within = [rows for rows in sets if not _is_spread_over_splits(facts.split[rows])]
        if across:
            message = f"{count(len(across), 'set')} of {kind} in more than one split: test scores will be too high"
            yield CheckResult(f"{kind} across splits", "serious", message, _flat(across))
        if within:
            yield CheckResult(kind, "warning", f"{count(len(within), 'set')} of {kind}", _flat(within))
    contradicting = conflicts(facts.equal, facts.labels)
    if contradicting:
        message = f"{count(len(contradicting), 'set')} of exact duplicates with several labels"
        yield CheckResult("conflicting labels", "serious", message, _flat(contradicting))
    mixed = [rows for rows in near if len(set(facts.labels[rows].tolist()) - {-1}) > 1]
    if mixed:
        message = f"{count(len(mixed), 'set')} of near duplicates with several labels"
        yield CheckResult("conflicting labels of near duplicates", "warning", message, _flat(mixed))


def _appearance(facts: Facts) -> Iterator[CheckResult]:
    """Report dark, light, uninformative and blurry images; each image under the first kind that fits."""
    measures = facts.measures
    left = np.ones(len(facts.labels), dtype=bool)
    for kind, fits, description in (
        ("dark", measures["brightness"] < 30, "very dark"),
        ("light", measures["brightness"] > 225, "very light"),
        (
            "low information",
            (measures["contrast"] < 3) | (measures["entropy"] < 3),
            "of low information: hardly any contrast, or a few gray values only",
        ),
        ("blurry", measures["sharpness"] < 0.03, "blurry"),
    ):
        rows = np.flatnonzero(fits & left)
        left[rows] = False
        if len(rows):
            # If much of a set looks like that, it is a property of the set: digits on black, products on white.
            severity = "warning" if len(rows) < 0.2 * len(left) else "note"
            verb = "is" if len(rows) == 1 else "are"
            message = f"{len(rows):,} of {count(len(left), 'image')} {verb} {description}"
            yield CheckResult(kind, severity, message, rows.tolist())


def _sizes(facts: Facts) -> Iterator[CheckResult]:
    """Report images of an odd aspect ratio, of an odd size, or smaller than the size they are resized to."""
    heights, widths = facts.sizes[:, 0].astype(float), facts.sizes[:, 1].astype(float)
    rows = np.flatnonzero(np.maximum(heights, widths) > 3 * np.minimum(heights, widths))
    if len(rows):
        message = f"{count(len(rows), 'image')} with one side more than 3 times as long as the other"
        yield CheckResult("odd aspect ratio", "warning", message, rows.tolist())
    side = np.sqrt(heights * widths)
    rows = np.flatnonzero((side > 10 * np.median(side)) | (side < np.median(side) / 10))
    if len(rows):
        message = f"{count(len(rows), 'image')} more than 10 times smaller or larger than most"
        yield CheckResult("odd size", "warning", message, rows.tolist())
    rows = np.flatnonzero((heights < facts.smallest[0]) & (widths < facts.smallest[1]))
    if len(rows):
        size = f"{facts.smallest[0]}x{facts.smallest[1]}"
        message = f"{count(len(rows), 'image')} smaller than {size}, and upscaled to it"
        yield CheckResult("upscaled", "note", message, rows.tolist())


def _label_leakage(facts: Facts) -> Iterator[CheckResult]:
    """Report spurious features: properties of the files that predict a class, whatever the images show.

    For each class and feature, the class is predicted from the feature alone, learned from all other images. A
    balanced accuracy of `LEAKAGE_FROM` or more (0.5 is guessing) is reported, if most of the images predicted to be of
    the class are of it: a network may learn the feature instead of the content.
    """
    rows = np.flatnonzero(facts.labels >= 0)
    labels = facts.labels[rows]
    counts = np.bincount(labels, minlength=len(facts.classes))
    if (counts > 0).sum() < 2:
        return
    areas = facts.sizes[:, 0].astype(float) * facts.sizes[:, 1]
    sizes = np.array([f"{height}x{width}" for height, width in facts.sizes.tolist()])
    for feature, severity, values in (
        ("file type", "serious", facts.formats),
        ("colour mode", "serious", facts.modes),
        ("size in pixels", "serious", sizes),
        ("number of pixels", "serious", _bins(areas)),
        ("aspect ratio", "serious", _bins(facts.sizes[:, 1] / facts.sizes[:, 0])),
        ("brightness", "warning", _bins(facts.measures["brightness"])),
        ("colourfulness", "warning", _bins(facts.measures["colorfulness"])),
    ):
        accuracies, precisions = one_feature_scores(values[rows], labels, len(facts.classes))
        predicted = (accuracies >= LEAKAGE_FROM) & (precisions > 0.5) & (counts >= 10)
        order = [int(c) for c in np.argsort(-accuracies, kind="stable") if predicted[c]]
        if order:
            named = shortened([f"{facts.classes[c]!r} ({100 * accuracies[c]:.0f}%)" for c in order])
            of_class = np.flatnonzero(facts.labels == order[0])[: SHOWN // 2]
            others = np.flatnonzero((facts.labels >= 0) & (facts.labels != order[0]))[: SHOWN // 2]
            message = (
                f"{feature} alone predicts class {named}: a spurious feature, which a network may learn instead of "
                "what the images show"
            )
            yield CheckResult(f"label leakage: {feature}", severity, message, [*of_class.tolist(), *others.tolist()])


def one_feature_scores(values: np.ndarray, labels: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how well one feature distinguishes each class from all others.

    An image is predicted to be of the class if the class has a larger share of its images with the same value than
    the rest has, the image itself left out.

    Parameters
    ----------
    values : ndarray of shape (m,)
        The feature, with discrete values.
    labels : ndarray of shape (m,), int
        0 to n_classes - 1.

    Returns
    -------
    accuracies : ndarray of shape (n_classes,), float
        Balanced accuracy, 0 to 1; 0.5 for guessing.
    precisions : ndarray of shape (n_classes,), float
        Share of the images predicted to be of the class that are of it.
    """
    _, value = np.unique(values, return_inverse=True)
    table = np.zeros((value.max() + 1, n_classes))  # (n_values, n_classes): images
    np.add.at(table, (value, labels), 1)
    total = table.sum(axis=0)  # (n_classes,)
    rest, rest_total = table.sum(axis=1, keepdims=True) - table, total.sum() - total
    with np.errstate(divide="ignore", invalid="ignore"):
        true_positives = (table * ((table - 1) / (total - 1) > rest / rest_total)).sum(axis=0)
        false_positives = (rest * ((rest - 1) / (rest_total - 1) < table / total)).sum(axis=0)
        accuracies = (true_positives / total + 1 - false_positives / rest_total) / 2
        precisions = true_positives / (true_positives + false_positives)
    return np.nan_to_num(accuracies, nan=0.5), np.nan_to_num(precisions)


CHECKS: tuple[Callable[[Facts], Iterator[CheckResult]], ...] = (
    _class_sizes,
    _duplicates,
    _label_leakage,
    _appearance,
    _sizes,
)


def _bins(values: np.ndarray) -> np.ndarray:
    """Return the bin of each value: ten bins of about as many images each."""
    return np.searchsorted(np.unique(np.quantile(values, np.linspace(0.1, 0.9, 9))), values, side="right")


def _is_spread_over_splits(splits: np.ndarray) -> bool:
    return len(set(splits[splits <= Split.TEST].tolist())) > 1


def _flat(sets: Sequence[np.ndarray]) -> list[int]:
    return [int(i) for rows in sets for i in rows]
