"""Look for problems in a set of images before anything is trained on it.

The checks are in `pipeline.audit.checks`. A finding names its files; whoever shows the report decides how many of them
to show. Nothing is removed or changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.audit.checks import CHECKS, Facts
from pipeline.audit.report import SEVERITIES, SHOWN, AuditReport, Finding
from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.data.duplicates import groups_of_equals, near_pairs
from pipeline.data.splits import Split
from pipeline.images.statistics import MEASURES
from pipeline.ingestion.ingest import IngestOptions
from pipeline.ingestion.open import open_or_ingest
from pipeline.ingestion.survey import resolve_geometry, survey
from pipeline.sources.source import Source
from pipeline.text import count
from pipeline.workers import Threads

_AUDIT_SIDE = "64"  # pixels: of the images shown in the report


def audit(
    source: str | Path | Dataset,
    *,
    config: DataConfig | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> AuditReport:
    """Look for problems in a set of images.

    Parameters
    ----------
    source : str, Path or Dataset
        A data set, or anything `pipeline.sources.open.open_source` knows, which is read but not divided.
    config : DataConfig, optional
        How to read a source that is not a data set; its size, fit and shares do not count.
    jobs, progress
        As in `pipeline.ingestion.ingest.ingest`.

    Raises
    ------
    InputError
        If the source cannot be read.
    """
    if isinstance(source, Dataset):
        return _report_on(source, str(source.file.filename))
    config = replace(config or DataConfig(), size=_AUDIT_SIDE, fit="pad")
    with open_or_ingest(source, config, IngestOptions(split="given"), workers=Threads(jobs), progress=progress) as (
        data,
        opened,
    ):
        if opened is None:
            return _report_on(data, str(source))
        return _report_on(data, opened.location, divided=opened.ready_made, smallest=_smallest(opened, config.scale))


def _smallest(source: Source, scale: float) -> tuple[int, int]:
    """Return the size that images of this source would be resized to for training."""
    config = DataConfig(scale=scale)
    geometry = resolve_geometry(config, survey(source, config))
    return geometry.height, geometry.width


def _report_on(
    data: Dataset, name: str, *, divided: bool = True, smallest: tuple[int, int] | None = None
) -> AuditReport:
    facts = _facts(data, divided, smallest or (data.geometry.height, data.geometry.width))
    found = [finding for check in CHECKS for finding in check(facts)]
    shown = sorted({int(i) for finding in found for i in finding.rows[:SHOWN]})
    images = dict(zip(shown, data.take(np.array(shown, dtype=np.intp)), strict=True))
    findings = [
        Finding(
            kind,
            severity,
            message,
            tuple(str(facts.paths[i]) for i in rows),
            tuple((str(facts.paths[i]), images[int(i)]) for i in rows[:SHOWN]),
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
    counts = {split.label: int((facts.split == split).sum()) for split in Split}
    kinds, n_kinds = np.unique(data.kinds.astype(str), return_counts=True)
    return AuditReport(
        source=name,
        m=len(data),
        classes={cls: int((facts.labels == c).sum()) for c, cls in enumerate(facts.classes)},
        splits={split: n for split, n in counts.items() if n} if divided else {},
        sizes={"height": _range(heights), "width": _range(widths), "aspect ratio": _range(widths / heights)},
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
        near=near_pairs(equal, *data.thumbnails()),
        rejected=data.rejected,
        smallest=smallest,
    )


def _range(values: np.ndarray) -> tuple[float, float, float]:
    return tuple(round(float(v), 3) for v in np.quantile(values, [0, 0.5, 1]))  # type: ignore[return-value]
