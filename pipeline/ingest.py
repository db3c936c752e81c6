"""From a source of pictures to a data set file, with every file accounted for.

found = ingested + rejected + ignored, always. Pictures are decoded by several threads, but written in the order of the
source, so the file is the same for any number of them. They are streamed into a temporary file beside the target,
which takes the target's place only when it is whole.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from pipeline import split as splitting
from pipeline.config import DataConfig, Geometry, Survey, resolve_geometry
from pipeline.dataset import FORMAT, VERSION, fingerprint, is_dataset
from pipeline.duplicates import conflicts, groups_of_equals, merge
from pipeline.errors import InputError
from pipeline.images import PictureError, from_array, is_gray, measure, open_picture, render
from pipeline.listing import escape
from pipeline.sources import Sample, Source, open_source
from pipeline.split import SPLITS

SURVEYED = 200
_CHUNK_BYTES = 1 << 20
_T = TypeVar("_T")
_R = TypeVar("_R")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class IngestReport:
    """What became of every file: `found` = `ingested` + ``len(rejected)`` + the sum of `ignored`."""

    target: str
    source: str
    kind: str
    found: int
    ingested: int
    rejected: tuple[tuple[str, str, str], ...]
    ignored: dict[str, int]
    geometry: Geometry
    classes: dict[str, int]
    unlabelled: int
    splits: dict[str, int]
    ready_made: bool
    duplicates: int
    naive_leaks: int
    leaks: tuple[str, ...]
    dropped: int
    conflicts: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class _Row:
    """One decoded picture, on its way into the file."""

    sample: Sample
    pixels: np.ndarray
    sha256: bytes
    size: tuple[int, int]
    kind: str


def ingest(
    source: str | Path | Source,
    target: str | Path,
    config: DataConfig | None = None,
    *,
    geometry: Geometry | None = None,
    into: str = "",
    jobs: int = 1,
    progress: Progress | None = None,
) -> IngestReport:
    """Decode all pictures of a source into a data set file.

    Parameters
    ----------
    source : str, Path or Source
        A location that `pipeline.sources.open_source` knows.
    target : str or Path
        The file to make. A data set already there is replaced, any other file is refused.
    config : DataConfig, optional
        Size, colour, fit, and how to split.
    geometry : Geometry, optional
        Overrides the size, colour and fit of `config`: for evaluating a model on new pictures.
    into : str, optional
        Put all labelled pictures into this split (``"test"``), instead of dividing them.
    jobs : int
        Number of threads that decode. The result does not depend on it.
    progress : callable, optional
        Called as ``progress(done, total)`` after every file.

    Returns
    -------
    IngestReport

    Raises
    ------
    InputError
        If the source, the target or the split cannot work; nothing is left at the target then.
    """
    config = config or DataConfig()
    target = Path(target)
    source = source if isinstance(source, Source) else open_source(source)
    _check_target(target, source)
    if not into:
        _check_early(source, config)
    geometry = geometry or resolve_geometry(config, survey(source, config.max_pixels))
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(descriptor)
    try:
        with h5py.File(name, "w") as file:
            report = _fill(file, source, str(target), config, geometry, into, jobs, progress)
        _settle(Path(name), target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return report


def survey(source: Source, max_pixels: int = DataConfig.max_pixels) -> Survey:
    """Look at up to `SURVEYED` pictures, evenly spread over the source, for what the ``"auto"`` rules need."""
    m = len(source.samples)
    sizes: set[tuple[int, int]] = set()
    gray = True
    for i in np.unique(np.linspace(0, m - 1, min(m, SURVEYED)).astype(int)):
        try:
            data = source.read(source.samples[i])
            if isinstance(data, bytes):
                sizes.add(measure(data, max_pixels=max_pixels))
                image = open_picture(data, max_pixels=max_pixels, draft=64).image
            else:
                image = from_array(data)
                sizes.add((image.height, image.width))
        except PictureError:
            continue
        gray = gray and is_gray(image)
    return Survey(m, tuple(sorted(sizes)), gray)


def _check_target(target: Path, source: Source) -> None:
    where = escape(target)
    if target.is_dir():
        raise InputError(f"{where}: is a folder; give the name of a file to make, such as {where}/data.h5")
    if target.exists() and not is_dataset(target):
        raise InputError(f"{where}: exists and is no data set, so it is not overwritten; give another name")
    folder = target.parent
    if not folder.is_dir():
        raise InputError(f"{where}: the folder {escape(folder)} does not exist; make it first, or give another name")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{where}: may not be written by this user; give another place")


def _check_early(source: Source, config: DataConfig) -> None:
    """Find what no decoding can mend, before any time is spent on it."""
    names = sorted({sample.label for sample in source.samples if sample.label})
    if names and not source.ready_made:
        index = {name: i for i, name in enumerate(names)}
        labels = np.array([index.get(sample.label, -1) for sample in source.samples])
        splitting.split(labels, names, validation=config.validation, test=config.test)


def _fill(
    file: h5py.File,
    source: Source,
    target: str,
    config: DataConfig,
    geometry: Geometry,
    into: str,
    jobs: int,
    progress: Progress | None,
) -> IngestReport:
    def prepare(sample: Sample) -> _Row | tuple[str, str, str]:
        return _decode(source, sample, geometry, config.max_pixels)

    total = len(source.samples)
    images = file.create_dataset(
        "images",
        shape=(total, *geometry.shape),
        maxshape=(None, *geometry.shape),
        dtype=np.uint8,
        chunks=(max(1, min(total, _CHUNK_BYTES // geometry.n_x)), *geometry.shape),
    )
    rejected = list(source.rejected)
    rows: list[_Row] = []
    columns: list[tuple[Sample, bytes, bytes, tuple[int, int], str]] = []
    for done, result in enumerate(_map_in_order(prepare, source.samples, jobs), start=1):
        if isinstance(result, _Row):
            digest = hashlib.blake2b(result.pixels.tobytes(), digest_size=16).digest()
            columns.append((result.sample, result.sha256, digest, result.size, result.kind))
            rows.append(result)
        elif config.strict:
            raise InputError(f"{result[0]}: {result[2]} ({result[1]}); nothing was ingested, since strict is on")
        else:
            rejected.append(result)
        if len(rows) * geometry.n_x >= _CHUNK_BYTES:
            _flush(images, rows, len(columns))
        if progress:
            progress(done, total)
    _flush(images, rows, len(columns))
    images.resize(len(columns), axis=0)
    if not columns:
        path, _code, message = rejected[0]
        raise InputError(
            f"{source.location}: none of the {len(rejected)} files is a readable picture; the first, {path}, {message}"
        )
    return _finish(file, source, target, config, geometry, into, columns, rejected)


def _decode(source: Source, sample: Sample, geometry: Geometry, max_pixels: int) -> _Row | tuple[str, str, str]:
    try:
        data = source.read(sample)
        if isinstance(data, bytes):
            picture = open_picture(data, max_pixels=max_pixels)
            image, kind = picture.image, f"{picture.format} {picture.mode}"
        else:
            image = from_array(data)
            kind, data = f"array {image.mode}", data.tobytes()
    except PictureError as error:
        return (sample.path, error.code, str(error))
    size = (image.height, image.width)
    return _Row(sample, render(image, geometry), hashlib.sha256(data).digest(), size, kind)


def _map_in_order(function: Callable[[_T], _R], items: Iterable[_T], jobs: int) -> Iterator[_R]:
    """Map with several threads, yielding in the order of the items, and never far ahead of the taker."""
    if jobs <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(jobs) as pool:
        waiting: deque[Any] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 4 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _flush(images: h5py.Dataset, rows: list[_Row], end: int) -> None:
    if rows:
        images[end - len(rows) : end] = np.stack([row.pixels for row in rows])
        rows.clear()


def _finish(
    file: h5py.File,
    source: Source,
    target: str,
    config: DataConfig,
    geometry: Geometry,
    into: str,
    columns: list[tuple[Sample, bytes, bytes, tuple[int, int], str]],
    rejected: list[tuple[str, str, str]],
) -> IngestReport:
    """Split what was decoded, and write everything but the images."""
    samples, sha256, digests, sizes, kinds = zip(*columns, strict=True)
    classes, labels, notes = _classes(source, samples)
    equals = groups_of_equals(np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 16))
    group = merge(len(labels), equals)
    splits, leaks = _split(labels, classes, samples, group, source.ready_made, config, into)
    paths = np.array([sample.path for sample in samples], dtype=object)
    notes += _split_notes(splits, labels, classes)
    report = IngestReport(
        target=target,
        source=source.location,
        kind=source.kind,
        found=len(samples) + len(rejected) + sum(source.ignored.values()),
        ingested=len(samples),
        rejected=tuple(rejected),
        ignored=dict(source.ignored),
        geometry=geometry,
        classes={name: int((labels == c).sum()) for c, name in enumerate(classes)},
        unlabelled=int((labels < 0).sum()),
        splits={name: int((splits == code).sum()) for code, name in enumerate(SPLITS)},
        ready_made=source.ready_made,
        duplicates=int((equals >= 0).sum() - len(np.unique(equals[equals >= 0]))),
        naive_leaks=_naive_leaks(labels, classes, group, config),
        leaks=tuple(paths[leaks]),
        dropped=int((splits == splitting.DROPPED).sum()),
        conflicts=tuple(tuple(paths[rows]) for rows in conflicts(equals, labels)),
        notes=(*source.notes, *notes),
    )
    text = h5py.string_dtype("utf-8")
    file.create_dataset("classes", data=classes, dtype=text, shape=(len(classes),))
    file.create_dataset("labels", data=labels.astype(np.int32))
    file.create_dataset("split", data=splits)
    file.create_dataset("group", data=group.astype(np.int32))
    file.create_dataset("paths", data=paths, dtype=text)
    file.create_dataset("sha256", data=np.frombuffer(b"".join(sha256), dtype=np.uint8).reshape(-1, 32))
    file.create_dataset("sizes", data=np.array(sizes, dtype=np.int32).reshape(-1, 2))
    names, codes = np.unique(np.array(kinds, dtype=str), return_inverse=True)
    file.create_dataset("kinds", data=names.astype(object), dtype=text)
    file.create_dataset("kind", data=codes.astype(np.uint16))
    for i, name in enumerate(("path", "code", "message")):
        file.create_dataset(f"rejected/{name}", data=[row[i] for row in rejected], dtype=text, shape=(len(rejected),))
    counts = {name: getattr(report, name) for name in ("found", "ingested", "ignored", "source", "kind", "ready_made")}
    file.attrs.update(
        format=FORMAT,
        version=VERSION,
        geometry=geometry.to_json(),
        config=json.dumps(dataclasses.asdict(config)),
        counts=json.dumps({**counts, "rejected": len(rejected)}),
        fingerprint=fingerprint(file),
    )
    return report


def _classes(source: Source, samples: Iterable[Sample]) -> tuple[list[str], np.ndarray, list[str]]:
    """Number the classes that have pictures; return (names, labels of shape (m,), notes)."""
    named = {sample.label for sample in source.samples if sample.label}
    left = {sample.label for sample in samples if sample.label}
    order = [name for name in source.classes if name in named] or sorted(named)
    classes = [name for name in order if name in left]
    notes = [f"class {name!r} has no readable picture, and is left out" for name in order if name not in left]
    index = {name: i for i, name in enumerate(classes)}
    labels = np.array([index.get(sample.label, -1) for sample in samples], dtype=np.int64)
    if not classes:
        notes.append("no class folders: all pictures are unlabelled")
    return classes, labels, notes


def _split(
    labels: np.ndarray,
    classes: list[str],
    samples: Iterable[Sample],
    group: np.ndarray,
    ready_made: bool,
    config: DataConfig,
    into: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return (the split of every picture, the indices of training pictures that leak into a ready-made split)."""
    nothing = np.empty(0, dtype=np.intp)
    if not len(classes):
        return np.full(len(labels), splitting.UNLABELLED, dtype=np.uint8), nothing
    if into:
        code = SPLITS.index(into)
        return np.where(labels < 0, splitting.UNLABELLED, code).astype(np.uint8), nothing
    shares: dict[str, Any] = {
        "validation": config.validation,
        "test": config.test,
        "seed": config.split_seed,
        "groups": group,
    }
    if not ready_made:
        return splitting.split(labels, classes, **shares), nothing
    given = np.array([SPLITS.index(sample.split or "train") for sample in samples], dtype=np.uint8)
    given[labels < 0] = splitting.UNLABELLED
    leaks = splitting.leaked(given, group)
    if config.drop_leaks:
        given[leaks] = splitting.DROPPED
    return splitting.complete(given, labels, classes, **shares), leaks


