"""Where images come from: a table of sources, each of which lists samples and knows how to read one.

A source only lists samples; it decodes and checks nothing. `pipeline.ingestion.ingest` reads the samples one by one,
in the order in which they are listed. To add a source, write a function that opens it and returns a
`pipeline.sources.source.Source`, and add a line to `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pipeline.data.dataset import refuse_other_kinds
from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.sources.arrays import open_hdf5_source, open_npy, open_npz
from pipeline.sources.builtin import BUILTIN_SETS, open_builtin
from pipeline.sources.folder import open_folder
from pipeline.sources.labels import check_class_names, compose_class_names, group_samples
from pipeline.sources.manifest import open_manifest
from pipeline.sources.source import Source
from pipeline.sources.zip_archive import open_zip


class Kind(NamedTuple):
    """A kind of source: its name, how it is recognised, and how it is opened (given what to group by)."""

    name: str
    recognise: Callable[[Path], bool]
    open: Callable[[Path, str], Source]


def open_source(location: str | Path, group_by: str = "") -> Source:
    """Recognise a source and list its samples.

    Parameters
    ----------
    location : str or Path
        A folder, a manifest, an archive, a file of arrays, or the name of a built-in set.
    group_by : str
        What images of one group share: a column of a manifest, ``folder``, or a pattern in the path.

    Raises
    ------
    InputError
        If the location does not exist, is not a source of images, or holds no images.
    """
    path = Path(location)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # it may be the name of a built-in set
    except OSError as error:
        raise InputError(f"{escape(path)}: cannot be read ({error.strerror})") from None
    refuse_other_kinds(path)
    for kind in SOURCES:
        if kind.recognise(path):
            source = compose_class_names(kind.open(path, group_by))
            check_class_names(source)
            return group_samples(source, group_by)
    kinds = ", ".join(kind.name for kind in SOURCES)
    if not path.exists():
        raise InputError(f"{escape(path)}: there is no such file or folder; give {kinds}")
    raise InputError(f"{escape(path)}: is not a source of images; give {kinds}")


def _has_ending(*endings: str) -> Callable[[Path], bool]:
    return lambda path: path.is_file() and path.suffix.lower() in endings


def _is_builtin(path: Path) -> bool:
    return str(path) in BUILTIN_SETS and not path.exists()


SOURCES: tuple[Kind, ...] = (
    Kind("a folder of class folders", Path.is_dir, open_folder),
    Kind("a manifest (.csv, .tsv)", _has_ending(".csv", ".tsv"), open_manifest),
    Kind("an archive (.zip)", _has_ending(".zip"), open_zip),
    Kind("an HDF5 file (.h5)", _has_ending(".h5", ".hdf5"), open_hdf5_source),
    Kind("arrays (.npz)", _has_ending(".npz"), open_npz),
    Kind("an array (.npy)", _has_ending(".npy"), open_npy),
    Kind(f"the name of a built-in set ({', '.join(BUILTIN_SETS)})", _is_builtin, open_builtin),
)
