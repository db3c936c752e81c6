"""HDF5 files from strangers: opened only for what they hold themselves, and nothing in them taken at its word.

HDF5 can do more than hold numbers. A file may name other files (external links, external storage, virtual data sets),
go round in circles, ask for filters that are loaded as plugins, and declare arrays far larger than what it stores.
`open_file` looks at everything in a file before anything is read, and refuses all that; it follows hard links only.
What it cannot refuse is a fault in the HDF5 library itself.

Text has a fixed length, the longest one's. HDF5 keeps text of variable length in a heap without checksums, which can
hold one long text any number of times, and which a single wrong byte turns into an endless loop (HDF5 2.0.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from model.errors import FormatError

MOST_OBJECTS = 10_000
LARGEST_RATIO = 200  # of declared to stored bytes; images and weights come to less than 10
_RATIO_FROM_BYTES = 1 << 24
_FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF)
_BLOCK_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 16  # of texts: who wants a few thousand of them reads little more
_PLAIN = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING)

# What reading a file with bytes missing or changed can come to: every layer of h5py has its own way to give up.
DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError, OverflowError)


def open_file(path: str | Path) -> h5py.File:
    """Open an HDF5 file for reading, once everything in it has been looked at.

    Raises
    ------
    FormatError
        If there is none, it may not be read, it is no HDF5 file or not all of one, or holds what is refused.
    """
    path = Path(path)
    if not path.is_file():
        raise FormatError("there is no such file")
    try:
        file = h5py.File(path, "r")
    except PermissionError:
        raise FormatError("may not be read by this user") from None
    except DAMAGE as error:
        why = "is cut short: part of the file is missing" if "truncated" in str(error) else "is not an HDF5 file"
        raise FormatError(why) from None
    try:
        _examine(file)
    except FormatError:
        file.close()
        raise
    except DAMAGE as error:
        file.close()
        raise FormatError(f"is damaged ({error})") from None
    return file


def _examine(file: h5py.File) -> None:
    """Refuse what `open_file` refuses; groups that hold one another are gone through once."""
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
                raise FormatError(f"{group.name}: {name} is a link to another place, and links are not followed")
            item = group[name]
            if isinstance(item, h5py.Group):
                pending.append(item)
            elif isinstance(item, h5py.Dataset):
                _examine_array(item)


def _examine_array(array: h5py.Dataset) -> None:
    """Refuse an array that is stored elsewhere, of other things than numbers and text, or larger than it can be."""
    properties = array.id.get_create_plist()
    if properties.get_external_count() or properties.get_layout() == h5py.h5d.VIRTUAL:
        raise FormatError(f"{array.name}: is kept in another file, and other files are not opened")
    if array.shape is None:
        raise FormatError(f"{array.name}: has no shape")
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    if not set(filters) <= set(_FILTERS):
        raise FormatError(f"{array.name}: is packed in a way that is not read")
    if _is_variable(array.id.get_type()):
        raise FormatError(f"{array.name}: holds text of variable length; only text of a fixed length is read")
    if array.dtype.kind not in "biufS":
        raise FormatError(f"{array.name}: holds {array.dtype}; only numbers and text are read")
    item = array.id.get_type().get_size()
    declared = max(int(np.prod(shape, dtype=object)) * item for shape in (array.shape, array.chunks or (0,)))
    allowed = array.id.get_storage_size() * (LARGEST_RATIO if filters else 1)
    if declared > max(_RATIO_FROM_BYTES, allowed):
        raise FormatError(
            f"{array.name}: has shape {array.shape}, {declared} bytes, of which the file holds "
            f"{array.id.get_storage_size()}; that is not believed"
        )


def _is_variable(kind: h5py.h5t.TypeID) -> bool:
    return isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str()


def attribute(file: h5py.Group, name: str) -> str | int | float | None:
    """Return an attribute that is one text or one number; None where there is none, or it is anything else."""
    if name not in file.attrs:
        return None
    stored = file.attrs.get_id(name)
    if stored.shape != () or stored.get_type().get_class() not in _PLAIN or _is_variable(stored.get_type()):
        return None
    value = file.attrs[name]
    return value.decode() if isinstance(value, bytes) else value.item()


def write_attribute(file: h5py.Group, name: str, text: str) -> None:
    """Store a text that `attribute` reads; less than 64 kB, as HDF5 wants it."""
    file.attrs[name] = np.bytes_(text.encode())


def write_text(group: h5py.Group, name: str, texts: Sequence[str]) -> None:
    """Store a list of texts, with a checksum."""
    width = max((len(text.encode()) for text in texts), default=0) or 1
    step = max(1, min(len(texts), _CHUNK_BYTES // width))
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
    """Return a list of texts.

    Returns
    -------
    ndarray of shape (m,), str objects
    """
    if array.ndim != 1 or array.dtype.kind != "S":
        raise FormatError(f"{array.name}: has shape {array.shape} and dtype {array.dtype}; a list of texts is needed")
    texts = np.empty(len(array), dtype=object)
    step = max(1, _BLOCK_BYTES // array.dtype.itemsize)
    for start in range(0, len(array), step):
        texts[start : start + step] = [text.decode() for text in array[start : start + step].tolist()]
    return texts
