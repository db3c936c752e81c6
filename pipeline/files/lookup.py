r"""Find the file that a text in a table or a list means, although it is spelt otherwise on the disk.

The spelling as it is comes first. The others are: ``%FF`` for the byte FF, as Facette writes it; Windows-1252 for bytes
that are not UTF-8; ``/`` for ``\``, which separates folders on Windows only; accents composed (NFC) or apart (NFD).
"""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from pipeline.files.names import unescape
from pipeline.files.tables import from_windows, is_foreign


def spellings(text: str) -> Iterator[str]:
    """Yield the paths that a text may mean, the likeliest first."""
    forms = [text]
    if "%" in text:
        forms.append(str(unescape(text)))
    if is_foreign(text):
        forms.append(from_windows(text))
    if "\\" in text:
        forms += [form.replace("\\", "/") for form in forms]
    if not text.isascii() or len(forms) > 1:
        forms += [unicodedata.normalize(kind, form) for form in tuple(forms) for kind in ("NFC", "NFD")]
    yield from dict.fromkeys(map(posixpath.normpath, forms))


def is_doubtful(text: str) -> bool:
    """Tell whether a path may be spelt otherwise on the disk."""
    return not text.isascii() or "\\" in text or "%" in text


def find_file(text: str, folders: Sequence[str]) -> tuple[str, str] | None:
    """Return the folder and the spelling under which there is such a file; None if there is none.

    Parameters
    ----------
    text : str
        A path.
    folders : sequence of str
        What a relative path may be relative to, the likeliest first.
    """
    forms = list(spellings(text))
    for folder in folders:
        for form in forms:
            if os.path.lexists(os.path.join(folder, form)):  # noqa: PTH118 (half the time of a Path)
                return folder, form
    for folder in folders:
        mixed = [_part_by_part(folder, form) for form in forms if not form.isascii()]
        if any(mixed):
            return folder, next(filter(None, mixed))
    return None


def _part_by_part(folder: str, text: str) -> str:
    """Return a path of which each part may have its accents composed or apart; empty if there is no such file."""
    path = ""
    for part in PurePosixPath(text).parts:
        forms = (part, *(unicodedata.normalize(kind, part) for kind in ("NFC", "NFD")))
        tried = (posixpath.join(path, form) for form in forms)
        path = next((form for form in tried if os.path.lexists(os.path.join(folder, form))), "")  # noqa: PTH118
        if not path:
            return ""
    return path


_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def why_missing(text: str) -> str:
    """Return what to say of a file that is not found: why that may be, if its spelling tells."""
    if os.name == "nt":
        return "there is no such file"
    if _DRIVE.match(text):
        return "there is no such file: this is a path of another computer (Windows); write it relative to the table"
    if "\\" in text:
        return r"there is no such file, and none if \ is read as /"
    return "there is no such file"
