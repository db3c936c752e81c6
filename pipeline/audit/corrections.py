"""Corrections of labels, written down so that `facette ingest` and `facette train` can read them.

The result is a manifest of every image of the data set, with the corrected label and the split it was in, so that a
model trained on it is evaluated on the same test images. If the images came from arrays or an archive, and so are not
files, the result is a zip archive of the data set's own images with the manifest inside.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pipeline.data.dataset import Dataset
from pipeline.data.splits import Split
from pipeline.files.cells import safe_label, safe_name
from pipeline.images.encode import to_png

REMOVE = ""  # in place of a class: the image is left out
MANIFEST = "manifest.csv"


def image_folder(dataset: Dataset) -> Path | None:
    """Return the folder that the paths of a data set are relative to; None if its images are not files there."""
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
        The folder of the images. The manifest has absolute paths if it is absolute, and then works from any folder.
    """
    return _manifest_text(dataset, corrections, lambda row: safe_name(folder / str(dataset.paths[row])))


def corrected_archive(dataset: Dataset, corrections: Mapping[int, str]) -> bytes:
    """Return a zip archive of the images of a data set, in its geometry, with their corrected manifest."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(_member(MANIFEST), _manifest_text(dataset, corrections, _file_of))
        for row in _kept(dataset, corrections):
            archive.writestr(_member(_file_of(row)), to_png(dataset.images[row]))
    return data.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    """Return a member without the time, which a zip archive cannot hold if the clock is before 1980."""
    member = zipfile.ZipInfo(name)
    member.external_attr = 0o644 << 16  # its permissions
    return member


def _file_of(row: int) -> str:
    return f"images/{row:07d}.png"


def _kept(dataset: Dataset, corrections: Mapping[int, str]) -> Iterator[int]:
    for row in range(len(dataset)):
        if dataset.split[row] != Split.DROPPED and corrections.get(row) != REMOVE:
            yield row


def _manifest_text(dataset: Dataset, corrections: Mapping[int, str], name: Callable[[int], str]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    grouped = any(dataset.keys)
    table.writerow(("path", "label", "split", "group")[: 4 if grouped else 3])
    for row in _kept(dataset, corrections):
        label, split = dataset.labels[row], Split(dataset.split[row])
        given = corrections.get(row, dataset.classes[label] if label >= 0 else "")
        if label < 0 and given:
            split = Split.TRAIN
        group = safe_name(dataset.keys[row])
        table.writerow((name(row), safe_label(given), split.label, group)[: 4 if grouped else 3])
    return text.getvalue()
