"""Images to try a model on: some that its own data set kept out of the training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset, is_dataset
from pipeline.errors import InputError
from pipeline.files.names import unescape
from pipeline.images.encode import to_png
from pipeline.prediction.uploads import Upload

_HELD_OUT = ("test", "validation")


def data_of(model: str | Path, classifier: ImageClassifier) -> Path | None:
    """Return the data set a model was trained on: beside it, or where its provenance says; None where it is gone.

    A relative place is looked for from here, then from every folder above the model, since the training may have been
    started in another one. A data set that has changed since the training does not count.
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


def held_out_samples(data: str | Path, limit: int = 8) -> list[Upload]:
    """Return images of a data set's test split (or validation split), an image of each class in turn.

    They are in the data set's geometry, as PNG, so that a classifier of that geometry sees exactly these pixels.

    Raises
    ------
    InputError
        When the data set cannot be read.
    """
    with Dataset.open(data) as dataset:
        parts = (dataset.indices(split) for split in _HELD_OUT)
        indices = next((part for part in parts if len(part)), np.empty(0, int))
        labels = dataset.labels[indices]
        chosen = indices[np.lexsort((labels, _turns(labels)))][:limit]
        truths = [dataset.classes[dataset.labels[i]] for i in chosen]
        return [
            Upload(str(Path(str(dataset.paths[i])).with_suffix(".png")), to_png(dataset.images[i]), truth)
            for i, truth in zip(chosen, truths, strict=True)
        ]


def held_out_images(data: str | Path, limit: int = 500) -> np.ndarray:
    """Return images of a data set that took no part in the training: (m, height, width, channels), uint8.

    About `limit`, spread over the test split, or over the first split that has any.

    Raises
    ------
    InputError
        When the data set cannot be read, or has no labelled image.
    """
    with Dataset.open(data) as dataset:
        rows = next((rows for split in (*_HELD_OUT, "train") if len(rows := dataset.indices(split))), None)
        if rows is None:
            raise InputError(f"{data}: has no labelled images")
        return dataset.take(rows[:: max(1, len(rows) // limit)])


def _turns(labels: np.ndarray) -> np.ndarray:
    """Return for each label how often it came before."""
    order = np.argsort(labels, kind="stable")
    turns = np.empty(len(labels), int)
    turns[order] = np.arange(len(labels)) - np.searchsorted(labels[order], labels[order])
    return turns
