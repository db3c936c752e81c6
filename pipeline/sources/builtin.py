"""Data sets known by name: two that come with installed libraries, and two that scikit-learn downloads."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError, MissingExtra
from pipeline.sources.arrays import NamedArrays, from_parts
from pipeline.sources.source import Source

Arrays = tuple[np.ndarray, np.ndarray, tuple[str, ...]]
_FEWEST_FACES = 20


def load_named(name: str) -> Arrays:
    """Load a set by its name.

    Parameters
    ----------
    name : str
        One of `NAMED_SETS`.

    Returns
    -------
    images : ndarray of shape (m, height, width, channels), uint8
    labels : ndarray of shape (m,), int
    classes : tuple of str

    Raises
    ------
    InputError
        If the name is unknown, a library is missing, or the set has to be downloaded and cannot be.
    """
    if name not in NAMED_SETS:
        raise InputError(f"{name!r} is no known set; choose one of {', '.join(NAMED_SETS)}")
    return NAMED_SETS[name]()


def open_named(path: Path, group_by: str = "") -> Source:
    """List the images of a named set."""
    name = str(path)
    images, labels, classes = load_named(name)
    return from_parts(name, name, [NamedArrays(name, images, labels, "")], classes)


def _lfw_subset() -> Arrays:
    """Load 100 faces and 100 other patches of 25x25 pixels, which come with scikit-image."""
    try:
        from skimage.data import lfw_subset
    except ImportError:
        raise MissingExtra("The set lfw_subset", "demo") from None
    images = np.rint(lfw_subset() * 255).astype(np.uint8)
    return images[..., None], np.repeat([0, 1], 100), ("face", "other")


def _digits() -> Arrays:
    """Load 1,797 handwritten digits of 8x8 pixels, which come with scikit-learn."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return images[..., None], digits.target, tuple(str(digit) for digit in range(10))


def _olivetti() -> Arrays:
    """Load 400 faces of 40 people, 64x64 pixels; scikit-learn downloads them once."""
    from sklearn.datasets import fetch_olivetti_faces

    faces = _fetch("olivetti", fetch_olivetti_faces)
    images = np.rint(faces.images * 255).astype(np.uint8)
    return images[..., None], faces.target, tuple(f"person {i + 1:02d}" for i in range(40))


def _lfw() -> Arrays:
    """Load the faces of everybody with at least 20 images in Labeled Faces in the Wild, 62x47 pixels."""
    from sklearn.datasets import fetch_lfw_people

    faces = _fetch("lfw", fetch_lfw_people, min_faces_per_person=_FEWEST_FACES)
    images = np.rint(faces.images * (255 if faces.images.max() <= 1 else 1)).astype(np.uint8)
    return images[..., None], faces.target, tuple(str(name) for name in faces.target_names)


def _fetch(name: str, fetch: Callable[..., Any], **options: Any) -> Any:
    """Call one of scikit-learn's fetchers, which print, and raise many kinds of errors without a network."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fetch(**options)
    except Exception as error:
        raise InputError(
            f"{name}: could not be downloaded, and no earlier download was found ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}); connect to the internet, or use lfw_subset or digits"
        ) from None


NAMED_SETS: dict[str, Callable[[], Arrays]] = {
    "lfw_subset": _lfw_subset,
    "digits": _digits,
    "olivetti": _olivetti,
    "lfw": _lfw,
}