def _naive_leaks(labels: np.ndarray, classes: list[str], group: np.ndarray, config: DataConfig) -> int:
    """Count the held-out pictures that a random split, blind to groups, would have leaked into training."""
    if np.bincount(labels[labels >= 0], minlength=2).size < 2 or (group < 0).all():
        return 0
    naive = splitting.complete(
        np.zeros(len(labels), dtype=np.uint8),
        labels,
        classes,
        validation=config.validation,
        test=config.test,
        seed=config.split_seed,
    )
    trained = np.unique(group[(naive == splitting.TRAIN) & (group >= 0)])
    held_out = (naive == splitting.VALIDATION) | (naive == splitting.TEST)
    return int((held_out & np.isin(group, trained)).sum())


def _split_notes(splits: np.ndarray, labels: np.ndarray, classes: list[str]) -> list[str]:
    notes = []
    for part in (splitting.TRAIN, splitting.VALIDATION, splitting.TEST):
        lacking = splitting.classes_without(splits, labels, len(classes), part)
        if len(lacking) and (splits == part).any():
            shown = ", ".join(repr(classes[c]) for c in lacking[:5])
            more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
            notes.append(f"no {SPLITS[part]} pictures of {shown}{more}")
    return notes


def _settle(part: Path, target: Path) -> None:
    """Put a finished file in its place: on disk first, then under its name."""
    part.chmod(0o666 & ~_umask())
    for path, mode in ((part, os.O_RDWR), (target.parent, os.O_RDONLY)):
        descriptor = os.open(path, mode)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if path is part:
            part.replace(target)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
