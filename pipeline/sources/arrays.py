"""Images that are already arrays: ``.npz`` and ``.npy`` files, HDF5 in this project's layout and in the course's.

Every layout becomes a list of `NamedArrays`, each with the images and labels of one split (or of no split), and these
become a `Source`. Arrays of Python objects are rejected: reading them could run code from an untrusted file.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from tokenize import TokenError
from typing import IO, Any, NamedTuple

import h5py
import numpy as np

from model.storage.hdf5 import DAMAGE
from pipeline.data.dataset import Dataset, is_dataset, open_hdf5
from pipeline.data.splits import Split
from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.images.errors import ImageError
from pipeline.images.values import PixelValuesError, check_values, white_of
from pipeline.sources.source import Sample, Source
from pipeline.sources.zip_archive import check_member

# (names of images, names of labels, split): the first name found counts.
LAYOUT = (
    (("train_images", "x_train", "X_train", "train_set_x"), ("train_labels", "y_train", "train_set_y"), "train"),
    (("val_images", "x_val", "X_val", "valid_images"), ("val_labels", "y_val", "valid_labels"), "validation"),
    (("test_images", "x_test", "X_test", "test_set_x"), ("test_labels", "y_test", "test_set_y"), "test"),
    (("images", "X", "x", "data", "arr_0"), ("labels", "y", "Y", "target", "arr_1"), ""),
)
_UNUSUALLY_DARK = 16  # times darker than white: a sign that white is another value
CLASS_NAMES = ("classes", "list_classes", "class_names", "target_names", "label_names")


class NamedArrays(NamedTuple):
    """Images that a file holds under `name`, and their labels; `labels` is None if there are none."""

    name: str
    images: np.ndarray
    labels: np.ndarray | None
    split: str


def open_npz(path: Path, group_by: str = "") -> Source:
    """List the images of a NumPy archive: ``images`` and ``labels``, or ``train_images`` and so on.

    Raises
    ------
    InputError
        If it is damaged, holds objects, or its arrays do not fit.
    """
    where = escape(path)
    with _one_message(where), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        arrays = {name: _unpack(archive, f"{name}.npy") for name in dict.fromkeys(names) if name in _known_names()}
    return _from_layout("npz", where, arrays, names)


def open_npy(path: Path, group_by: str = "") -> Source:
    """List the images of one array of shape (m, height, width[, channels]), without labels.

    Raises
    ------
    InputError
        If it is damaged, holds objects, or its shape does not fit.
    """
    where = escape(path)
    with _one_message(where):
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    return from_parts("npy", where, [NamedArrays(path.stem, images, None, "")])


@contextmanager
def _one_message(where: str) -> Iterator[None]:
    """Turn the errors of reading an untrusted file of arrays into one message."""
    try:
        yield
    except InputError:
        raise
    except (*DAMAGE, EOFError, SyntaxError, TokenError, zipfile.BadZipFile, zlib.error, ImageError) as error:
        raise InputError(f"{where}: cannot be read ({_reason(error)})") from None


def _unpack(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read one array of an archive, unless its header declares more data than there are."""
    member = archive.getinfo(name)
    check_member(member)
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{name} is in an unknown version of the format")
        shape, _, dtype = _HEADERS[version](file)
        if math.prod(shape) * dtype.itemsize > member.file_size:
            raise ValueError(f"{name} has shape {shape}, but the file does not hold all of it")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


