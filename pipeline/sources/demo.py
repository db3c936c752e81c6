"""The demonstration data: real images that ship inside installed packages, written out as class folders."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.errors import InputError, MissingExtra


class Demo(NamedTuple):
    """Images (m, height, width), uint8, with the name of each one's class; where they come from, in a sentence."""

    load: Callable[[], tuple[np.ndarray, list[str]]]
    about: str


def _faces() -> tuple[np.ndarray, list[str]]:
    try:
        from skimage.data import lfw_subset
    except ImportError:
        raise MissingExtra("the face demo", "demo") from None
    images = np.round(lfw_subset() * 255).astype(np.uint8)
    return images, ["face"] * 100 + ["not-face"] * 100


def _digits() -> tuple[np.ndarray, list[str]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.round(digits.images * (255 / 16)).astype(np.uint8), [str(label) for label in digits.target]


DEMOS = {
    "faces": Demo(_faces, "100 faces and 100 crops that are none, 25x25, from scikit-image (lfw_subset)"),
    "digits": Demo(_digits, "1,797 handwritten digits, 8x8, from scikit-learn (load_digits)"),
}


def write_demo(name: str, folder: str | Path) -> Path:
    """Write the images of a demo as PNG files, a folder for each class, and return the folder.

    A folder that is there already and holds just these files is left as it is.

    Raises
    ------
    InputError
        When the demo is unknown, or the folder cannot be written.
    """
    if name not in DEMOS:
        raise InputError(f"demo {name!r} is unknown; choose one of {', '.join(DEMOS)}")
    folder = Path(folder)
    images, labels = DEMOS[name].load()
    files = [f"{label}/{i:04d}.png" for i, label in enumerate(labels)]
    if folder.is_dir() and sorted(files) == sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png")):
        return folder
    temporary = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        for label in sorted(set(labels)):
            (temporary / label).mkdir(parents=True)
        for file, image in zip(files, images, strict=True):
            Image.fromarray(image).save(temporary / file)
        if folder.exists():
            raise InputError(f"{folder}: is there but does not hold the demo images; move it away or use --data")
        temporary.rename(folder)
    except OSError as error:
        raise InputError(f"{folder}: the demo images cannot be written ({error.strerror})") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
