"""Decoded chunks on disk, until the data set is complete: an interrupted ingestion goes on from there."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np

from pipeline.images.geometry import Geometry
from pipeline.ingestion.decoding import DecodedChunk, SampleChunk
from pipeline.sources.source import Source

SECONDS_NOT_WORTH_KEEPING = 2.0

_VERSION = 2


def parts_folder(target: Path) -> Path:
    """Return where the parts of an unfinished data set are kept."""
    return target.parent / f".{target.name}.parts"


class Kept:
    """Parts that are kept on disk, each under the number of its chunk and with all that it depends on.

    Parameters
    ----------
    target : Path
        The data set to be made; the parts lie in a hidden folder beside it.
    source : Source
        Without stamps, nothing is kept.
    geometry, max_pixels
        As the parts are decoded.
    """

    def __init__(self, target: Path, source: Source, geometry: Geometry, max_pixels: int) -> None:
        self._folder = parts_folder(target)
        self._stamp = source.stamp
        self._how = repr((_VERSION, geometry.to_json(), max_pixels, source.kind))
        self._begin = time.monotonic()
        self._resumes = self._stamp is not None and self._folder.is_dir()
        self._keys: dict[int, str] = {}
        self.resumed = 0

    def holds(self, chunk: SampleChunk) -> bool:
        """Tell whether a part is there whose images have not changed; ask this before the chunk is decoded."""
        if self._stamp is None or (not self._resumes and self._elapsed < SECONDS_NOT_WORTH_KEEPING):
            return False
        self._keys[chunk.number] = self._key(chunk)
        part = self._read(chunk.number, "key") if self._resumes else None
        held = part is not None and str(part["key"]) == self._keys[chunk.number]
        self.resumed += len(chunk.samples) if held else 0
        return held

    def load(self, number: int) -> DecodedChunk | None:
        """Return a part; None: it is damaged."""
        columns = self._read(number, *DecodedChunk.__dataclass_fields__)
        return DecodedChunk(**columns) if columns else None

    def save(self, number: int, part: DecodedChunk) -> None:
        """Keep a part, if it took long enough to get here; where the disk is full, do without."""
        key = self._keys.pop(number, None)
        if key is None or self._elapsed < SECONDS_NOT_WORTH_KEEPING:
            return
        columns = {name: getattr(part, name) for name in DecodedChunk.__dataclass_fields__}
        temporary = self._path(number).with_suffix(".part")
        with contextlib.suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            with temporary.open("wb") as file:
                np.savez(file, key=key, **columns)
            temporary.replace(self._path(number))

    def remove(self) -> None:
        """Throw all parts away."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._begin

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.npz"

    def _key(self, chunk: SampleChunk) -> str:
        """Return what a part depends on, as a digest: how it is decoded, and the names and stamps of its files."""
        assert self._stamp
        facts = [(sample.path, sample.key, self._stamp(sample)) for sample in chunk.samples]
        return hashlib.sha256(f"{self._how}{facts!r}".encode(errors="surrogateescape")).hexdigest()

    def _read(self, number: int, *names: str) -> dict[str, np.ndarray] | None:
        """Read some arrays of a part; zip files have a checksum for each."""
        try:
            with np.load(self._path(number), allow_pickle=False) as file:
                return {name: file[name] for name in names}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None
