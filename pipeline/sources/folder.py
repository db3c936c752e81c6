"""A folder of class folders, of ready-made splits, or of unlabelled images."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.files.walk import Listing, list_image_files
from pipeline.sources.arrays import open_hdf5_source
from pipeline.sources.labels import arrange
from pipeline.sources.source import Files, Source


def open_folder(root: Path, group_by: str = "") -> Source:
    """List class folders, ready-made splits of class folders, or a folder of unlabelled images."""
    listing = list_image_files(root)
    if not listing.files:
        passed = (
            f" ({sum(listing.ignored.values())} hidden or system files were passed over)" if listing.ignored else ""
        )
        raise InputError(
            f"{escape(root)}: holds no images{passed}; give a folder with one sub-folder of images for each class"
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
