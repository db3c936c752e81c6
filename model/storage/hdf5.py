"""Untrusted HDF5 files: opened safely, and read only after everything in them has been checked.

An HDF5 file can do more than store arrays. It can refer to other files (external links, external storage, virtual data
sets), contain itself in a circle, ask for filters that are loaded as plugins, and declare arrays far larger than what
it stores. `open_file` examines all objects of a file before anything is read, and rejects all of that; only hard links
are followed. It cannot protect from a fault in the HDF5 library itself. What the arrays mean is checked by whoever
reads them (`model.storage.checkpoint`, `pipeline.data.dataset`).

Text is stored with a fixed length, that of the longest text. HDF5 stores text of variable length in a heap without
checksums, in which one long text can be used any number of times, and in which a single wrong byte causes an endless
loop (HDF5 2.0.0).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from model.errors import FormatError

MOST_OBJECTS = 10_000
LARGEST_RATIO = 200  # of declared to stored bytes; images and weights have less than 10
_UNCHECKED_BYTES = 1 << 24  # arrays up to this size may have any ratio
_FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF)
_READ_BYTES = 1 << 20  # of texts read at a time
_TEXT_CHUNK_BYTES = 1 << 16  # small, so that reading a few thousand texts reads little more than those
_ATTRIBUTE_TYPES = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING)

# Everything that reading a file with missing or changed bytes can raise: each layer of h5py fails in its own way.
DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError, OverflowError)


def open_file(path: str | Path) -> h5py.File:
    """Check everything in an HDF5 file, and return it open for reading.

    Raises
    ------
    FormatError
        When the file does not exist, may not be read, is not a complete HDF5 file, or holds anything that is rejected.
    """
    path = Path(path)
    if not path.is_file():
        raise FormatError("there is no such file")
    try:
        file = h5py.File(path, "r")
    except PermissionError:
        raise FormatError("may not be read by this user") from None
    except DAMAGE as error:
        raise FormatError(_why_not_opened(path, error)) from None
    try:
        _examine(file)
    except FormatError:
        file.close()
        raise
    except DAMAGE as error:
        file.close()
        raise FormatError(f"is damaged ({error})") from None
    return file


def _why_not_opened(path: Path, error: Exception) -> str:
    """Return what is wrong with a file: HDF5 says it in a text, and may give the system's error number."""
    text, number = str(error), getattr(error, "errno", None)
    if "already open for write" in text:
        return (
            "is open for writing in another program, or was when that program was killed; close the file there, or "
            "run  h5clear -s  on it"
        )
    if number == errno.EAGAIN:
        return "is open for writing in another program, such as a notebook; close the file there, and try again"
    if "unable to lock" in text:
        return (
            f"cannot be locked ({os.strerror(number or errno.ENOLCK)}), as on some network drives; copy it to a local "
            "disk, or set the environment variable HDF5_USE_FILE_LOCKING to FALSE"
        )
    if number:
        return f"cannot be read ({os.strerror(number)})"
    if "truncated" in text:
        return "is cut short: part of the file is missing"
    return "is a damaged HDF5 file" if h5py.is_hdf5(path) else "is not an HDF5 file"


def _examine(file: h5py.File) -> None:
    """Raise an error if any object of a file is to be rejected; each group is visited once, even in a circle."""
    pending, seen, n_objects = [file["/"]], set(), 0
    while pending:
        group = pending.pop()
        if group in seen:
            continue
        seen.add(group)
        n_objects += len(group)
        if n_objects > MOST_OBJECTS:
            raise FormatError(f"holds more than {MOST_OBJECTS} objects; no file of this kind does")
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise FormatError(f"{group.name}: {name} is a soft or external link, and such links are not followed")
            item = group[name]
            if isinstance(item, h5py.Group):
                pending.append(item)
            elif isinstance(item, h5py.Dataset):
                _examine_array(item)


def _examine_array(array: h5py.Dataset) -> None:
    """Raise an error if an array is stored in another file, of an unsupported type, or implausibly large."""
    properties = array.id.get_create_plist()
    if properties.get_external_count() or properties.get_layout() == h5py.h5d.VIRTUAL:
        raise FormatError(f"{array.name}: is stored in another file, and other files are not opened")
    if array.shape is None:
        raise FormatError(f"{array.name}: has no shape")
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    if not set(filters) <= set(_FILTERS):
        raise FormatError(f"{array.name}: uses a compression that is not supported")
    if _is_variable(array.id.get_type()):
        raise FormatError(f"{array.name}: holds text of variable length; only text of fixed length is supported")
    if array.dtype.kind not in "biufS":
        raise FormatError(f"{array.name}: holds {array.dtype}; only numbers and text are supported")
    item = array.id.get_type().get_size()
    declared = max(int(np.prod(shape, dtype=object)) * item for shape in (array.shape, array.chunks or (0,)))
    allowed = array.id.get_storage_size() * (LARGEST_RATIO if filters else 1)
    if declared > max(_UNCHECKED_BYTES, allowed):
        raise FormatError(
            f"{array.name}: declares shape {array.shape}, {declared} bytes, but the file stores only "
            f"{array.id.get_storage_size()} bytes of it, which is implausible"
        )


def _is_variable(kind: h5py.h5t.TypeID) -> bool:
    return isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str()


def attribute(file: h5py.Group, name: str) -> str | int | float | None:
    """Return an attribute that is a single text or number; None if there is none or it is anything else."""
    if name not in file.attrs:
        return None
    stored = file.attrs.get_id(name)
    if stored.shape != () or stored.get_type().get_class() not in _ATTRIBUTE_TYPES or _is_variable(stored.get_type()):
        return None
    value = file.attrs[name]
    return value.decode() if isinstance(value, bytes) else value.item()


def write_attribute(file: h5py.Group, name: str, text: str) -> None:
    """Store a text that `attribute` reads; less than 64 kB, the limit of HDF5."""
    file.attrs[name] = np.bytes_(text.encode())


def write_text(group: h5py.Group, name: str, texts: Sequence[str]) -> None:
    """Store a list of texts with a checksum."""
    width = max((len(text.encode()) for text in texts), default=0) or 1
    step = max(1, min(len(texts), _TEXT_CHUNK_BYTES // width))
    array = group.create_dataset(
        name,
        shape=(len(texts),),
        dtype=h5py.string_dtype("utf-8", width),
        chunks=(step,) if len(texts) else None,
        fletcher32=bool(len(texts)) or None,
    )
    for start in range(0, len(texts), step):
        array[start : start + step] = [text.encode() for text in texts[start : start + step]]


def read_text(array: h5py.Dataset) -> np.ndarray:
    """Read what `write_text` stored.

    Returns
    -------
    ndarray of shape (m,), str objects

    Raises
    ------
    FormatError
        When the array is not a list of texts.
    """
    if array.ndim != 1 or array.dtype.kind != "S":
        raise FormatError(f"{array.name}: has shape {array.shape} and dtype {array.dtype}; expected a list of texts")
    texts = np.empty(len(array), dtype=object)
    step = max(1, _READ_BYTES // array.dtype.itemsize)
    for start in range(0, len(array), step):
        texts[start : start + step] = [text.decode() for text in array[start : start + step].tolist()]
    return texts
