"""Where pictures come from: a table of sources, each of which lists samples and knows how to read one.

A source lists; it decodes nothing and judges nothing. `pipeline.ingestion.ingest` reads the samples one by one, in
the order
listed. To add a source, write a function that opens it (see `pipeline.sources.source`) and a line in `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import InputError
from pipeline.files.walk import Listing, escape, list_pictures
from pipeline.sources.arrays import open_hdf5_source, open_npy, open_npz
from pipeline.sources.builtin import NAMED_SETS, open_named
from pipeline.sources.manifest import open_manifest
from pipeline.sources.source import Files, Source, arrange, check_class_names, group_samples
from pipeline.sources.zip_archive import open_zip


class Kind(NamedTuple):
    """A line of the table: how a source is recognised and opened (with the column to group by, if any)."""

    name: str
    recognise: Callable[[Path], bool]
    open: Callable[[Path, str], Source]


def open_source(location: str | Path, group_by: str = "") -> Source:
    """Recognise a source and list its samples.

    Parameters
    ----------
    location : str or Path
        A folder, a manifest, an archive, a file of arrays, or the name of a known set.
    group_by : str
        What pictures that belong together share: a column of a manifest, ``folder``, or a pattern in the path.

    Raises
    ------
    InputError
        If there is nothing there, nothing recognises it, or it holds no pictures.
    """
    path = Path(location)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # it may be the name of a known set
    except OSError as error:
        raise InputError(f"{escape(path)}: cannot be read ({error.strerror})") from None
    for kind in SOURCES:
        if kind.recognise(path):
            source = kind.open(path, group_by)
            check_class_names(source)
            return group_samples(source, group_by)
    kinds = ", ".join(kind.name for kind in SOURCES)
    if not path.exists():
        raise InputError(f"{escape(path)}: there is no such file or folder; give {kinds}")
    raise InputError(f"{escape(path)}: is not a source of pictures; give {kinds}")


def open_folder(root: Path, group_by: str = "") -> Source:
    """List class folders, ready-made splits of class folders, or a folder of unlabelled pictures."""
    listing = list_pictures(root)
    if not listing.files:
        passed = (
            f" ({sum(listing.ignored.values())} hidden or system files were passed over)" if listing.ignored else ""
        )
        raise InputError(
            f"{escape(root)}: holds no pictures{passed}; give a folder with one sub-folder of pictures for each class"
        )
    course = sorted(name for name in listing.files if name.endswith((".h5", ".hdf5")))
    if course and len(course) == len(listing.files):
        return open_hdf5_source(root / course[0])
    samples, notes = arrange(listing.files, escape(root))
    files = Files(str(root.absolute()))
    return Source(
        kind="folder",
        location=escape(root),
        samples=samples,
        read=files,
        stamp=files.stamp,
        ignored=listing.ignored,
        rejected=[(escape(path), "permission", "folder may not be read by this user") for path in listing.unreadable],
        notes=(*notes, *_empty_folder_notes(listing)),
    )


def _empty_folder_notes(listing: Listing) -> tuple[str, ...]:
    empty = [escape(path) for path in listing.empty_folders]
    if not empty:
        return ()
    more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
    return (f"folders without any file: {', '.join(empty[:5])}{more}",)


def _has_ending(*endings: str) -> Callable[[Path], bool]:
    return lambda path: path.is_file() and path.suffix.lower() in endings


def _is_named(path: Path) -> bool:
    return str(path) in NAMED_SETS and not path.exists()


SOURCES: tuple[Kind, ...] = (
    Kind("a folder of class folders", Path.is_dir, open_folder),
    Kind("a manifest (.csv, .tsv)", _has_ending(".csv", ".tsv"), open_manifest),
    Kind("an archive (.zip)", _has_ending(".zip"), open_zip),
    Kind("an HDF5 file (.h5)", _has_ending(".h5", ".hdf5"), open_hdf5_source),
    Kind("arrays (.npz)", _has_ending(".npz"), open_npz),
    Kind("an array (.npy)", _has_ending(".npy"), open_npy),
    Kind(f"the name of a known set ({', '.join(NAMED_SETS)})", _is_named, open_named),
)
