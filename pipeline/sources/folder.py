"""A folder of class folders, of ready-made splits, or of unlabelled images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.files.names import escape
from pipeline.files.walk import LINK, Listing, list_image_files, sort_key
from pipeline.sources.arrays import open_hdf5_source
from pipeline.sources.labels import arrange
from pipeline.sources.layout import EMPTY, folders_without_images, outer_folder
from pipeline.sources.others import NOT_AN_IMAGE, is_other_file, no_images
from pipeline.sources.source import Files, Source
from pipeline.text import shortened


def open_folder(root: Path, group_by: str = "") -> Source:
    """List the images of class folders, of ready-made splits of class folders, or of a folder without classes.

    Raises
    ------
    InputError
        If the folder cannot be read, or holds no images.
    """
    listing = list_image_files(root)
    others = [name for name in listing.files if is_other_file(root / name)]
    course = [name for name in others if name.endswith((".h5", ".hdf5")) and "/" not in name]
    images = sorted(set(listing.files) - set(others), key=sort_key)
    if course and not images:
        return open_hdf5_source(root / course[0])
    ignored = {**listing.ignored, **({NOT_AN_IMAGE: len(others)} if others else {})}
    if not images:
        raise no_images(escape(root), "a folder with one sub-folder of images for each class", ignored, _links(listing))
    samples, notes = arrange(images, escape(root))
    files = Files(str(root.absolute()))
    return Source(
        kind="folder",
        location=escape(root),
        samples=samples,
        read=files,
        stamp=files.stamp,
        ignored=ignored,
        rejected=[
            (escape(path), "permission", "you have no permission to read this folder") for path in listing.unreadable
        ],
        notes=(*notes, *_notes(root, listing, images, others)),
    )


def _notes(root: Path, listing: Listing, images: Sequence[str], others: Iterable[str]) -> tuple[str, ...]:
    """Return what a user should know of folders that are no classes, and of symbolic links."""
    kinds = dict.fromkeys(others, NOT_AN_IMAGE)
    kinds |= {f"{name}/" if (root / name).is_dir() else name: LINK for name in listing.links}
    kinds |= {f"{name}/": EMPTY for name in listing.empty_folders}
    notes = folders_without_images(images, kinds) + _links(listing)
    outer = outer_folder(images)
    if outer:
        inner = sorted({name.removeprefix(outer).split("/")[0] for name in images if name.startswith(outer)})
        inside = shortened([escape(name) for name in inner])
        notes += (f"{escape(outer[:-1])} holds the folders {inside}; if these are meant, give {escape(root / outer)}",)
    return notes


def _links(listing: Listing) -> tuple[str, ...]:
    if not listing.links:
        return ()
    linked = shortened([escape(name) for name in listing.links], limit=3)
    return (
        f"symbolic links to folders, or out of {escape(listing.root)}, are not followed: {linked}; give the folder "
        "that they lead to, or a manifest, which may name any file",
    )
