"""A chunk of a source becomes a part of a data set: decoded wherever there is room, and kept until all are there.

A chunk is decoded as a whole by a function of nothing but its pictures and the geometry, so it does not matter who
does it, or how often. Parts are kept in a hidden folder beside the target while a longer ingestion goes on; one that
is interrupted takes them up again.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.data.config import Geometry
from pipeline.images.decode import PictureError, from_array, open_picture, render
from pipeline.images.statistics import MEASURES, THUMBNAIL_SIDE, glance, measure
from pipeline.sources.source import Sample, Source

DIGEST_BYTES = 16
CHUNK = 256  # pictures; fewer where they are large
_CHUNK_BYTES = 1 << 26
SECONDS_NOT_WORTH_KEEPING = 2.0
_VERSION = 2
Rejected = tuple[str, str, str]  # path, code, message


class Chunk(NamedTuple):
    """A run of samples that is decoded as a whole."""

    number: int
    samples: Sequence[Sample]

    def __str__(self) -> str:
        return self.samples[0].path


def chunks(samples: Sequence[Sample], geometry: Geometry) -> Iterator[Chunk]:
    """Cut a source into chunks."""
    size = max(1, min(CHUNK, _CHUNK_BYTES // geometry.n_x))
    for number, start in enumerate(range(0, len(samples), size)):
        yield Chunk(number, samples[start : start + size])


@dataclass(frozen=True)
class Part:
    """What became of a run of samples, a column for each fact.

    Attributes
    ----------
    at : ndarray of shape (n,), int
        Which of the samples are pictures, ascending; all other columns speak of these.
    pixels : ndarray of shape (n, height, width, channels), uint8
    sha256 : ndarray of shape (n, 32), uint8
        Of the source bytes.
    digests : ndarray of shape (n, 16), uint8
        Equal where the pixels are.
    sizes : ndarray of shape (n, 2), int32
    kinds : ndarray of shape (n,), str
    measures : ndarray of shape (n, 5), float32
    thumbnail_of : ndarray of shape (k,), int
        Which of the n have a thumbnail, ascending.
    thumbnails : ndarray of shape (k, 32, 32), uint8
    rejected : ndarray of shape (r, 3), str
        Path, code and message of the samples that are no pictures.
    """

    at: np.ndarray
    pixels: np.ndarray
    sha256: np.ndarray
    digests: np.ndarray
    sizes: np.ndarray
    kinds: np.ndarray
    measures: np.ndarray
    thumbnail_of: np.ndarray
    thumbnails: np.ndarray
    rejected: np.ndarray

    @property
    def found(self) -> int:
        """Return how many samples this is about."""
        return len(self.at) + len(self.rejected)


def join(parts: Sequence[Part]) -> Part:
    """Put parts that follow one another together."""
    if len(parts) == 1:
        return parts[0]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in Part.__dataclass_fields__}
    found = np.cumsum([0, *(part.found for part in parts)])
    pictures = np.cumsum([0, *(len(part.at) for part in parts)])
    columns["at"] = np.concatenate([part.at + start for part, start in zip(parts, found[:-1], strict=True)])
    columns["thumbnail_of"] = np.concatenate(
        [part.thumbnail_of + start for part, start in zip(parts, pictures[:-1], strict=True)]
    )
    return Part(**columns)


def select(part: Part, wanted: np.ndarray) -> Part:
    """Leave out pictures; `wanted` is of shape (n,), bool."""
    place = np.cumsum(wanted) - 1
    large = wanted[part.thumbnail_of]
    rows = ("at", "pixels", "sha256", "digests", "sizes", "kinds", "measures")
    return replace(
        part,
        **{name: getattr(part, name)[wanted] for name in rows},
        thumbnail_of=place[part.thumbnail_of[large]],
        thumbnails=part.thumbnails[large],
    )


def decode_samples(
    read: Callable[[Sample], bytes | np.ndarray], geometry: Geometry, max_pixels: int, samples: Iterable[Sample]
) -> Part:
    """Decode some samples in this thread; see `pipeline.sources.source.Source` for `read`."""
    at, pixels, sha256, digests, sizes, kinds, glances = [], [], [], [], [], [], []
    rejected: list[Rejected] = []
    for i, sample in enumerate(samples):
        try:
            data = read(sample)
            if isinstance(data, bytes):
                picture = open_picture(data, max_pixels=max_pixels, draft=geometry)
                image, size, frame = picture.image, picture.size, picture.frame
                kind = f"{picture.format} {picture.mode}"
            else:
                image, frame = from_array(data), None
                size = (image.height, image.width)
                kind, data = f"array {image.mode}", data.tobytes()
        except PictureError as error:
            rejected.append((sample.path, error.code, str(error)))
            continue
        rendered = render(image, geometry, frame)
        at.append(i)
        pixels.append(rendered)
        sha256.append(hashlib.sha256(data).digest())
        digests.append(digest(rendered))
        sizes.append(size)
        kinds.append(kind)
        is_whole = (
            image.size == (geometry.width, geometry.height) and image.mode == ("L", "RGB")[geometry.channels == 3]
        )
        glances.append(glance(image, size, rendered if is_whole else None))
    large = [i for i, found in enumerate(glances) if found.thumbnail is not None]
    return Part(
        at=np.array(at, np.int32),
        pixels=np.array(pixels, np.uint8).reshape(-1, *geometry.shape),
        sha256=np.frombuffer(b"".join(sha256), np.uint8).reshape(-1, 32),
        digests=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES),
        sizes=np.array(sizes, np.int32).reshape(-1, 2),
        kinds=np.array(kinds, str),
        measures=measure(glances).reshape(-1, len(MEASURES)),
        thumbnail_of=np.array(large, np.int32),
        thumbnails=np.array([glances[i].thumbnail for i in large], np.uint8).reshape(
            -1, THUMBNAIL_SIDE, THUMBNAIL_SIDE
        ),
        rejected=np.array(rejected, str).reshape(-1, 3),
    )


def decode_chunk(
    read: Callable[[Sample], bytes | np.ndarray], geometry: Geometry, max_pixels: int, chunk: Chunk
) -> Part:
    """Decode a chunk in this thread."""
    return decode_samples(read, geometry, max_pixels, chunk.samples)


def digest(pixels: np.ndarray) -> bytes:
    """Return 16 bytes that are equal where pixels are."""
    return hashlib.blake2b(pixels.tobytes(), digest_size=DIGEST_BYTES).digest()


def folder_of(target: Path) -> Path:
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
        self._folder = folder_of(target)
        self._stamp = source.stamp
        self._how = repr((_VERSION, geometry.to_json(), max_pixels, source.kind))
        self._begin = time.monotonic()
        self._resumes = self._stamp is not None and self._folder.is_dir()
        self._keys: dict[int, str] = {}
        self.taken_up = 0

    def holds(self, chunk: Chunk) -> bool:
        """Tell whether a part is there whose pictures have not changed; ask this before the chunk is decoded."""
        if self._stamp is None or (not self._resumes and self._elapsed < SECONDS_NOT_WORTH_KEEPING):
            return False
        self._keys[chunk.number] = self._key(chunk)
        part = self._read(chunk.number, "key") if self._resumes else None
        held = part is not None and str(part["key"]) == self._keys[chunk.number]
        self.taken_up += len(chunk.samples) if held else 0
        return held

    def load(self, number: int) -> Part | None:
        """Return a part; None: it is damaged."""
        columns = self._read(number, *Part.__dataclass_fields__)
        return Part(**columns) if columns else None

    def save(self, number: int, part: Part) -> None:
        """Keep a part, if it took long enough to get here; where the disk is full, do without."""
        key = self._keys.pop(number, None)
        if key is None or self._elapsed < SECONDS_NOT_WORTH_KEEPING:
            return
        columns = {name: getattr(part, name) for name in Part.__dataclass_fields__}
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

    def _key(self, chunk: Chunk) -> str:
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