_HEADERS: dict[tuple[int, int], Callable[[IO[bytes]], Any]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def open_hdf5_source(path: Path, group_by: str = "") -> Source:
    """List the images of an HDF5 file: a data set of this project, or the course's layout.

    The course keeps ``train_set_x`` and ``test_set_x`` in two files, ``train_NAME.h5`` and ``test_NAME.h5``; given one
    of them, the other is read too if it is in the same folder.

    Raises
    ------
    InputError
        If the file is damaged, or in neither layout.
    """
    if is_dataset(path):
        return _open_dataset(path)
    arrays: dict[str, np.ndarray] = {}
    names: list[str] = []
    files = [path, *_siblings(path)]
    for name in files:
        with open_hdf5(name) as file, _one_message(escape(name)):
            names += list(file)
            arrays.update({key: _values(file[key]) for key in file if key in _known_names()})
    return _from_layout("hdf5", ", ".join(escape(name) for name in files), arrays, names)


def _values(array: h5py.Dataset) -> np.ndarray:
    if not isinstance(array, h5py.Dataset):
        raise TypeError(f"{array.name} is not an array")
    return array[()]


def from_parts(kind: str, where: str, parts: Sequence[NamedArrays], classes: Sequence[str] = ()) -> Source:
    """Make a source of arrays.

    Raises
    ------
    InputError
        If the images are not numbers of shape (m, height, width[, 1, 3 or 4]), or the labels do not fit them.
    """
    images: dict[str, np.ndarray] = {}
    samples: list[Sample] = []
    labels = _label_names(where, parts, classes)
    for part in parts:
        images[part.name] = _check_shape(where, part)
        width = len(str(len(part.images)))
        samples += [
            Sample(f"{part.name}/{i:0{width}d}", labels[part.name][i], part.split, "", f"{part.name}/{i}")
            for i in range(len(part.images))
        ]
    if not samples:
        raise InputError(f"{where}: holds no images")

    def read(sample: Sample) -> np.ndarray:
        name, _, i = str(sample.key).rpartition("/")
        return images[name][int(i)]

    def check_values(scale: float) -> tuple[str, ...]:
        notes = (_check_values(f"{where}: {name}", array, scale) for name, array in images.items())
        return tuple(note for note in notes if note)

    order = classes or sorted({label for part in parts for label in labels[part.name]}, key=_natural)
    return Source(kind, where, samples, read, check_values, classes=tuple(order))


def _natural(name: str) -> tuple[int, float, str]:
    """Sort class names that are numbers by their value, before all others."""
    try:
        return (0, float(name), name)
    except ValueError:
        return (1, 0.0, name)


def _known_names() -> set[str]:
    return {name for images, labels, _ in LAYOUT for name in (*images, *labels)} | set(CLASS_NAMES)


def _from_layout(kind: str, where: str, arrays: Mapping[str, Any], names: Sequence[str]) -> Source:
    parts = []
    for image_names, label_names, split in LAYOUT:
        name = next((name for name in image_names if name in arrays), None)
        if name:
            label = next((label for label in label_names if label in arrays), None)
            parts.append(NamedArrays(name, arrays[name], arrays[label] if label else None, split))
    if not parts:
        raise InputError(
            f"{where}: has no images under a known name; found: {', '.join(map(escape, names)) or 'nothing'}. "
            "Known are images and labels; train_images, train_labels and so on; and the course's train_set_x"
        )
    if len(parts) > 1:
        parts = [part for part in parts if part.split]
    if len(parts) == 1:
        parts = [parts[0]._replace(split="")]
    found = next((arrays[name] for name in CLASS_NAMES if name in arrays), None)
    classes = [] if found is None else [_text(name) for name in np.ravel(found)]
    return from_parts(kind, where, parts, classes)


def _siblings(path: Path) -> list[Path]:
    for prefix, other in (("train", "test"), ("test", "train")):
        if path.stem.startswith(prefix):
            sibling = path.with_name(other + path.name.removeprefix(prefix))
            return [sibling] if sibling.is_file() else []
    return []


def _open_dataset(path: Path) -> Source:
    data = Dataset.open(path)
    lock = Lock()
    names = np.array(["", *data.classes], dtype=object)[data.labels + 1]
    splits = np.array([split.label if split != Split.DROPPED else "" for split in Split], dtype=object)[data.split]
    groups = [str(group) if group >= 0 else "" for group in data.group.tolist()]
    samples = [
        Sample(str(path), str(name), split, group, i)
        for i, (path, name, split, group) in enumerate(zip(data.paths, names, splits, groups, strict=True))
    ]

    def read(sample: Sample) -> np.ndarray:
        try:
            with lock:
                return data.images[int(sample.key)]
        except (OSError, RuntimeError) as error:
            raise ImageError("corrupt", f"is damaged in the data set ({error})") from None

    return Source("data set", escape(path), samples, read, classes=data.classes)


def _check_shape(where: str, part: NamedArrays) -> np.ndarray:
    """Return the images as (m, height, width, channels)."""
    images, array = part.images, f"{where}: {part.name}"
    if not isinstance(images, np.ndarray) or images.dtype.kind not in "uifb":
        raise InputError(f"{array}: is not an array of numbers; give images as uint8")
    shape = images.shape
    if images.ndim == 3 and part.labels is None and (shape[2] in (3, 4) or shape[0] in (3, 4)):
        raise InputError(
            f"{array}: has shape {shape}, which may be one image in colour; give (1, height, width, 3) for one image "
            "in colour, and (m, height, width, 1) for m gray images"
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3, 4) or 0 in images.shape[1:]:
        first = images.ndim == 4 and shape[1] in (1, 3, 4)
        hint = "; its channels come first: np.moveaxis(images, 1, -1) moves them" if first else ""
        raise InputError(
            f"{array}: has shape {shape}; give (m, height, width) or (m, height, width, channels) with "
            f"1, 3 or 4 channels{hint}"
        )
    return images


def _check_values(array: str, images: np.ndarray, scale: float) -> str:
    """Return a note if the values are unusual for their type, else "".

    Raises
    ------
    InputError
        If they cannot be pixels.
    """
    if images.dtype in (np.uint8, bool) or not images.size:
        return ""
    try:
        _, high = check_values(images, scale)
    except PixelValuesError as error:
        raise InputError(f"{array}: {error}") from None
    white = white_of(images.dtype, scale)
    if not scale and 0 < high <= white / _UNUSUALLY_DARK:
        return (
            f"{array}: no value is above {high:g}, and {white:g} is white for {images.dtype.name}, so all images are "
            "dark; if another value is white, give it with --scale"
        )
    return ""


def _label_names(where: str, parts: Sequence[NamedArrays], classes: Sequence[str]) -> dict[str, list[str]]:
    """Return the class names of the images of every part; empty for an unlabelled image."""
    names: dict[str, list[str]] = {}
    for part in parts:
        if part.labels is None:
            names[part.name] = [""] * len(part.images)
            continue
        labels = np.asarray(part.labels)
        flat = labels.reshape(-1)
        if labels.ndim > 1 and max(labels.shape) != labels.size:
            raise InputError(f"{where}: labels of {part.name} have shape {labels.shape}; give one label for each image")
        if len(flat) != len(part.images):
            raise InputError(
                f"{where}: {part.name} has {len(part.images)} images and {len(flat)} labels; "
                "give one label for each image"
            )
        if flat.dtype.kind not in "uifbOSU":
            raise InputError(f"{where}: labels of {part.name} are {flat.dtype}; give numbers or names")
        if flat.dtype.kind == "f" and not (np.isfinite(flat) & (flat == np.floor(flat))).all():
            raise InputError(f"{where}: labels of {part.name} are not whole numbers; give the class numbers")
        names[part.name] = [_name_of(value, classes, f"{where}: {part.name}") for value in flat.tolist()]
    return names


def _name_of(value: Any, classes: Sequence[str], where: str) -> str:
    if isinstance(value, str | bytes):
        return _text(value)
    number = int(value)
    if number == -1:
        return ""
    if not classes:
        return str(number)
    if not 0 <= number < len(classes):
        raise InputError(f"{where}: label {number} has no class name; there are {len(classes)}")
    return str(classes[number])


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if "pickle" in text or "Object arrays" in text:
        return "it holds Python objects, which are not read; save it as arrays of numbers"
    return text or type(error).__name__
