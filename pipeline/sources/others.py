"""Files that lie among images and are plainly none: they are skipped and counted, and are no errors.

Only what was found in a folder or an archive is skipped; a file that the user names is always tried. A file is skipped
if its name says that it is something else and its content does not begin like an image, or if Facette has written it.
So a JPEG file called ``notes.txt`` is an image, and a text file called ``cat.jpg`` is a damaged one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pipeline.errors import InputError
from pipeline.files.kinds import names_an_image, names_another_kind
from pipeline.images.errors import ImageError
from pipeline.images.signatures import sniff

NOT_AN_IMAGE = "not an image"  # why such a file is skipped
_HEAD_BYTES = 256
_OWN_BEGINNINGS = (
    b"\x89HDF\r\n\x1a\n",  # HDF5: data sets, models, checkpoints
    b"SQLite format 3\0",  # stores of results
    *(b"path,status,label,probability", b'{"path": ', b"PAR1"),  # predictions as CSV, JSON lines, Parquet
    b"path,error_code,error_message",  # tables of rejected files
)


def is_another_kind(name: str, head: Callable[[int], bytes]) -> bool:
    """Tell whether a file that was found among images is plainly none.

    Parameters
    ----------
    name : str
        Without its folder.
    head : callable
        ``head(n)`` returns the first n bytes of the file, or nothing if it cannot be read. It is called for few files.
    """
    return names_another_kind(name) and not _begins_like_an_image(head(_HEAD_BYTES))


def _begins_like_an_image(head: bytes) -> bool:
    try:
        return bool(sniff(head))
    except ImageError:
        return False


def is_other_file(path: Path) -> bool:
    """Tell whether a file in a folder is plainly no image: see `is_another_kind`; or what Facette writes there."""
    if names_an_image(path.name):
        return False
    head = _head(path, _HEAD_BYTES)
    return head.startswith(_OWN_BEGINNINGS) or is_another_kind(path.name, lambda _: head)


def _head(path: Path, n: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(n)
    except OSError:
        return b""


def no_images(location: str, wanted: str, ignored: Mapping[str, int], notes: Iterable[str] = ()) -> InputError:
    """Return an error that says that a source holds no images, what was skipped, and what to give instead."""
    skipped = f" (skipped: {skipped_text(ignored)})" if any(ignored.values()) else ""
    return InputError("; ".join((f"{location}: holds no images{skipped}", *notes, f"give {wanted}")))


def skipped_text(ignored: Mapping[str, int]) -> str:
    """Return how many files were skipped, by reason: ``2 hidden, 1 symbolic link``."""
    return ", ".join(f"{n:,} {reason}" for reason, n in sorted(ignored.items()) if n)
