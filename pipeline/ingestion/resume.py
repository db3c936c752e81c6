"""Decoded chunks on disk, until the data set is complete: an interrupted ingestion resumes from them."""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.files.store import Store, store_path
from pipeline.images.geometry import Geometry
from pipeline.ingestion.decoding import DecodedChunk, SampleChunk
from pipeline.sources.source import Source

SECONDS_NOT_WORTH_STORING = 2.0

_VERSION = 3


class ChunkStore:
    """Decoded chunks in the store of a data set file, each under a hash of all that it depends on.

    If the store cannot be written, or another process has it open, the ingestion runs without it.

    Parameters
    ----------
    target : Path
        The data set file to create.
    source : Source
        Without stamps, nothing is stored.
    geometry, max_pixels
        As the chunks are decoded.

    Attributes
    ----------
    resumed : int
        Number of samples whose chunks were taken from the store.
    """

    def __init__(self, target: Path, source: Source, geometry: Geometry, max_pixels: int) -> None:
        self._target, self._stamp = target, source.stamp
        self._how = repr((_VERSION, geometry.to_json(), max_pixels, source.kind))
        self._begin = time.monotonic()
        self._store = self._open() if store_path(target).exists() else None
        self._stored = self._store.keys() if self._store else set()
        self._keys: dict[int, str] = {}
        self.resumed = 0

    def __enter__(self) -> ChunkStore:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._store:
            self._store.close()

    def _open(self) -> Store | None:
        try:
            return Store(self._target)
        except InputError:
            return None

    def has(self, chunk: SampleChunk) -> bool:
        """Tell whether a chunk is stored whose files have not changed; ask this before the chunk is decoded."""
        if self._stamp is None or (not self._stored and self._elapsed < SECONDS_NOT_WORTH_STORING):
            return False
        key = self._keys[chunk.number] = self._key(chunk)
        return key in self._stored

    def get(self, chunk: SampleChunk) -> DecodedChunk | None:
        """Return a chunk that `has` found; None: it is damaged."""
        found = self._store.get(self._keys[chunk.number]) if self._store else None
        if found is None:
            return None
        self.resumed += len(chunk.samples)
        return _unpacked(*found)

    def put(self, chunk: SampleChunk, decoded: DecodedChunk) -> None:
        """Store a chunk, if the ingestion takes long enough; if the disk is full, do without."""
        key = self._keys.pop(chunk.number, None)
        if key is None or self._elapsed < SECONDS_NOT_WORTH_STORING:
            return
        self._store = self._store or self._open()
        if self._store:
            with contextlib.suppress(OSError):
                self._store.put(key, *_packed(decoded))

    def remove(self) -> None:
        """Remove all stored chunks."""
        if self._store:
            self._store.remove()

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._begin

    def _key(self, chunk: SampleChunk) -> str:
        """Return a hash of what a chunk depends on: how it is decoded, and the names and stamps of its files."""
        assert self._stamp
        facts = [(sample.path, sample.key, self._stamp(sample)) for sample in chunk.samples]
        return hashlib.sha256(f"{self._how}{facts!r}".encode(errors="surrogateescape")).hexdigest()


def _packed(decoded: DecodedChunk) -> tuple[list[Any], bytes]:
    """Return (name, dtype, shape) of each column, and the bytes of all."""
    columns = {name: getattr(decoded, name) for name in DecodedChunk.__dataclass_fields__}
    facts = [[name, column.dtype.str, column.shape] for name, column in columns.items()]
    return facts, b"".join(column.tobytes() for column in columns.values())


def _unpacked(facts: list[Any], data: bytes) -> DecodedChunk:
    columns, start = {}, 0
    for name, dtype, shape in facts:
        columns[name] = np.frombuffer(data, dtype, math.prod(shape), start).reshape(shape)
        start += columns[name].nbytes
    return DecodedChunk(**columns)
