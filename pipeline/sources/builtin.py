"""Built-in sets of images: two that come with installed libraries, and two that scikit-learn downloads."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.errors import InputError, MissingExtra
from pipeline.sources.arrays import NamedArrays, from_parts
from pipeline.sources.source import Source

LabelledArrays = tuple[np.ndarray, np.ndarray, tuple[str, ...]]
_FEWEST_FACES = 20  # of a person, in the set lfw


class BuiltinSet(NamedTuple):
    """How a set is loaded (see `load_builtin`), what it is, and whether it comes with an installed library."""

    load: Callable[[], LabelledArrays]
    about: str
    is_bundled: bool


def load_builtin(name: str) -> LabelledArrays:
    """Load a set by its name.

    Parameters
    ----------
    name : str
        A key of `BUILTIN_SETS`.

    Returns
    -------
    images : ndarray of shape (m, height, width, channels), uint8
    labels : ndarray of shape (m,), int
    classes : tuple of str

    Raises
    ------
    InputError
        If the name is unknown, a library is missing, or the set cannot be downloaded.
    """
    if name not in BUILTIN_SETS:
        raise InputError(f"there is no built-in set {name!r}; choose one of {', '.join(BUILTIN_SETS)}")
    return BUILTIN_SETS[name].load()


def open_builtin(path: Path, group_by: str = "") -> Source:
    """List the images of a built-in set, which is named in place of a path."""
    name = str(path)
    images, labels, classes = load_builtin(name)
    return from_parts(name, name, [NamedArrays(name, images, labels, "")], classes)


def _load_faces() -> LabelledArrays:
    try:
        from skimage.data import lfw_subset
    except ImportError:
        raise MissingExtra("The set faces", "demo") from None
    images = np.rint(lfw_subset() * 255).astype(np.uint8)
    return images[..., None], np.repeat([0, 1], 100), ("face", "other")


def _load_digits() -> LabelledArrays:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return images[..., None], digits.target, tuple(str(digit) for digit in range(10))


def _load_olivetti() -> LabelledArrays:
    from sklearn.datasets import fetch_olivetti_faces

    faces = _fetch("olivetti", fetch_olivetti_faces)
    images = np.rint(faces.images * 255).astype(np.uint8)
    return images[..., None], faces.target, tuple(f"person {i + 1:02d}" for i in range(40))


def _load_lfw() -> LabelledArrays:
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
            f"{' '.join(str(error).split())[:200]}); connect to the internet, or use faces or digits"
        ) from None


BUILTIN_SETS: dict[str, BuiltinSet] = {
    "faces": BuiltinSet(
        _load_faces,
        "100 faces and 100 other crops of photographs, 25x25 pixels, from scikit-image (lfw_subset)",
        is_bundled=True,
    ),
    "digits": BuiltinSet(
        _load_digits,
        "1,797 handwritten digits, 8x8 pixels, from scikit-learn (load_digits)",
        is_bundled=True,
    ),
    "olivetti": BuiltinSet(
        _load_olivetti,
        "400 faces of 40 people, 64x64 pixels, downloaded once by scikit-learn",
        is_bundled=False,
    ),
    "lfw": BuiltinSet(
        _load_lfw,
        "faces of people with at least 20 images in Labeled Faces in the Wild, 62x47 pixels, downloaded once by "
        "scikit-learn",
        is_bundled=False,
    ),
}
