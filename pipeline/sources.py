"""Where pictures come from: a table of sources, each of which lists samples and knows how to read one.

A source lists; it decodes nothing and judges nothing. `pipeline.ingest` reads the samples one by one, in the order
listed. To add a source, write a function that recognises a location, one that opens it, and a line in `SOURCES`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.errors import InputError
from pipeline.images import read_bytes
from pipeline.listing import Listing, escape, list_pictures

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "unlabelled": "unlabelled",
    "unlabeled": "unlabelled",
}


class Sample(NamedTuple):
    """One picture to be: its path as recorded, its label and given split (empty where there is none), and its key."""

    path: str
    label: str = ""
    split: str = ""
    group: str = ""
    key: str | int = ""


@dataclass(frozen=True)
class Source:
    """Samples in a fixed order, and how to read one.

    `read` returns the bytes of a picture file, or the picture itself as an array of shape (height, width, channels),
    uint8; it raises `PictureError`, and is called from several threads. `ignored` counts what was passed over, by
    reason; `rejected` holds (path, code, message) of what was found but cannot even be tried. `classes` fixes the
    order of the class names where the source has one of its own; else they are sorted.
    """

    kind: str
    location: str
    samples: Sequence[Sample]
    read: Callable[[Sample], bytes | np.ndarray]
    ignored: Mapping[str, int] = field(default_factory=dict)
    rejected: Sequence[tuple[str, str, str]] = ()
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ready_made(self) -> bool:
        """Tell whether any sample comes with a split of its own."""
        return any(sample.split for sample in self.samples)


class Kind(NamedTuple):
    """A line of the table: how a source is recognised and opened."""

    name: str
    recognise: Callable[[Path], bool]
    open: Callable[[Path], Source]


def open_source(location: str | Path) -> Source:
    """Recognise a source and list its samples.

    Raises
    ------
    InputError
        If there is nothing there, nothing recognises it, or it holds no pictures.
    """
    path = Path(location)
    for kind in SOURCES:
        if kind.recognise(path):
            source = kind.open(path)
            check_class_names(source)
            return source
    if not path.exists():
        raise InputError(f"{escape(path)}: there is no such file or folder")
    kinds = ", ".join(kind.name for kind in SOURCES)
    raise InputError(f"{escape(path)}: is not a source of pictures; give one of: {kinds}")


def check_class_names(source: Source) -> None:
    """Refuse class names that only look different.

    Raises
    ------
    InputError
        If two names differ in case, or in how an accent is stored, and in nothing else.
    """
    seen: dict[str, str] = {}
    for name in sorted({sample.label for sample in source.samples if sample.label}):
        first = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if first != name:
            raise InputError(
                f"{source.location}: classes {first!r} and {name!r} differ only in upper and lower case (or in how an "
                "accent is stored); rename one of them, or put their pictures together"
            )


def open_folder(root: Path) -> Source:
    """List class folders, ready-made splits of class folders, or a folder of unlabelled pictures."""
    listing = list_pictures(root)

    def read(sample: Sample) -> bytes:
        return read_bytes(root / str(sample.key))

    if not listing.files:
        passed = (
            f" ({sum(listing.ignored.values())} hidden or system files were passed over)" if listing.ignored else ""
        )
        raise InputError(
            f"{escape(root)}: holds no pictures{passed}; give a folder with one sub-folder of pictures for each class"
        )
    samples, notes = arrange(listing.files, escape(root))
    return Source(
        kind="folder",
        location=escape(root),
        samples=samples,
        read=read,
        ignored=listing.ignored,
        rejected=[(escape(path), "permission", "folder may not be read by this user") for path in listing.unreadable],
        notes=(*notes, *_empty_folder_notes(listing)),
    )


def arrange(paths: Sequence[str], location: str) -> tuple[list[Sample], tuple[str, ...]]:
    """Give every path its label and split by the folders it lies in: ``[SPLIT/]CLASS/...``.

    Parameters
    ----------
    paths : sequence of str
        Relative to the root, with ``/`` between their parts.
    location : str
        Of the root, for messages.

    Returns
    -------
    samples : list of Sample
        In the order of the paths; the key of each is the path as it came.
    notes : tuple of str
        What a person should know about how the paths were understood.

    Raises
    ------
    InputError
        If folders of splits and other folders lie side by side.
    """
    tops = {path.split("/", 1)[0] for path in paths if "/" in path}
    split_tops = {top for top in tops if top.lower() in SPLIT_NAMES}
    parts = {SPLIT_NAMES[top.lower()] for top in split_tops}
    ready_made = "train" in parts and len(parts) > 1
    if ready_made and tops != split_tops:
        others = ", ".join(repr(escape(top)) for top in sorted(tops - split_tops)[:5])
        raise InputError(
            f"{location}: has the split folders {', '.join(sorted(split_tops))} but also {others}; move these away, "
            "or rename the split folders if they are classes"
        )
    samples, stray = [], 0
    for path in paths:
        folders = path.split("/")[:-1]
        split = SPLIT_NAMES[folders.pop(0).lower()] if ready_made and folders else ""
        label = escape(folders[0]) if folders and split != "unlabelled" else ""
        stray += not label
        samples.append(Sample(escape(path), label, split, "", path))
    notes = []
    if ready_made:
        notes.append(f"ready-made splits: {', '.join(sorted(split_tops))}")
    if 0 < stray < len(samples):
        notes.append(f"{stray} files lie in no class folder: those that are pictures are kept, unlabelled")
    return samples, tuple(notes)


def _empty_folder_notes(listing: Listing) -> tuple[str, ...]:
    empty = [escape(path) for path in listing.empty_folders]
    if not empty:
        return ()
    more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
    return (f"folders without any file: {', '.join(empty[:5])}{more}",)


SOURCES: tuple[Kind, ...] = (Kind("a folder", Path.is_dir, open_folder),)
