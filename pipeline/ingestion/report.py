"""What became of every file of a source, as numbers and as text."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.splits import LABELLED_SPLITS, Split, classes_without
from pipeline.files.cells import safe_cell
from pipeline.files.writing import writing
from pipeline.images.geometry import Geometry
from pipeline.ingestion.columns import Contents
from pipeline.sources.source import Source
from pipeline.text import count, shortened


@dataclass(frozen=True)
class IngestReport:
    """What became of every file: `found` = `ingested` + ``len(rejected)`` + the sum of `ignored`.

    Attributes
    ----------
    rejected : tuple of (path, code, message)
    ignored : dict of str to int
        How many files were skipped, by reason.
    classes, splits : dict of str to int
        Images by class and by split, of the whole data set.
    by_split : dict of str to dict of str to int
        Images by split, then by class.
    duplicates : int
        Images with the same pixels as an earlier image.
    near_duplicates : tuple of (path, path)
        Confirmed pairs.
    groups : int
        Groups of two images or more.
    random_split_leaks : int
        Held-out images with a related image in training, if the split were random and ignored groups.
    leaks : tuple of tuples of str
        Groups that ready-made splits spread over several splits: their images, each as ``SPLIT: PATH``.
    conflicts : tuple of tuples of str
        Exact duplicates with several labels, each as ``CLASS: PATH``.
    notes : tuple of str
        What else a user should know.
    resumed : int
        Files that an earlier, interrupted ingestion had read already.
    """

    target: str
    source: str
    kind: str
    found: int
    ingested: int
    rejected: tuple[tuple[str, str, str], ...]
    ignored: dict[str, int]
    geometry: Geometry
    classes: dict[str, int]
    unlabelled: int
    splits: dict[str, int]
    by_split: dict[str, dict[str, int]]
    ready_made: bool
    duplicates: int
    near_duplicates: tuple[tuple[str, str], ...]
    groups: int
    random_split_leaks: int
    leaks: tuple[tuple[str, ...], ...]
    dropped: int
    conflicts: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    fingerprint: str
    resumed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class IngestCounts:
    """What became of the files of one source."""

    ingested: int
    rejected: tuple[tuple[str, str, str], ...]
    ignored: dict[str, int]

    @property
    def found(self) -> int:
        """Return the number of all files."""
        return self.ingested + len(self.rejected) + sum(self.ignored.values())


def write_rejected(report: IngestReport, path: str | Path) -> None:
    """Write the rejected files as CSV with the columns path, error_code and error_message.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(("path", "error_code", "error_message"))
    table.writerows((safe_cell(name), code, message) for name, code, message in report.rejected)
    with writing(Path(path)) as stream:
        stream.write(text.getvalue().encode())


def make_report(
    contents: Contents,
    source: Source,
    counts: IngestCounts,
    *,
    target: str,
    geometry: Geometry,
    fingerprint: str,
    notes: Sequence[str],
) -> IngestReport:
    """Put together the report of one ingestion; its numbers are those of the whole data set after it."""
    samples, labels, division = contents.columns.samples, contents.labels, contents.division
    paths = [sample.path for sample in samples]
    split, equal = division.split, division.equal

    def by_class(rows: np.ndarray) -> dict[str, int]:
        numbers = np.bincount(labels[rows & (labels >= 0)], minlength=len(contents.classes))
        return dict(zip(contents.classes, numbers.tolist(), strict=True))

    leaks = tuple(
        tuple(f"{samples[i].split or Split.TRAIN.label}: {paths[i]}" for i in rows) for rows in division.leaks
    )
    conflicts = tuple(tuple(f"{contents.classes[labels[i]]}: {paths[i]}" for i in rows) for rows in division.conflicts)
    return IngestReport(
        target=target,
        source=source.location,
        kind=source.kind,
        found=counts.found,
        ingested=counts.ingested,
        rejected=counts.rejected,
        ignored=counts.ignored,
        geometry=geometry,
        classes=by_class(np.ones(len(labels), dtype=bool)),
        unlabelled=int((labels < 0).sum()),
        splits={part.label: int((split == part).sum()) for part in Split},
        by_split={part.label: by_class(split == part) for part in Split},
        ready_made=source.ready_made,
        duplicates=int((equal >= 0).sum() - len(np.unique(equal[equal >= 0]))),
        near_duplicates=tuple((paths[i], paths[j]) for i, j in division.near),
        groups=len(np.unique(division.group[division.group >= 0])),
        random_split_leaks=division.random_split_leaks,
        leaks=leaks,
        dropped=int((split == Split.DROPPED).sum()),
        conflicts=conflicts,
        notes=(*source.notes, *notes, *_grouping_notes(contents, source, leaks, conflicts)),
        fingerprint=fingerprint,
    )


