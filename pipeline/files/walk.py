"""Find the image files below a folder, in a fixed order, with everything that is passed over counted.

Every visible regular file counts as an image file: whether it is one is for `pipeline.images.decode` to say, by its
content.
Passed over: hidden files and folders, the litter that operating systems leave (`LITTER`), symbolic links to folders or
to anything outside the root, and what is not a regular file. A folder that is passed over counts once.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError
from pipeline.files.names import escape

LITTER = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information"}


@dataclass(frozen=True)
class Listing:
    """What lies below a root. Paths are relative to it, with ``/`` between their parts, sorted by their bytes."""

    root: Path
    files: tuple[str, ...]
    ignored: Mapping[str, int]
    unreadable: tuple[str, ...]
    empty_folders: tuple[str, ...]


def list_image_files(root: Path | str) -> Listing:
    """Walk a folder (or take one file) and list what may be images.

    Raises
    ------
    InputError
        If there is nothing at `root`, or it may not be read.
    """
    root = Path(root)
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except FileNotFoundError:
        raise InputError(f"{escape(root)}: there is no such file or folder") from None
    except OSError as error:
        raise InputError(f"{escape(root)}: cannot be read ({error.strerror})") from None
    if not is_folder:
        return Listing(root.parent, (root.name,), {}, (), ())
    files: list[str] = []
    unreadable: list[str] = []
    empty: list[str] = []
    ignored: Counter[str] = Counter()
    real_root = os.path.realpath(root)
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(root / folder) as found:
                entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            if not folder:
                raise InputError(f"{escape(root)}: cannot be read ({error.strerror})") from None
            unreadable.append(folder)
            continue
        if folder and not entries:
            empty.append(folder)
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            reason = reason_to_ignore(entry, real_root)
            if reason:
                ignored[reason] += 1
            elif entry.is_dir(follow_symlinks=False):
                pending.append(path)
            else:
                files.append(path)
    files.sort(key=sort_key)
    return Listing(root, tuple(files), dict(ignored), tuple(sorted(unreadable)), tuple(sorted(empty)))


def sort_key(path: str) -> tuple[bytes, ...]:
    """Return what paths are sorted by: the bytes of their parts, the same on every machine and in every locale."""
    return tuple(os.fsencode(part) for part in path.split("/"))


def reason_to_ignore_name(name: str) -> str:
    """Return why a file or folder of this name is not data (``"hidden"``, ``"litter"``), or ``""``."""
    if name.startswith("."):
        return "hidden"
    return "litter" if name.lower() in LITTER else ""


def reason_to_ignore(entry: os.DirEntry[str], real_root: str) -> str:
    """Return why an entry of a folder below `real_root` is not data, or ``""``."""
    reason = reason_to_ignore_name(entry.name)
    if reason:
        return reason
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        inside = os.path.commonpath([real_root, target]) == real_root
        # A link that leads nowhere is tried like a file, and becomes a row that says so.
        return "link" if Path(target).is_dir() or not inside else ""
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError:
        return ""
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "special"
