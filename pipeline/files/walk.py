"""Find the image files below a folder, in a fixed order, with everything that is ignored counted.

Every visible regular file counts as an image file: `pipeline.images.decode` decides by its content whether it is one.
Ignored are: hidden files and folders, system files (`SYSTEM_FILES`), symbolic links to folders or to anything outside
the root, what is not a regular file, and the folders of Facette's own runs. A folder that is ignored counts once.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from pipeline.errors import InputError
from pipeline.files.names import escape

SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information"}

LINK = "symbolic link"
OUTPUT = "output of this command"
RUN = "run of Facette"
# A folder with both of a pair is a run: a model or data set alone may lie among the images of a class.
_RUN_PAIRS = [
    ("data.h5", "config.toml"),
    *itertools.product(("model.h5", "checkpoint.h5"), ("config.toml", "history.csv", "metrics.json", "report.html")),
]
RUN_FILE_NAMES = frozenset(itertools.chain(*_RUN_PAIRS))


class WalkEntry(NamedTuple):
    """Something below a root: its path relative to the root, with ``/`` between the parts, and what it is.

    `reason` says why something is ignored, such as ``"hidden"``.
    """

    path: str
    kind: Literal["file", "ignored", "unreadable folder", "empty folder"]
    reason: str = ""


def walk(root: Path | str, outputs: Collection[str] = ()) -> Iterator[WalkEntry]:
    """Yield every entry below a folder, sorted by `sort_key`.

    Only the names in the current folder and in its parents are in memory.

    Parameters
    ----------
    root : Path or str
    outputs : collection of str
        Real paths of files and folders that the calling command writes: they are ignored.

    Raises
    ------
    OSError
        If the root itself may not be read.
    """
    real_root = os.path.realpath(root)
    output_names = {os.path.basename(path) for path in outputs}  # noqa: PTH119 (they are text)
    open_folders = [("", iter(_entries(root)))]
    while open_folders:
        folder, entries = open_folders[-1]
        entry = next(entries, None)
        if entry is None:
            open_folders.pop()
            continue
        path = folder + entry.name
        reason = reason_to_ignore(entry, real_root)
        if not reason and entry.name in output_names and os.path.realpath(entry.path) in outputs:
            reason = OUTPUT
        if reason:
            yield WalkEntry(path, "ignored", reason)
        elif entry.is_dir(follow_symlinks=False):
            try:
                below = _entries(entry.path)
            except OSError:
                yield WalkEntry(path, "unreadable folder")
                continue
            if is_run_folder({found.name for found in below}):
                yield WalkEntry(path, "ignored", RUN)
                continue
            if not below:
                yield WalkEntry(path, "empty folder")
            open_folders.append((f"{path}/", iter(below)))
        else:
            yield WalkEntry(path, "file")


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: os.fsencode(entry.name))


@dataclass(frozen=True)
class Listing:
    """What lies below a root. Paths are relative to it, with ``/`` between their parts, sorted by their bytes.

    `ignored` counts what was ignored, by reason; `links` names the symbolic links among it.
    """

    root: Path
    files: tuple[str, ...]
    ignored: Mapping[str, int]
    unreadable: tuple[str, ...] = ()
    empty_folders: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


def list_image_files(root: Path | str) -> Listing:
    """List the files that may be images below a folder (or take one file); see `walk`.

    Raises
    ------
    InputError
        If there is nothing at `root`, or it may not be read.
    """
    root = Path(root)
    paths: dict[str, list[str]] = {"file": [], "unreadable folder": [], "empty folder": [], LINK: []}
    ignored: Counter[str] = Counter()
    try:
        if not stat.S_ISDIR(root.stat().st_mode):
            return Listing(root.parent, (root.name,), {})
        for found in walk(root):
            if found.kind == "ignored":
                ignored[found.reason] += 1
            kind = found.reason or found.kind
            if kind in paths:
                paths[kind].append(found.path)
    except FileNotFoundError:
        raise InputError(f"{escape(root)}: there is no such file or folder") from None
    except OSError as error:
        raise InputError(f"{escape(root)}: cannot be read ({error.strerror})") from None
    files, unreadable, empty, links = (tuple(found) for found in paths.values())
    return Listing(root, files, dict(ignored), tuple(sorted(unreadable)), tuple(sorted(empty)), links)


def sort_key(path: str) -> tuple[bytes, ...]:
    """Return what paths are sorted by: the bytes of their parts, the same on every machine and in every locale."""
    return tuple(os.fsencode(part) for part in path.split("/"))


def is_run_folder(names: Collection[str]) -> bool:
    """Tell by the names in a folder whether it holds a run of Facette, whose figures are no data."""
    found = RUN_FILE_NAMES.intersection(names)
    return len(found) > 1 and any(found.issuperset(pair) for pair in _RUN_PAIRS)


def reason_to_ignore_name(name: str) -> str:
    """Return why a file or folder of this name is not data (``"hidden"``, ``"system file"``), or ``""``."""
    if name.startswith("."):
        return "hidden"
    return "system file" if name.lower() in SYSTEM_FILES else ""


def reason_to_ignore(entry: os.DirEntry[str], real_root: str) -> str:
    """Return why an entry of a folder below `real_root` is not data, or ``""``."""
    reason = reason_to_ignore_name(entry.name)
    if reason:
        return reason
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        inside = os.path.commonpath([real_root, target]) == real_root
        # A broken link counts as a file: reading it reports the error.
        return LINK if Path(target).is_dir() or not inside else ""
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError:
        return ""
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "special"
