"""Held-out images: those of a model's own data set that the model was not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset, is_dataset
from pipeline.errors import InputError
from pipeline.files.names import unescape
from pipeline.images.geometry import Geometry
from pipeline.ingestion.ingest import IngestOptions
from pipeline.ingestion.open import open_or_ingest

_HELD_OUT_SPLITS = ("test", "validation")  # the first that has images is used


class HeldOutImage(NamedTuple):
    """An image (height, width, channels), uint8, that a model was not trained on, with its path and its class."""

    path: str
    image: np.ndarray
    label: str


def data_of(model: str | Path, classifier: ImageClassifier) -> Path | None:
    """Return the data set a model was trained on: beside it, or at the path in its provenance; None if it is gone.

    A relative path is tried from the current folder, then from every folder above the model, since the run may have
    started in another folder. A data set that has changed since the run does not count.
    """
    above, source = Path(model).resolve().parents, unescape(str(classifier.provenance.get("source", "")))
    fingerprint = classifier.provenance.get("data_fingerprint")
    for path in dict.fromkeys((above[0] / "data.h5", source, *(folder / source for folder in above))):
        try:
            if path.is_file() and is_dataset(path):
                with Dataset.open(path) as dataset:
                    if dataset.fingerprint == fingerprint and dataset.geometry == classifier.geometry:
                        return path
        except (InputError, OSError):
            continue
    return None


def held_out_samples(data: str | Path, limit: int = 8) -> list[HeldOutImage]:
    """Return images of the test split (or the validation split) of a data set, one of each class in turn.

    Raises
    ------
    InputError
        If the data set cannot be read.
    """
    with Dataset.open(data) as dataset:
        indices = next((rows for split in _HELD_OUT_SPLITS if len(rows := dataset.indices(split))), np.empty(0, int))
        labels = dataset.labels[indices]
        chosen = indices[np.lexsort((labels, _occurrences_before(labels)))][:limit]
        return [
            HeldOutImage(str(dataset.paths[i]), image, dataset.classes[dataset.labels[i]])
            for i, image in zip(chosen, dataset.take(chosen), strict=True)
        ]


def held_out_images(data: str | Path, geometry: Geometry, limit: int = 500) -> np.ndarray:
    """Return images, held out from training if possible: ndarray of shape (m, height, width, channels), uint8.

    About `limit` images, evenly spaced over the test split; if it is empty, over the validation split; if that is
    empty too, over the training split.

    Raises
    ------
    InputError
        If the data set cannot be read, has images of another geometry, or has no labelled images.
    """
    with open_or_ingest(data, None, IngestOptions(geometry)) as (dataset, _):
        if dataset.geometry != geometry:
            raise InputError(f"{data}: its images are of another size or colour than the model takes")
        rows = next((rows for split in (*_HELD_OUT_SPLITS, "train") if len(rows := dataset.indices(split))), None)
        if rows is None:
            raise InputError(f"{data}: has no labelled images")
        return dataset.take(rows[:: max(1, len(rows) // limit)])


def _occurrences_before(labels: np.ndarray) -> np.ndarray:
    """Return, for each label, how often it occurs before: [5, 7, 5, 5] becomes [0, 0, 1, 2]."""
    order = np.argsort(labels, kind="stable")
    occurrences = np.empty(len(labels), int)
    occurrences[order] = np.arange(len(labels)) - np.searchsorted(labels[order], labels[order])
    return occurrences
