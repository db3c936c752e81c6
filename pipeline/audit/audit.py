"""What is wrong with a set of pictures, before anything is learnt from it.

Every check is a function from the facts of a data set to findings, and a line in `CHECKS`. Thresholds are stated where
they are used. A finding names its files; whoever shows the report decides how many of them to show. Nothing is removed
or changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pipeline.audit.report import SEVERITIES, SHOWN, AuditReport, Finding, some
from pipeline.data.config import DataConfig, resolve_geometry
from pipeline.data.dataset import Dataset, is_dataset
from pipeline.data.duplicates import conflicts, groups_of_equals, star_groups
from pipeline.data.grouping import near_pairs
from pipeline.data.splits import SPLITS, TEST
from pipeline.files.walk import count
from pipeline.images.statistics import MEASURES
from pipeline.ingestion.ingest import digest, ingest, survey
from pipeline.sources.open import open_source
from pipeline.sources.source import Source

GIVES_AWAY = 0.85
_SIDE = "64"


@dataclass(frozen=True)
class Facts:
    """What the checks look at: everything about the pictures but their pixels.

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


Found = tuple[str, str, str, Sequence[int]]  # kind, severity, message, indices of pictures


def audit(
    source: str | Path | Dataset,
    *,
    config: DataConfig | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> AuditReport:
    """Look for what is wrong with a set of pictures.

    Parameters
    ----------
    source : str, Path or Dataset
        A data set, or anything `pipeline.sources.open.open_source` knows; the latter is read as it is, not divided.
    config : DataConfig, optional
        For `max_pixels` and `group_by`.
    jobs, progress
        As in `pipeline.ingestion.ingest.ingest`.

    Raises
    ------
    InputError
        If the source cannot be read.
    """
    if isinstance(source, Dataset):
        return _audit(source, str(source.file.filename))
    if is_dataset(source):
        with Dataset.open(source) as data:
            return _audit(data, str(source))
    config = config or DataConfig()
    opened = open_source(source, config.group_by)
    look = DataConfig(size=_SIDE, fit="pad", validation=0, test=0, max_pixels=config.max_pixels)
    with TemporaryDirectory(prefix="facette-") as folder:
        target = Path(folder) / "audit.h5"
        ingest(opened, target, look, into="given", jobs=jobs, progress=progress)
        with Dataset.open(target) as data:
            return _audit(data, opened.location, divided=opened.ready_made, smallest=_smallest(opened))


def _smallest(source: Source) -> tuple[int, int]:
    """Return the size that training on this source would bring its pictures to."""
    geometry = resolve_geometry(DataConfig(), survey(source))
    return geometry.height, geometry.width


def _audit(data: Dataset, name: str, *, divided: bool = True, smallest: tuple[int, int] | None = None) -> AuditReport:
    facts = _facts(data, divided, smallest or (data.geometry.height, data.geometry.width))
    found = [finding for check in CHECKS for finding in check(facts)]
    found.sort(key=lambda finding: SEVERITIES.index(finding[1]))
    shown = sorted({int(i) for *_, rows in found for i in list(rows)[:SHOWN]})
    pictures = dict(zip(shown, data.take(np.array(shown, dtype=np.intp)), strict=True))
    findings = [
        Finding(
            kind,
            severity,
            message,
            tuple(str(facts.paths[i]) for i in rows),
            tuple((str(facts.paths[i]), pictures[int(i)]) for i in list(rows)[:SHOWN]),
        )
        for kind, severity, message, rows in found
    ]
    rejected = tuple(f"{path} ({code}: {message})" for path, code, message in facts.rejected)
    if rejected:
        findings.append(
            Finding("rejected", "warning", f"{count(len(rejected), 'file')} could not be read as pictures", rejected)
        )
        findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    heights, widths = facts.sizes[:, 0], facts.sizes[:, 1]
    counts = {part: int((facts.split == code).sum()) for code, part in enumerate(SPLITS)}
    kinds, n_kinds = np.unique(data.kinds.astype(str), return_counts=True)
    return AuditReport(
        source=name,
        m=len(data),
        classes={cls: int((facts.labels == c).sum()) for c, cls in enumerate(facts.classes)},
        splits={part: n for part, n in counts.items() if n} if divided else {},
        sizes={"height": _range(heights), "width": _range(widths), "width / height": _range(widths / heights)},
        kinds=dict(zip(kinds.tolist(), n_kinds.tolist(), strict=True)),
        findings=tuple(findings),
    )


def _facts(data: Dataset, divided: bool, smallest: tuple[int, int]) -> Facts:
    digests = np.empty((len(data), 16), dtype=np.uint8)
    for start, block in data.blocks():
        for i, pixels in enumerate(block):
            digests[start + i] = np.frombuffer(digest(pixels), dtype=np.uint8)
    equal = groups_of_equals(digests)
    kinds = [str(kind).partition(" ") for kind in data.kinds]
    return Facts(
        classes=data.classes,
        labels=data.labels,
        split=data.split if divided else np.zeros(len(data), dtype=np.uint8),
        paths=data.paths,
        sizes=data.sizes,
        formats=np.array([kind[0] for kind in kinds]),
        modes=np.array([kind[2] for kind in kinds]),
        measures={name: data.measures[:, i] for i, name in enumerate(MEASURES)},
        equal=equal,
        near=near_pairs(equal, data.thumbnails()),
        rejected=data.rejected,
        smallest=smallest,
    )


def _balance(facts: Facts) -> Iterator[Found]:
    """Remark on classes ten times as large as others, and on classes of fewer than ten pictures."""
    counts = np.bincount(facts.labels[facts.labels >= 0], minlength=len(facts.classes))
    if not len(counts):
        return
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] > 10 * counts[least]:
        yield (
            "balance",
            "warning",
            f"class {facts.classes[most]!r} has {counts[most]:,} pictures, {facts.classes[least]!r} {counts[least]:,}; "
            "consider --class-weight balanced",
            (),
        )
    few = [name for name, n in zip(facts.classes, counts, strict=True) if n < 10]
    if few:
        yield (
            "few pictures",
            "warning",
            f"{count(len(few), 'class', 'classes')} of fewer than 10 pictures: {some(few)}",
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
            message = f"{count(len(across), 'set')} of {what} pictures in more than one split: the test is not honest"
            yield f"{what} across splits", "serious", message, _flat(across)
        if within:
            yield f"{what}", "warning", f"{count(len(within), 'set')} of {what} pictures", _flat(within)
    torn = conflicts(facts.equal, facts.labels)
    if torn:
        yield (
            "conflicting labels",
            "serious",
            f"{count(len(torn), 'set')} of identical pictures with several labels",
            _flat(torn),
        )
    mixed = [rows for rows in alike if len(set(facts.labels[rows].tolist()) - {-1}) > 1]
    if mixed:
        message = f"{count(len(mixed), 'set')} of nearly identical pictures with several labels"
        yield "conflicting labels of near duplicates", "warning", message, _flat(mixed)


def _appearance(facts: Facts) -> Iterator[Found]:
    """Report blank, dark, bright, uninformative and blurred pictures; each picture under the first that fits."""
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
            # Where most of a set looks like that, that is how the set is: digits on black, pictures on white.
            severity = "warning" if len(rows) < 0.2 * len(left) else "remark"
            yield (
                kind,
                severity,
                f"{len(rows):,} of {count(len(left), 'picture')} {'is' if len(rows) == 1 else 'are'} {words}",
                rows.tolist(),
            )


def _shapes(facts: Facts) -> Iterator[Found]:
    """Report pictures with extreme aspects, of a very different size, or smaller than what they are brought to."""
    heights, widths = facts.sizes[:, 0].astype(float), facts.sizes[:, 1].astype(float)
    aspect = np.maximum(heights, widths) / np.minimum(heights, widths)
    rows = np.flatnonzero(aspect > 3)
    if len(rows):
        message = f"{count(len(rows), 'picture')} more than 3 times as long as wide, or the other way round"
        yield "odd aspect", "warning", message, rows.tolist()
    side = np.sqrt(heights * widths)
    rows = np.flatnonzero((side > 10 * np.median(side)) | (side < np.median(side) / 10))
    if len(rows):
        yield (
            "odd size",
            "warning",
            f"{count(len(rows), 'picture')} 10 times smaller or larger than most",
            rows.tolist(),
        )
    rows = np.flatnonzero((heights < facts.smallest[0]) & (widths < facts.smallest[1]))
    if len(rows):
        size = f"{facts.smallest[0]}x{facts.smallest[1]}"
        yield (
            "enlarged",
            "remark",
            f"{count(len(rows), 'picture')} smaller than {size}, and enlarged to it",
            rows.tolist(),
        )


def _giveaways(facts: Facts) -> Iterator[Found]:
    """Report classes that something other than what the picture shows tells from all others.

    For each class and feature: how well does the feature alone, learnt from all other pictures, tell the class from the
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

    A picture is taken for the class, against the rest, that has the larger share of its own pictures with the same
    value, that picture itself left out.

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
        Share of the pictures taken for the class that are of it.
    """
    _, value = np.unique(values, return_inverse=True)
    table = np.zeros((value.max() + 1, n_classes))  # (n_values, n_classes): pictures
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
    """Cut numbers into ten bins of about as many pictures each."""
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


def _range(values: np.ndarray) -> tuple[float, float, float]:
    return tuple(round(float(v), 3) for v in np.quantile(values, [0, 0.5, 1]))  # type: ignore[return-value]
