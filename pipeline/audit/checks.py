"""The checks of an audit: each is a function from the facts of a data set to findings, and a line in `CHECKS`.

Thresholds are stated where they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.audit.report import SHOWN, some
from pipeline.data.duplicates import conflicts, star_groups
from pipeline.data.splits import TEST
from pipeline.text import count

GIVES_AWAY = 0.85


@dataclass(frozen=True)
class Facts:
    """What the checks look at: everything about the images but their pixels.

    `equal` and `near` as in `pipeline.data.grouping.Division`; `measures` by name, each of shape (m,).
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


Found = tuple[str, str, str, Sequence[int]]  # kind, severity, message, indices of images


def _balance(facts: Facts) -> Iterator[Found]:
    """Remark on classes ten times as large as others, and on classes of fewer than ten images."""
    counts = np.bincount(facts.labels[facts.labels >= 0], minlength=len(facts.classes))
    if not len(counts):
        return
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] > 10 * counts[least]:
        yield (
            "balance",
            "warning",
            f"class {facts.classes[most]!r} has {counts[most]:,} images, {facts.classes[least]!r} {counts[least]:,}; "
            "consider --class-weight balanced",
            (),
        )
    few = [name for name, n in zip(facts.classes, counts, strict=True) if n < 10]
    if few:
        yield (
            "few images",
            "warning",
            f"{count(len(few), 'class', 'classes')} of fewer than 10 images: {some(few)}",
            (),
        )
    if len(counts) == 1:
        yield "one class", "serious", f"there is only one class, {facts.classes[0]!r}: nothing to tell apart", ()


def _duplicates(facts: Facts) -> Iterator[Found]:
    """Report copies and near copies, across splits and within, and copies with several labels."""
    groups = _sets(facts.equal)
    alike = _sets(star_groups(len(facts.labels), facts.near))
    for what, sets in (("identical", groups), ("nearly identical", alike)):
        across = [rows for rows in sets if _is_torn(facts.split[rows])]
        within = [rows for rows in sets if not _is_torn(facts.split[rows])]
        if across:
            message = f"{count(len(across), 'set')} of {what} images in more than one split: the test is not honest"
            yield f"{what} across splits", "serious", message, _flat(across)
        if within:
            yield f"{what}", "warning", f"{count(len(within), 'set')} of {what} images", _flat(within)
    torn = conflicts(facts.equal, facts.labels)
    if torn:
        yield (
            "conflicting labels",
            "serious",
            f"{count(len(torn), 'set')} of identical images with several labels",
            _flat(torn),
        )
    mixed = [rows for rows in alike if len(set(facts.labels[rows].tolist()) - {-1}) > 1]
    if mixed:
        message = f"{count(len(mixed), 'set')} of nearly identical images with several labels"
        yield "conflicting labels of near duplicates", "warning", message, _flat(mixed)


def _appearance(facts: Facts) -> Iterator[Found]:
    """Report blank, dark, bright, uninformative and blurred images; each image under the first that fits."""
    measures = facts.measures
    left = np.ones(len(facts.labels), dtype=bool)
    for kind, fits, words in (
        ("blank", measures["contrast"] < 3, "blank: hardly any contrast"),
        ("dark", measures["brightness"] < 30, "very dark"),
        ("bright", measures["brightness"] > 225, "very bright"),
        ("low information", measures["entropy"] < 3, "made of a few gray values only"),
        ("blurred", measures["sharpness"] < 0.03, "blurred"),
    ):
        rows = np.flatnonzero(fits & left)
        left[rows] = False
        if len(rows):
            # Where most of a set looks like that, that is how the set is: digits on black, images on white.
            severity = "warning" if len(rows) < 0.2 * len(left) else "remark"
            yield (
                kind,
                severity,
                f"{len(rows):,} of {count(len(left), 'image')} {'is' if len(rows) == 1 else 'are'} {words}",
                rows.tolist(),
            )


def _shapes(facts: Facts) -> Iterator[Found]:
    """Report images with extreme aspects, of a very different size, or smaller than what they are brought to."""
    heights, widths = facts.sizes[:, 0].astype(float), facts.sizes[:, 1].astype(float)
    aspect = np.maximum(heights, widths) / np.minimum(heights, widths)
    rows = np.flatnonzero(aspect > 3)
    if len(rows):
        message = f"{count(len(rows), 'image')} more than 3 times as long as wide, or the other way round"
        yield "odd aspect", "warning", message, rows.tolist()
    side = np.sqrt(heights * widths)
    rows = np.flatnonzero((side > 10 * np.median(side)) | (side < np.median(side) / 10))
    if len(rows):
        yield (
            "odd size",
            "warning",
            f"{count(len(rows), 'image')} 10 times smaller or larger than most",
            rows.tolist(),
        )
    rows = np.flatnonzero((heights < facts.smallest[0]) & (widths < facts.smallest[1]))
    if len(rows):
        size = f"{facts.smallest[0]}x{facts.smallest[1]}"
        yield (
            "enlarged",
            "remark",
            f"{count(len(rows), 'image')} smaller than {size}, and enlarged to it",
            rows.tolist(),
        )