def _grouping_notes(
    contents: Contents, source: Source, leaks: Sequence[tuple[str, ...]], conflicts: Sequence[tuple[str, ...]]
) -> list[str]:
    """Describe what was found about duplicates and groups."""
    division = contents.division
    equal = division.equal[division.equal >= 0]
    notes = []
    if len(equal):
        notes.append(f"exact duplicates of other images: {len(equal) - len(np.unique(equal)):,}")
    if len(division.near):
        notes.append(f"near duplicates: {count(len(division.near), 'pair')} of images")
    if division.random_split_leaks and contents.classes and not source.ready_made:
        notes.append(
            "every group is in one split; a random split (ignoring groups) would have tested or validated on "
            f"{count(division.random_split_leaks, 'image')} with a related image in training"
        )
    if conflicts:
        notes.append(f"exact duplicates with several labels: {count(len(conflicts), 'set')}; {_first(conflicts)}")
    if leaks:
        dropped = int((division.split == Split.DROPPED).sum())
        remedy = f"dropped from training: {dropped:,}" if dropped else "--drop-leaks leaves them out of training"
        notes.append(
            f"the ready-made splits share duplicate or related images: {count(len(leaks), 'set')}; {remedy}; "
            f"{_first(leaks)}"
        )
    return notes


def _first(sets: Sequence[tuple[str, ...]]) -> str:
    """Return the first three sets of files as text."""
    return shortened([" = ".join(names[:3]) for names in sets], limit=3, separator="; ")


def split_notes(
    splits: np.ndarray, labels: np.ndarray, classes: Sequence[str], groups: np.ndarray | None = None
) -> list[str]:
    """Return a note for each split that has images, but none of some class; with the reason, if it is the groups.

    Parameters
    ----------
    splits : ndarray of shape (m,), uint8
        Values of `pipeline.data.splits.Split`.
    labels : ndarray of shape (m,), int
    classes : sequence of str
    groups : ndarray of shape (m,), int, optional
        The group of each image, or -1, if the images were divided by groups.
    """
    notes = []
    for split in LABELLED_SPLITS:
        lacking = classes_without(splits, labels, len(classes), split)
        if len(lacking) and (splits == split).any():
            why = "" if groups is None else _in_few_groups(labels, classes, groups, lacking)
            notes.append(f"no {split.label} images of {shortened([repr(classes[c]) for c in lacking])}{why}")
    return notes


def _in_few_groups(labels: np.ndarray, classes: Sequence[str], groups: np.ndarray, lacking: np.ndarray) -> str:
    """Return which of the lacking classes has enough images for every split, but not enough groups; or nothing."""
    for c in lacking.tolist():
        found = groups[labels == c]
        n_groups = len(np.unique(found[found >= 0])) + int((found < 0).sum())
        if len(found) >= len(LABELLED_SPLITS) > n_groups:
            return (
                f": the {len(found):,} images of {classes[c]!r} are only {count(n_groups, 'group')} (near duplicates, "
                "or images that --group-by joins), and a group is never divided; add images of other groups, or make "
                "smaller groups with --no-near-duplicates or another --group-by"
            )
    return ""
