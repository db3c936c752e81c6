"""A folder of class folders, of ready-made splits, or of unlabelled images."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.files.walk import Listing, list_image_files
from pipeline.sources.arrays import open_hdf5_source
from pipeline.sources.labels import arrange
from pipeline.sources.source import Files, Source
from pipeline.text import count, shortened


def open_folder(root: Path, group_by: str = "") -> Source:
    """List the images of class folders, of ready-made splits of class folders, or of a folder without classes.

    Raises
    ------
    InputError
        If the folder cannot be read, or holds no images.
    """
    listing = list_image_files(root)
    if not listing.files:
        n_skipped = sum(listing.ignored.values())
        skipped = f" ({count(n_skipped, 'hidden or system file')} skipped)" if n_skipped else ""
        raise InputError(
            f"{escape(root)}: holds no images{skipped}; give a folder with one sub-folder of images for each class"
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
        rejected=[
            (escape(path), "permission", "you have no permission to read this folder") for path in listing.unreadable
        ],
        notes=(*notes, *_empty_folder_notes(listing)),
    )


def _empty_folder_notes(listing: Listing) -> tuple[str, ...]:
    empty = [escape(path) for path in listing.empty_folders]
    if not empty:
        return ()
    return (f"folders without any file: {shortened(empty)}",)