def _giveaways(facts: Facts) -> Iterator[Found]:
    """Report classes that something other than what the image shows tells from all others.

    For each class and feature: how well does the feature alone, learnt from all other images, tell the class from the
    rest? From a balanced accuracy of `GIVES_AWAY` on (0.5 is guessing), and where the feature is more often right than
    wrong when it says so, a network may learn the feature instead.
    """
    rows = np.flatnonzero(facts.labels >= 0)
    labels = facts.labels[rows]
    counts = np.bincount(labels, minlength=len(facts.classes))
    if (counts > 0).sum() < 2:
        return
    areas = facts.sizes[:, 0].astype(float) * facts.sizes[:, 1]
    sizes = np.array([f"{height}x{width}" for height, width in facts.sizes.tolist()])
    for name, severity, values in (
        ("file type", "serious", facts.formats),
        ("colour mode of the file", "serious", facts.modes),
        ("size in pixels", "serious", sizes),
        ("number of pixels", "serious", _bins(areas)),
        ("aspect", "serious", _bins(facts.sizes[:, 1] / facts.sizes[:, 0])),
        ("mean brightness", "warning", _bins(facts.measures["brightness"])),
        ("colourfulness", "warning", _bins(facts.measures["colorfulness"])),
    ):
        accuracies, precisions = one_feature_scores(values[rows], labels, len(facts.classes))
        given = (accuracies >= GIVES_AWAY) & (precisions > 0.5) & (counts >= 10)
        order = [int(c) for c in np.argsort(-accuracies, kind="stable") if given[c]]
        if order:
            named = some([f"{facts.classes[c]!r} ({100 * accuracies[c]:.0f}%)" for c in order])
            first = np.flatnonzero(facts.labels == order[0])[: SHOWN // 2]
            rest = np.flatnonzero((facts.labels >= 0) & (facts.labels != order[0]))[: SHOWN // 2]
            message = f"{name} alone gives away class {named}: a network may learn that instead of what is shown"
            yield f"giveaway: {name}", severity, message, [*first.tolist(), *rest.tolist()]


def one_feature_scores(values: np.ndarray, labels: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how well one feature tells each class from all others.

    An image is taken for the class, against the rest, that has the larger share of its own images with the same
    value, that image itself left out.

    Parameters
    ----------
    values : ndarray of shape (m,)
        Of a feature with discrete values.
    labels : ndarray of shape (m,), int
        0 to n_classes - 1.

    Returns
    -------
    accuracies : ndarray of shape (n_classes,), float
        Balanced accuracy, 0 to 1; 0.5 for guessing.
    precisions : ndarray of shape (n_classes,), float
        Share of the images taken for the class that are of it.
    """
    _, value = np.unique(values, return_inverse=True)
    table = np.zeros((value.max() + 1, n_classes))  # (n_values, n_classes): images
    np.add.at(table, (value, labels), 1)
    total = table.sum(axis=0)  # (n_classes,)
    rest, rest_total = table.sum(axis=1, keepdims=True) - table, total.sum() - total
    with np.errstate(divide="ignore", invalid="ignore"):
        found = table * ((table - 1) / (total - 1) > rest / rest_total)  # of the class, and taken for it
        wrong = rest * ((rest - 1) / (rest_total - 1) < table / total)  # of the rest, and taken for the class
        hits, misses = found.sum(axis=0), wrong.sum(axis=0)
        accuracies = (hits / total + 1 - misses / rest_total) / 2
        precisions = hits / (hits + misses)
    return np.nan_to_num(accuracies, nan=0.5), np.nan_to_num(precisions)


CHECKS: tuple[Callable[[Facts], Iterator[Found]], ...] = (_balance, _duplicates, _giveaways, _appearance, _shapes)


def _bins(values: np.ndarray) -> np.ndarray:
    """Cut numbers into ten bins of about as many images each."""
    return np.searchsorted(np.unique(np.quantile(values, np.linspace(0.1, 0.9, 9))), values, side="right")


def _is_torn(splits: np.ndarray) -> bool:
    return len(set(splits[splits <= TEST].tolist())) > 1


def _sets(group: np.ndarray) -> list[np.ndarray]:
    """Return the indices of every group's members."""
    rows = np.flatnonzero(group >= 0)
    rows = rows[np.argsort(group[rows], kind="stable")]
    return [part for part in np.split(rows, np.flatnonzero(np.diff(group[rows])) + 1) if len(part)]


def _flat(sets: Sequence[np.ndarray]) -> list[int]:
    return [int(i) for rows in sets for i in rows]
