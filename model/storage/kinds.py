"""What kind of file of Facette a path is: a model, a data set, a checkpoint, or the folder of a run.

Whoever is given the wrong one says which it is, in the words of the user.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import h5py

from model.storage.hdf5 import DAMAGE, attribute

# The attribute `format` of a file -> what it is.
FILE_KINDS = {
    "facette-model": "a model of Facette",
    "facette-dataset": "a data set of Facette",
    "facette-checkpoint": "a checkpoint of a run",
}
_RUN_FILES = {"model.h5": "facette-model", "checkpoint.h5": "facette-checkpoint"}


def format_of(path: str | Path) -> str:
    """Return the attribute `format` of an HDF5 file, of any version; empty if there is none, or it is another file."""
    try:
        if not Path(path).is_file() or not h5py.is_hdf5(path):
            return ""
    except DAMAGE:
        return ""
    for locking in (None, False):  # False: another program has it open, but this one must not have it open with a lock
        with contextlib.suppress(*DAMAGE), h5py.File(path, "r", locking=locking) as file:
            found = attribute(file, "format")
            return found if isinstance(found, str) else ""
    return ""


def has_format(path: str | Path, format: str) -> bool:
    """Return whether a path is an HDF5 file of the given format, of any version."""
    return format_of(path) == format


def is_run(folder: str | Path) -> bool:
    """Return whether a folder is that of a run: it holds a model or a checkpoint under the usual name."""
    return Path(folder).is_dir() and any(has_format(Path(folder) / name, kind) for name, kind in _RUN_FILES.items())


def own_kind(path: str | Path) -> str:
    """Return in words which of Facette's own files a path is, such as "a model of Facette"; empty if it is none."""
    return "the folder of a run" if is_run(path) else FILE_KINDS.get(format_of(path), "")
