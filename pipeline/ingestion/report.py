"""What became of every file of a source, in numbers and in words."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import splits as splitting
from pipeline.data.grouping import Division
from pipeline.data.splits import SPLITS
from pipeline.files.cells import safe_cell
from pipeline.files.writing import writing
from pipeline.images.geometry import Geometry
from pipeline.ingestion.columns import Columns
from pipeline.sources.source import Source
from pipeline.text import count


@dataclass(frozen=True)
class IngestReport:
    """What became of every file: `found` = `ingested` + ``len(rejected)`` + the sum of `ignored`.

    Attributes
    ----------
    rejected : tuple of (path, code, message)
    ignored : dict of str to int
        How many were passed over, by reason.
    classes, splits : dict of str to int
        Images by class and by split, of the whole data set.
    by_split : dict of str to dict of str to int
        Images by split, then by class.
    duplicates : int
        Images that come to the same pixels as an earlier one.
    near_duplicates : tuple of (path, path)
        Confirmed pairs.
    groups : int
        Groups of images that were kept on one side.
    random_split_leaks : int
        Held-out images that a random split, blind to groups, would have had a relative of in training.
    leaks : tuple of tuples of str
        Of a ready-made division: images that belong together on several sides, each as ``SPLIT: PATH``.
    conflicts : tuple of tuples of str
        Images of the same pixels with several labels, each as ``CLASS: PATH``.
    notes : tuple of str
        What else a person should know.
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
    table: Columns,
    classes: Sequence[str],
    labels: np.ndarray,
    division: Division,
    source: Source,
    done: IngestCounts,
    geometry: Geometry,
    target: str,
    notes: Sequence[str],
    fingerprint: str,
) -> IngestReport:
    """Put together the report of one ingestion; the counts are those of the whole data set after it."""
    paths = [sample.path for sample in table.samples]
    split, equal = division.split, division.equal
    by_split = {
        name: dict(
            zip(
                classes,
                np.bincount(labels[(split == code) & (labels >= 0)], minlength=len(classes)).tolist(),
                strict=True,
            )
        )
        for code, name in enumerate(SPLITS)
    }
    leaks = tuple(tuple(f"{SPLITS[_given(table, i)]}: {paths[i]}" for i in rows) for rows in division.leaks)
    conflicts = tuple(tuple(f"{classes[labels[i]]}: {paths[i]}" for i in rows) for rows in division.conflicts)
    return IngestReport(
        target=target,
        source=source.location,
        kind=source.kind,
        found=done.ingested + len(done.rejected) + sum(done.ignored.values()),
        ingested=done.ingested,
        rejected=done.rejected,
        ignored=done.ignored,
        geometry=geometry,
        classes=dict(zip(classes, np.bincount(labels[labels >= 0], minlength=len(classes)).tolist(), strict=True)),
        unlabelled=int((labels < 0).sum()),
        splits=dict(zip(SPLITS, np.bincount(split, minlength=len(SPLITS)).tolist(), strict=True)),
        by_split=by_split,
        ready_made=source.ready_made,
        duplicates=int((equal >= 0).sum() - len(np.unique(equal[equal >= 0]))),
        near_duplicates=tuple((paths[i], paths[j]) for i, j in division.near),
        groups=len(np.unique(division.group[division.group >= 0])),
        random_split_leaks=division.random_split_leaks,
        leaks=leaks,
        dropped=int((split == splitting.DROPPED).sum()),
        conflicts=conflicts,
        notes=(*source.notes, *notes, *_findings(division, len(classes), source.ready_made, leaks, conflicts)),
        fingerprint=fingerprint,
    )


def _findings(
    division: Division,
    n_classes: int,
    ready_made: bool,
    leaks: Sequence[tuple[str, ...]],
    conflicts: Sequence[tuple[str, ...]],
) -> list[str]:
    """Say in words what was found about images that belong together."""
    equal = division.equal[division.equal >= 0]
    lines = []
    if len(equal):
        lines.append(f"copies of other images: {len(equal) - len(np.unique(equal)):,}")
    if len(division.near):
        lines.append(f"nearly identical: {count(len(division.near), 'pair')} of images")
    if division.random_split_leaks and n_classes and not ready_made:
        lines.append(
            "images that belong together are on one side of the split; a purely random one would have tested or "
            f"validated on {count(division.random_split_leaks, 'image')} with a relative in training"
        )
    if conflicts:
        lines.append(f"identical images with several labels: {count(len(conflicts), 'set')}; {_first(conflicts)}")
    if leaks:
        dropped = int((division.split == splitting.DROPPED).sum())
        remedy = f"dropped from training: {dropped:,}" if dropped else "drop_leaks leaves them out of training"
        lines.append(
            f"the ready-made splits share identical or related images: {count(len(leaks), 'set')}; {remedy}; "
            f"{_first(leaks)}"
        )
    return lines


def _first(sets: Sequence[tuple[str, ...]]) -> str:
    """Return the first three sets of files as text."""
    shown = "; ".join(" = ".join(names[:3]) for names in sets[:3])
    return shown + (f"; and {len(sets) - 3:,} more" if len(sets) > 3 else "")


def _given(table: Columns, i: int) -> int:
    return SPLITS.index(table.samples[i].split or "train")


def split_notes(splits: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Say which classes a split lacks, where there is such a split at all."""
    notes = []
    for part in (splitting.TRAIN, splitting.VALIDATION, splitting.TEST):
        lacking = splitting.classes_without(splits, labels, len(classes), part)
        if len(lacking) and (splits == part).any():
            shown = ", ".join(repr(classes[c]) for c in lacking[:5])
            more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
            notes.append(f"no {SPLITS[part]} images of {shown}{more}")
    return notes
