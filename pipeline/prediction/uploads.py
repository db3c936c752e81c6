"""Classify images in memory, keeping what a person wants to look at: each becomes one row, as in `predict`."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.classifier import ImageClassifier
from pipeline.files.cells import safe_name
from pipeline.files.walk import LITTER
from pipeline.images.decode import DecodedImage, ImageError, decode_image, open_image
from pipeline.images.geometry import MAX_PIXELS, Geometry
from pipeline.prediction.rows import Row

SHOWN_SIDE = 640  # longest side, in pixels, of the image kept for showing
FAR_FROM_ASPECT = 1.25  # a cut that loses more than a fifth of the image is worth a hint


class Upload(NamedTuple):
    """An image in memory: the name to call it by, its bytes, and its class where it is known."""

    name: str
    data: bytes
    true_label: str = ""


def from_folder(files: Iterable[tuple[str, bytes]], classes: Sequence[str]) -> tuple[list[Upload], int]:
    """Take the files of a folder as `predict` takes them: sorted, hidden ones and litter passed over.

    Parameters
    ----------
    files : iterable of (path, bytes)
        Paths begin with the folder's own name and have ``/`` between their parts.
    classes : sequence of str
        Where a folder below bears the name of one, that is the true label.

    Returns
    -------
    uploads : list of Upload
    passed_over : int
        How many files were left out.
    """
    files = list(files)
    uploads = []
    for path, data in sorted(files):
        *folders, name = path.split("/")
        if any(part.startswith(".") or part.lower() in LITTER for part in (*folders, name)):
            continue
        uploads.append(Upload(path, data, next((part for part in folders[1:] if part in classes), "")))
    return uploads, len(files) - len(uploads)


@dataclass(frozen=True)
class UploadResult:
    """What became of an upload.

    Attributes
    ----------
    row : Row
        With every class in its ranking, likeliest first; an error has none.
    size : (height, width)
        Of the upright image; (0, 0) for an error.
    shown : Image.Image or None
        The image, at most `SHOWN_SIDE` pixels a side.
    network_image : ndarray of shape (height, width, channels), uint8, or None
        The image as the network sees it.
    was_trained_on : bool
        Whether this very file took part in the training.
    reason : str
        Why the classifier abstains: ``"unsure"``, or ``"unlike"`` the images it was trained on; empty where it does
        not.
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
        Share of the validation images that the classifier would abstain on, as ``facette predict --reject``; 0:
        it never abstains, and nor does one that is not calibrated.
    max_pixels : int
        An image of more pixels is an error.
    """
    opened = [_open(classifier, upload, max_pixels) for upload in uploads]
    good = [network_image for _, network_image, _ in opened if network_image is not None]
    classified = iter(_classify(classifier, np.stack(good), reject) if good else ())
    results = []
    for upload, (image, network_image, error) in zip(uploads, opened, strict=True):
        digest = hashlib.sha256(upload.data)
        code, message = (error.code, str(error)) if error else ("", "")
        common = (upload.true_label, code, message, digest.hexdigest(), classifier.model_id)
        if image is None or network_image is None:
            results.append(UploadResult(Row(safe_name(upload.name), "error", (), *common)))
            continue
        probabilities, reason = next(classified)
        order = np.argsort(-probabilities, kind="stable")
        ranking = tuple((classifier.classes[k], float(probabilities[k])) for k in order)
        left, top, right, bottom = map(round, image.frame)
        shown = image.image.crop((left, top, right, bottom))
        shown.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
        row = Row(safe_name(upload.name), "abstain" if reason else "ok", ranking, *common)
        results.append(
            UploadResult(row, image.size, shown, network_image, classifier.was_trained_on(digest.digest()), reason)
        )
    return results


Opened = tuple[DecodedImage | None, NDArray[np.uint8] | None, ImageError | None]


def _open(classifier: ImageClassifier, upload: Upload, max_pixels: int) -> Opened:
    """Decode an image twice, each time no finer than needed: to be shown, and exactly as `predict` does."""
    try:
        image = open_image(upload.data, max_pixels=max_pixels, draft=SHOWN_SIDE)
        return image, decode_image(upload.data, classifier.geometry, max_pixels=max_pixels), None
    except ImageError as error:
        return None, None, error


def _classify(
    classifier: ImageClassifier, images: NDArray[np.uint8], reject: float
) -> Iterator[tuple[NDArray[np.floating], str]]:
    """Yield the probabilities of each image, and why the classifier abstains on it."""
    if not reject or classifier.calibration is None:
        for probabilities in classifier.probabilities(images).T:
            yield probabilities, ""
        return
    threshold = classifier.uncertainty_threshold(reject)
    together, _, hidden = classifier.outputs(images)
    uncertainties = classifier.calibration.uncertainties(together, hidden)
    # The greater of two signs; without the distance, the probabilities are the only one.
    unsure = replace(classifier.calibration, distance=np.empty(0)).uncertainties(together, hidden)
    for probabilities, reason, by_probability in zip(together.T, uncertainties, unsure, strict=True):
        yield probabilities, "" if reason <= threshold else "unlike" if reason > by_probability else "unsure"


def part_box(
    size: tuple[int, int], geometry: Geometry, share: float, across: float, down: float
) -> tuple[int, int, int, int]:
    """Return a part of an image, with the aspect of the model's images.

    Parameters
    ----------
    size : (height, width)
        Of the image.
    geometry : Geometry
    share : float, 0 to 1
        Size of the part; 1 is the largest that fits.
    across, down : float, 0 to 1
        Where it lies: 0 at the left or top, 1 at the right or bottom.

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
        When the image cannot be read.
    """
    data = io.BytesIO()
    open_image(upload.data, max_pixels=max_pixels).image.crop(box).save(data, format="bmp")
    return Upload(f"part of {upload.name}", data.getvalue(), upload.true_label)


def loss_by_fit(size: tuple[int, int], classifier: ImageClassifier) -> str:
    """Say in a sentence what bringing an image of this (height, width) to the model's shape does to it.

    Empty where the shapes are near enough for it not to matter.
    """
    geometry = classifier.geometry
    wider = (size[1] / size[0]) / (geometry.width / geometry.height)
    if max(wider, 1 / wider) < FAR_FROM_ASPECT:
        return ""
    kept, direction = min(wider, 1 / wider), "wide" if wider > 1 else "tall"
    what = f"This image is too {direction} for the model, which takes {geometry.width}×{geometry.height} pixels: "
    return (
        what
        + {
            "crop": f"only its middle {100 * kept:.0f}% is seen.",
            "pad": "it is seen with black bars.",
            "stretch": "it is seen distorted.",
        }[geometry.fit]
    )
