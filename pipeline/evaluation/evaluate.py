"""Score a classifier on labelled images that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.data.splits import LABELLED_SPLITS
from pipeline.errors import InputError
from pipeline.evaluation.abstention import measure_abstention
from pipeline.evaluation.scores import Evaluation, score
from pipeline.evaluation.test_time_augmentation import tta_probabilities
from pipeline.images.geometry import Geometry
from pipeline.ingestion.ingest import IngestOptions
from pipeline.ingestion.open import open_or_ingest
from pipeline.text import count
from pipeline.workers import Threads


def evaluate(
    classifier: ImageClassifier,
    data: str | Path,
    *,
    split: str | None = None,
    include_trained: bool = False,
    tta: int = 1,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Evaluation, list[str]]:
    """Score a classifier on labelled images that it was not trained on.

    Parameters
    ----------
    classifier : ImageClassifier
    data : str or Path
        A data set file, or any source of labelled images.
    split : str, optional
        ``"test"``, ``"validation"``, ``"train"`` or ``"all"``; by default the test images if there are splits,
        else all.
    include_trained : bool
        Also count images that the classifier was trained on. Otherwise they are left out, unless `split` is "train" or
        "validation", which ask for them.
    tta : int
        Number of augmented versions of each image whose predictions are averaged; see
        `pipeline.evaluation.test_time_augmentation`. Uncertainty is measured only if it is 1.
    jobs, progress
        As in `pipeline.ingestion.ingest.ingest`.

    Returns
    -------
    evaluation : Evaluation
    notes : list of str
        What was left out, and why.

    Raises
    ------
    InputError
        If no image is left to evaluate on, the images have another geometry, or the model does not know a class.
    """
    opened = open_or_ingest(
        data, None, IngestOptions(classifier.geometry, "given"), workers=Threads(jobs), progress=progress
    )
    with opened as (dataset, source):
        has_splits = source is None or source.ready_made
        if dataset.geometry != classifier.geometry:
            raise InputError(
                f"{data}: its images are {_geometry_text(dataset.geometry)}, but the model takes "
                f"{_geometry_text(classifier.geometry)}; evaluate on the folder of images instead"
            )
        split = split or ("test" if has_splits else "all")
        if split != "all" and not has_splits:
            raise InputError(f"{data}: has no splits of its own; leave out the split")
        chosen = dataset.labels >= 0
        if split != "all":
            chosen &= np.isin(np.arange(len(dataset)), dataset.indices(split))
        rows = np.flatnonzero(chosen)
        notes = [f"{count(len(dataset.rejected), 'file')} could not be read"] if dataset.rejected else []
        if not include_trained and split not in ("train", "validation"):
            is_new = ~classifier.were_trained_on(dataset.sha256[rows])
            if not is_new.all():
                n_left_out = f"{np.count_nonzero(~is_new):,} of {count(len(rows), 'image')}"
                notes.append(f"left out: {n_left_out}, which the model was trained on")
            rows = rows[is_new]
        if not len(rows):
            notes += _why_none(dataset, split)
            raise InputError(f"{data}: no images are left to evaluate on ({'; '.join(notes)})")
        unknown = sorted({dataset.classes[k] for k in np.unique(dataset.labels[rows])} - set(classifier.classes))
        if unknown:
            understood = f" ({'; '.join(source.notes)})" if source and source.notes else ""
            raise InputError(
                f"{data}: has images of {', '.join(unknown)}, which the model does not know; its classes are "
                f"{', '.join(classifier.classes)}{understood}"
            )
        number = np.array([classifier.classes.index(c) if c in classifier.classes else -1 for c in dataset.classes])
        labels = number[dataset.labels[rows]]
        if classifier.calibration is None or tta > 1:
            parts = [tta_probabilities(classifier, part, tta) for part in dataset.iterate(rows)]
            return score(np.concatenate(parts, axis=1), labels, classifier.classes), notes
        classified = [classifier.classify_with_uncertainty(part) for part in dataset.iterate(rows)]
        probabilities = np.concatenate([part for part, _ in classified], axis=1)
        uncertainty = np.concatenate([part for _, part in classified])
        abstention = measure_abstention(classifier, uncertainty, probabilities.argmax(axis=0) == labels)
        return replace(score(probabilities, labels, classifier.classes), abstention=abstention), notes


def _why_none(dataset: Dataset, split: str) -> list[str]:
    """Say why a split has no labelled images; nothing if it has some."""
    if not (dataset.labels >= 0).any():
        return ["none is labelled"]
    if split == "all" or len(dataset.indices(split)):
        return []
    others = [part.label for part in LABELLED_SPLITS if len(dataset.indices(part.label))]
    return [f"no image is in the split {split}; choose another:  {' or '.join(f'--split {name}' for name in others)}"]


def _geometry_text(geometry: Geometry) -> str:
    return f"{geometry.height}x{geometry.width} {geometry.color}, fitted by {geometry.fit}"
