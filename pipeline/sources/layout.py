"""What folders tell beside the classes: which lie around the class folders, and which hold no images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import accumulate

from pipeline.files.names import escape
from pipeline.text import shortened


def outer_folder(paths: Iterable[str]) -> str:
    """Return the folders around the class folders, such as ``photos/new/``; empty if there are none.

    An outer folder is the only one at its place, and holds several folders, or another outer folder. Files beside it do
    not matter, but a folder that holds an image itself is a class.
    """
    folders: Collection[tuple[str, ...]] = {tuple(path.split("/")[:-1]) for path in paths} - {()}
    depth = 0
    while True:
        tops = {folder[depth] for folder in folders if len(folder) > depth}
        if depth and len(tops) > 1:
            return "/".join(next(iter(folders))[:depth]) + "/"
        if len(tops) != 1 or any(len(folder) == depth + 1 for folder in folders):
            return ""
        depth += 1


def folders_without_images(images: Iterable[str], others: Mapping[str, str]) -> tuple[str, ...]:
    """Return a note that names the folders that hold no image, with what they hold instead; none if there are none.

    Parameters
    ----------
    images : iterable of str
        Paths of the files that may be images.
    others : mapping of str to str
        What else there is, and what it is. The path of a folder, which has nothing below it, ends with ``/``.
    """
    holding: set[str] = set()
    for folder in {path.rpartition("/")[0] for path in images}:
        holding.update(_upper_folders(folder))
    found: dict[str, Counter[str]] = {}
    for path, kind in others.items():
        folder = next((name for name in _upper_folders(path.rpartition("/")[0]) if name not in holding), "")
        if folder:
            found.setdefault(folder, Counter())[kind] += 1
    if not found:
        return ()
    texts = [f"{escape(folder)} ({_contents(kinds)})" for folder, kinds in sorted(found.items())]
    return (f"folders without images: {shortened(texts)}",)


def _upper_folders(folder: str) -> Iterator[str]:
    """Yield a folder and those it lies in, the uppermost first; of a deep folder only the upper levels."""
    return accumulate(folder.split("/")[:_DEEPEST_NOTED], "{}/{}".format)


_DEEPEST_NOTED = 8
EMPTY = "empty"  # a kind of what `folders_without_images` names


def _contents(kinds: Counter[str]) -> str:
    return ", ".join(kind if kind == EMPTY else f"{n:,} {kind}" for kind, n in sorted(kinds.items()))
