"""Labels that a person found to be wrong, written down so that `facette ingest` and `facette train` can read them.

What comes out names every image of the data set, corrected, with the split it was in: a model trained on it is
measured on the same test images. Where the images are files, it is a manifest; where they came from arrays or an
archive, it is a zip archive of the data set's own images with the manifest inside.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pipeline.data.dataset import Dataset
from pipeline.data.splits import DROPPED, SPLITS
from pipeline.files.cells import safe_name
from pipeline.images.encode import to_png

REMOVE = ""  # in place of a class: the image is left out
MANIFEST = "manifest.csv"


def image_folder(dataset: Dataset) -> Path | None:
    """Return the folder that the paths of a data set are relative to; None where its images are no files there."""
    origin = dataset.counts[-1] if dataset.counts else {}
    source = Path(str(origin.get("source", "")))
    folder = {"folder": source, "manifest": source.parent}.get(str(origin.get("kind")))
    if folder is None or len(dataset.counts) > 1 or not len(dataset):
        return None
    folder = folder.absolute()
    return folder if (folder / str(dataset.paths[0])).is_file() else None


def corrected_manifest(dataset: Dataset, corrections: Mapping[int, str], folder: Path) -> str:
    """Return a manifest of all images of a data set, as CSV, with some labels corrected.

    Parameters
    ----------
    dataset : Dataset
    corrections : mapping of int to str
        Row of an image -> its right class, or `REMOVE`.
    folder : Path
        Where the images lie; the manifest may then be put anywhere on this machine.
    """
    return _table(dataset, corrections, lambda row: safe_name(folder / str(dataset.paths[row])))


def corrected_archive(dataset: Dataset, corrections: Mapping[int, str]) -> bytes:
    """Return a zip archive of the images of a data set, in its geometry, with a corrected manifest of them."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(MANIFEST, _table(dataset, corrections, _file_of))
        for row in _kept(dataset, corrections):
            archive.writestr(_file_of(row), to_png(dataset.images[row]))
    return data.getvalue()


def _file_of(row: int) -> str:
    return f"images/{row:07d}.png"


def _kept(dataset: Dataset, corrections: Mapping[int, str]) -> Iterator[int]:
    for row in range(len(dataset)):
        if dataset.split[row] != DROPPED and corrections.get(row) != REMOVE:
            yield row


def _table(dataset: Dataset, corrections: Mapping[int, str], name: Callable[[int], str]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    grouped = any(dataset.keys)
    table.writerow(("path", "label", "split", "group")[: 4 if grouped else 3])
    for row in _kept(dataset, corrections):
        label, split = dataset.labels[row], SPLITS[dataset.split[row]]
        given = corrections.get(row, dataset.classes[label] if label >= 0 else "")
        if label < 0 and given:
            split = SPLITS[0]
        table.writerow((name(row), given, split, dataset.keys[row])[: 4 if grouped else 3])
    return text.getvalue()
