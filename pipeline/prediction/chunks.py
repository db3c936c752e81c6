"""Cut a stream of items into chunks that are done, stored and resumed as a whole."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pipeline.files.names import escape
from pipeline.prediction.inputs import DatasetSlice, Item, ItemBatch

LEAST, MOST, ONE_IN = 512, 2048, 512  # files in a chunk: about 1,024

CHUNK_OF_SLICE = 16_384


class ItemChunk(NamedTuple):
    """Items that are done, and done again, as a whole; `key` tells them, their names and true labels from others."""

    key: str
    items: ItemBatch

    def __str__(self) -> str:
        return f"{escape(self.items.path)}" if isinstance(self.items, DatasetSlice) else self.items[0].name


def split_into_chunks(items: Iterable[Item | DatasetSlice]) -> Iterator[ItemChunk]:
    """Cut a stream into chunks: a run by the places of its images, other items where a name says so.

    So one file more or less makes another chunk or two of those around it, and leaves all others what they were
    (content-defined chunking, as in Muthitacharoen et al. 2001, "A low-bandwidth network file system").
    """
    times: Counter[str] = Counter()
    for part in _batches(items):
        key = key_of(part)
        times[key] += 1  # where the same files are named in the same order again, each time is a chunk of its own
        yield ItemChunk(key if times[key] == 1 else f"{key}-{times[key]}", part)


def _batches(items: Iterable[Item | DatasetSlice]) -> Iterator[ItemBatch]:
    part: list[Item] = []
    for item in items:
        ends = isinstance(item, DatasetSlice) or (len(part) >= LEAST and zlib.crc32(item.name.encode()) % ONE_IN == 0)
        if part and (ends or len(part) == MOST):
            yield part
            part = []
        if isinstance(item, DatasetSlice):
            yield from (item[start : start + CHUNK_OF_SLICE] for start in range(0, len(item), CHUNK_OF_SLICE))
        else:
            part.append(item)
    if part:
        yield part


def key_of(items: ItemBatch) -> str:
    """Return 32 hexadecimal digits that tell items, their names and true labels from others."""
    if isinstance(items, DatasetSlice):
        text = f"{items.path}\1{items.prefix}\1{items.start}\1{items.stop}"
    else:
        text = "\0".join(f"{item.path}\1{item.name}\1{item.true_label}\1{item.key}" for item in items)
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:32]
