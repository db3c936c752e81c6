"""Classify images in memory, and keep what a user wants to look at: each becomes the row that `predict` writes."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.classifier import ImageClassifier
from pipeline.files.cells import safe_name
from pipeline.files.names import composed
from pipeline.files.walk import reason_to_ignore_name
from pipeline.images.decode import open_image
from pipeline.images.geometry import MAX_PIXELS, Geometry
from pipeline.images.signatures import sniff
from pipeline.prediction.inputs import Item
from pipeline.prediction.predict import Settings, classify_loaded
from pipeline.prediction.read import Loaded, load_image, stacked
from pipeline.prediction.rows import Row, Status
from pipeline.sources.others import is_another_kind

SHOWN_SIDE = 640  # longest side, in pixels, of the image that is shown
FAR_FROM_ASPECT = 1.25  # a crop that loses more than a fifth of the image is worth a hint


class Upload(NamedTuple):
    """An image in memory: its name, its bytes, and its class if it is known."""

    name: str
    data: bytes
    true_label: str = ""


def from_folder(files: Iterable[tuple[str, bytes]], classes: Sequence[str]) -> tuple[list[Upload], int]:
    """Take the files of a folder as `predict` takes them: sorted, without hidden, system and other files.

    Parameters
    ----------
    files : iterable of (path, bytes)
        Paths begin with the folder's own name and have ``/`` between their parts.
    classes : sequence of str
        If a folder below has the name of a class, that is the true label.

    Returns
    -------
    uploads : list of Upload
    ignored : int
        How many files were left out.
    """
    files = list(files)
    known = {composed(name): name for name in classes}
    uploads = []
    for path, data in sorted(files):
        *folders, name = path.split("/")
        if any(map(reason_to_ignore_name, (*folders, name))) or is_another_kind(name, io.BytesIO(data).read):
            continue
        labels = (known[composed(part)] for part in folders[1:] if composed(part) in known)
        uploads.append(Upload(path, data, next(labels, "")))
    return uploads, len(files) - len(uploads)


@dataclass(frozen=True)
class UploadResult:
    """The result of an upload.

    Attributes
    ----------
    row : Row
        The row that `predict` writes, with every class in its ranking; an error has no ranking.
    size : (height, width)
        Size of the upright image; (0, 0) for an error.
    shown : Image.Image or None
        The image, at most `SHOWN_SIDE` pixels a side.
    network_image : ndarray of shape (height, width, channels), uint8, or None
        The image as the network sees it.
    was_trained_on : bool
        Whether the model was trained on this very file.
    reason : str
        Why the classifier abstains: ``"unsure"``, or ``"unlike"`` the images it was trained on; empty if it does not
        abstain.
    """

    row: Row
    size: tuple[int, int] = (0, 0)
    shown: Image.Image | None = None
    network_image: NDArray[np.uint8] | None = None
    was_trained_on: bool = False
    reason: str = ""


def classify_uploads(
    classifier: ImageClassifier, uploads: Sequence[Upload], *, reject: float = 0.0, max_pixels: int = MAX_PIXELS
) -> list[UploadResult]:
    """Classify images in memory, in order; one that cannot be read becomes a row that says why.

    Parameters
    ----------
    classifier : ImageClassifier
    uploads : sequence of Upload
    reject : float
        Share of the validation images that the classifier abstains on, as ``facette predict --reject``; at 0, or if
        it is not calibrated, it never abstains.
    max_pixels : int
        An image of more pixels is an error.
    """
    if not uploads:
        return []
    geometry = classifier.geometry
    can_abstain = reject > 0 and classifier.calibration is not None
    threshold = classifier.uncertainty_threshold(reject) if can_abstain else math.inf
    settings = Settings(topk=len(classifier.classes), uncertainty_threshold=threshold)
    loaded = stacked([load_image(partial(_checked, upload), geometry, max_pixels) for upload in uploads], geometry, [])
    items = [Item(Path(upload.name), safe_name(upload.name), upload.true_label) for upload in uploads]
    rows = classify_loaded(classifier, items, loaded, settings).rows
    reasons = iter(_reasons(classifier, loaded, rows.statuses))
    network_images = iter(np.asarray(loaded.images))
    results = []
    for upload, row in zip(uploads, rows, strict=True):
        if row.status == Status.ERROR.label:
            results.append(UploadResult(row))
            continue
        image = open_image(upload.data, max_pixels=max_pixels, draft=SHOWN_SIDE, scale=classifier.geometry.scale)
        left, top, right, bottom = map(round, image.frame)
        shown = image.image.crop((left, top, right, bottom))
        shown.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
        was_trained_on = classifier.was_trained_on(bytes.fromhex(row.sha256))
        results.append(UploadResult(row, image.size, shown, next(network_images), was_trained_on, next(reasons)))
    return results


def _checked(upload: Upload) -> bytes:
    """Return the bytes of an upload that looks like an image, as `read_bytes` does for a file."""
    sniff(upload.data)
    return upload.data


def _reasons(classifier: ImageClassifier, loaded: Loaded, statuses: NDArray[np.integer]) -> list[str]:
    """Return for each image that could be read why the classifier abstains, or ``""``."""
    abstains = statuses[statuses != Status.ERROR] == Status.ABSTAIN
    reasons = np.full(len(abstains), "", "U6")
    if abstains.any():
        assert classifier.calibration
        outputs = classifier.outputs(np.asarray(loaded.images)[abstains])
        by_probability, by_distance = classifier.calibration.ranks(outputs.probabilities, outputs.hidden)
        reasons[abstains] = np.where(by_distance > by_probability, "unlike", "unsure")
    return reasons.tolist()


def part_box(
    size: tuple[int, int], geometry: Geometry, share: float, across: float, down: float
) -> tuple[int, int, int, int]:
    """Return a part of an image, with the aspect of the model's images.

    Parameters
    ----------
    size : (height, width)
        Size of the image.
    geometry : Geometry
    share : float, 0 to 1
        Size of the part; 1 is the largest that fits.
    across, down : float, 0 to 1
        Position of the part: 0 at the left or top, 1 at the right or bottom.

    Returns
    -------
    (left, top, right, bottom)
        In pixels; at least one pixel wide and high.
    """
    height, width = size
    scale = share * min(height / geometry.height, width / geometry.width)
    high, wide = (max(1, min(round(scale * side), most)) for side, most in zip(geometry.shape, size, strict=False))
    left, top = round(across * (width - wide)), round(down * (height - high))
    return left, top, left + wide, top + high


def crop_upload(upload: Upload, box: tuple[int, int, int, int], *, max_pixels: int = MAX_PIXELS) -> Upload:
    """Return a part (left, top, right, bottom) of an image as an image of its own, pixel by pixel the same.

    Raises
    ------
    ImageError
        If the image cannot be read.
    """
    data = io.BytesIO()
    open_image(upload.data, max_pixels=max_pixels).image.crop(box).save(data, format="bmp")
    return Upload(f"part of {upload.name}", data.getvalue(), upload.true_label)


def loss_by_fit(size: tuple[int, int], classifier: ImageClassifier) -> str:
    """Return a sentence about what is lost if an image of this (height, width) is fitted to the model's geometry.

    It is empty if the shapes are so similar that it does not matter.
    """
    geometry = classifier.geometry
    wider = (size[1] / size[0]) / (geometry.width / geometry.height)
    if max(wider, 1 / wider) < FAR_FROM_ASPECT:
        return ""
    kept, direction = min(wider, 1 / wider), "wide" if wider > 1 else "tall"
    takes = f"{geometry.height}×{geometry.width} pixels (height × width)"
    what = f"This image is too {direction} for the model, which takes {takes}: "
    return (
        what
        + {
            "crop": f"only its middle {100 * kept:.0f}% is seen.",
            "pad": "it is seen with black bars.",
            "stretch": "it is seen distorted.",
        }[geometry.fit]
    )
