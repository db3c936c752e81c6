"""Cut a stream of items into chunks: each is read, classified, stored and resumed as a whole."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pipeline.files.names import escape
from pipeline.prediction.inputs import DatasetSlice, Item, ItemBatch

CHUNK_BYTES = 1 << 23  # of decoded images: large matrix products are fast, but memory is limited
FILES_IN_CHUNK = (64, 256)  # on average, at least and at most
IMAGES_IN_SLICE = (64, 4096)  # images of a data set take less time to read
FILES_IN_PIECE = 8  # that one thread reads at a time


class ItemChunk(NamedTuple):
    """Items that are classified as a whole; `key` distinguishes them, their names and true labels from others."""

    key: str
    items: ItemBatch

    def __str__(self) -> str:
        return f"{escape(self.items.path)}" if isinstance(self.items, DatasetSlice) else self.items[0].name


def sizes(n_x: int) -> tuple[int, int]:
    """Return how many files, on average, and how many images of a data set are a chunk, if an image has n_x values."""
    n_files, n_images = (max(least, min(most, CHUNK_BYTES // n_x)) for least, most in (FILES_IN_CHUNK, IMAGES_IN_SLICE))
    return n_files, n_images


def split_into_chunks(items: Iterable[Item | DatasetSlice], n_x: int) -> Iterator[ItemChunk]:
    """Cut a stream into chunks: a data set at fixed positions, other items by their names.

    A chunk of files ends before a name whose CRC-32 is a multiple of some number. If a file is added or removed, the
    chunks around it change, and all others stay what they were, although every file after it has another position
    (content-defined chunking, as in Muthitacharoen et al. 2001, "A low-bandwidth network file system").

    Parameters
    ----------
    items : iterable of Item and DatasetSlice
    n_x : int
        Values of an image, as the network sees it.
    """
    times: Counter[str] = Counter()
    for batch in _item_batches(items, *sizes(n_x)):
        key = key_of(batch)
        times[key] += 1  # the same files in the same order again are a chunk of their own
        yield ItemChunk(key if times[key] == 1 else f"{key}-{times[key]}", batch)


def _item_batches(items: Iterable[Item | DatasetSlice], n_files: int, n_images: int) -> Iterator[ItemBatch]:
    least, most, one_in = n_files // 2, 2 * n_files, n_files // 2  # about n_files on average
    batch: list[Item] = []
    for item in items:
        ends = (
            isinstance(item, DatasetSlice)
            or len(batch) == most
            or (len(batch) >= least and zlib.crc32(item.name.encode()) % one_in == 0)
        )
        if batch and ends:
            yield batch
            batch = []
        if isinstance(item, DatasetSlice):
            yield from (item[start : start + n_images] for start in range(0, len(item), n_images))
        else:
            batch.append(item)
    if batch:
        yield batch


def key_of(items: ItemBatch) -> str:
    """Return 32 hexadecimal digits that distinguish items, their names and true labels from others."""
    if isinstance(items, DatasetSlice):
        text = f"{items.path}\1{items.prefix}\1{items.start}\1{items.stop}"
    else:
        text = "\0".join(f"{item.path}\1{item.name}\1{item.true_label}\1{item.key}" for item in items)
    return hashlib.sha256(text.encode("utf-8", errors="surrogateescape")).hexdigest()[:32]


def pieces(chunk: ItemChunk) -> list[ItemBatch]:
    """Cut a chunk into what one thread reads at a time."""
    items = chunk.items
    if isinstance(items, DatasetSlice):
        return [items]
    return [items[start : start + FILES_IN_PIECE] for start in range(0, len(items), FILES_IN_PIECE)]


def located(chunk: ItemChunk) -> ItemChunk:
    """Return a chunk with absolute paths: whoever works on it may be in another folder."""
    items = chunk.items
    if isinstance(items, DatasetSlice):
        return chunk._replace(items=replace(items, path=_absolute(items.path)))
    absolute: dict[Path, Path] = {}  # many items may lie in one archive
    for item in items:
        if item.path not in absolute:
            absolute[item.path] = _absolute(item.path)
    return chunk._replace(items=[item._replace(path=absolute[item.path]) for item in items])


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100
