"""What is wrong with a set of images, before anything is learnt from it.

Every check is a function from the facts of a data set to findings, and a line in `CHECKS`. Thresholds are stated where
they are used. A finding names its files; whoever shows the report decides how many of them to show. Nothing is removed
or changed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pipeline.audit.checks import CHECKS, Facts
from pipeline.audit.report import SEVERITIES, SHOWN, AuditReport, Finding
from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset, is_dataset
from pipeline.data.duplicates import groups_of_equals
from pipeline.data.grouping import near_pairs
from pipeline.data.splits import SPLITS
from pipeline.images.statistics import MEASURES
from pipeline.ingestion.ingest import IngestOptions, ingest
from pipeline.ingestion.survey import resolve_geometry, survey
from pipeline.sources.open import open_source
from pipeline.sources.source import Source
from pipeline.text import count
from pipeline.workers import Threads

_SIDE = "64"


def audit(
    source: str | Path | Dataset,
    *,
    config: DataConfig | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> AuditReport:
    """Look for what is wrong with a set of images.

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
        ingest(opened, target, look, IngestOptions(split="given"), workers=Threads(jobs), progress=progress)
        with Dataset.open(target) as data:
            return _audit(data, opened.location, divided=opened.ready_made, smallest=_smallest(opened))


def _smallest(source: Source) -> tuple[int, int]:
    """Return the size that training on this source would bring its images to."""
    geometry = resolve_geometry(DataConfig(), survey(source))
    return geometry.height, geometry.width


def _audit(data: Dataset, name: str, *, divided: bool = True, smallest: tuple[int, int] | None = None) -> AuditReport:
    facts = _facts(data, divided, smallest or (data.geometry.height, data.geometry.width))
    found = [finding for check in CHECKS for finding in check(facts)]
    found.sort(key=lambda finding: SEVERITIES.index(finding[1]))
    shown = sorted({int(i) for *_, rows in found for i in list(rows)[:SHOWN]})
    images = dict(zip(shown, data.take(np.array(shown, dtype=np.intp)), strict=True))
    findings = [
        Finding(
            kind,
            severity,
            message,
            tuple(str(facts.paths[i]) for i in rows),
            tuple((str(facts.paths[i]), images[int(i)]) for i in list(rows)[:SHOWN]),
        )
        for kind, severity, message, rows in found
    ]
    rejected = tuple(f"{path} ({code}: {message})" for path, code, message in facts.rejected)
    if rejected:
        findings.append(
            Finding("rejected", "warning", f"{count(len(rejected), 'file')} could not be read as images", rejected)
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
    equal = groups_of_equals(data.digests())
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


def _range(values: np.ndarray) -> tuple[float, float, float]:
    return tuple(round(float(v), 3) for v in np.quantile(values, [0, 0.5, 1]))  # type: ignore[return-value]
