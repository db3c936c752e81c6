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
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from model.hdf5 import attribute, read_text, write_attribute
from pipeline import split as splitting
from pipeline.config import DataConfig, Geometry, Survey, resolve_geometry
from pipeline.dataset import FORMAT, VERSION, Dataset, fingerprint, is_dataset
from pipeline.division import divide
from pipeline.errors import InputError
from pipeline.images import PictureError, from_array, is_gray, measure, open_picture, render
from pipeline.ingest_report import IngestReport, Outcome, make_report, split_notes, write_rejected
from pipeline.listing import count, escape
from pipeline.looks import look_at
from pipeline.samples import Sample, Source
from pipeline.sources import open_source
from pipeline.split import SPLITS
from pipeline.table import DIGEST_BYTES, Row, Table, digest, read_table, write_table
from pipeline.writing import Stream, settle, temporary

__all__ = ["IngestReport", "digest", "ingest", "survey", "write_rejected"]

SURVEYED = 200
_CHUNK_BYTES = 1 << 20
_COUNTS_BYTES = 30_000
_T = TypeVar("_T")
_R = TypeVar("_R")
Progress = Callable[[int, int], None]


def ingest(
    source: str | Path | Source,
    target: str | Path,
    config: DataConfig | None = None,
    *,
    geometry: Geometry | None = None,
    into: str = "",
    append: bool = False,
    dry_run: bool = False,
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
        Put all labelled pictures into this split (``"test"``), instead of dividing them; ``"given"``: leave all in the
        split they come with, and those that have none in training. One class is enough then.
    append : bool
        Add to the data set at `target`: it keeps its geometry, and its pictures their splits. A picture that is there
        already, under the same path and with the same bytes, is passed over.
    dry_run : bool
        Do everything but put the file in its place: the report says what would happen.
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
    if into and into not in (*SPLITS[:3], "given"):
        raise InputError(f"into: {into!r} is unknown; choose one of {', '.join(SPLITS[:3])}, given")
    target = Path(target)
    _check_target(target, append)
    source = source if isinstance(source, Source) else open_source(source, config.group_by)
    if append:
        with Dataset.open(target) as old:
            geometry = old.geometry
    elif not into:
        _check_early(source, config)
    geometry = geometry or resolve_geometry(config, survey(source, config.max_pixels))
    name = temporary(target, dry_run)
    stream = Stream(name, "r+b")

    def tick(done: int, total: int) -> None:
        stream.check()
        if progress:
            progress(done, total)

    try:
        with stream:
            if append:
                with target.open("rb") as old_file:
                    shutil.copyfileobj(old_file, stream)
            with h5py.File(stream, "r+" if append else "w", libver=("v110", "v110")) as file:
                table, known = read_table(file) if append else (Table(), set())
                done = _fill(file, table, known, source, geometry, config, jobs, tick)
                report = _finish(file, table, source, done, geometry, config, into, str(target), append)
            stream.check()
        if dry_run:
            name.unlink()
        else:
            settle(name, target)
    except BaseException as error:
        name.unlink(missing_ok=True)
        failed = stream.error or (error if isinstance(error, OSError) else None)
        if failed is None or isinstance(error, KeyboardInterrupt):
            raise
        why = failed.strerror or failed
        raise InputError(f"{escape(target)}: cannot be written ({why}); make room, or give another place") from None
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


def _check_target(target: Path, append: bool) -> None:
    where = escape(target)
    try:
        target.stat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InputError(f"{where}: cannot be written ({error.strerror}); give another place") from None
    if target.is_dir():
        raise InputError(f"{where}: is a folder; give the name of a file to make, such as {where}/data.h5")
    if append and not target.exists():
        raise InputError(f"{where}: there is no data set to append to; leave out append to make one")
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
    table: Table,
    known: set[tuple[str, bytes]],
    source: Source,
    geometry: Geometry,
    config: DataConfig,
    jobs: int,
    progress: Progress,
) -> Outcome:
    """Decode every sample, write the pictures, and note the rest in the table."""

    def prepare(sample: Sample) -> Row | tuple[str, str, str]:
        return _decode(source, sample, geometry, config.max_pixels)

    total, before = len(source.samples), len(table)
    images = _image_dataset(file, before + total, geometry)
    rejected, present = list(source.rejected), 0
    waiting: list[np.ndarray] = []
    for done, result in enumerate(_map_in_order(prepare, source.samples, jobs), start=1):
        if not isinstance(result, Row):
            rejected.append(result)
        elif (result.sample.path, result.sha256) in known:
            present += 1
        else:
            table.add(result)
            waiting.append(result.pixels)
        if rejected and config.strict:
            path, code, message = rejected[0]
            raise InputError(f"{path}: {message} ({code}); nothing was ingested, since strict is on")
        if len(waiting) * geometry.n_x >= _CHUNK_BYTES:
            _flush(images, waiting, len(table))
        progress(done, total)
    _flush(images, waiting, len(table))
    images.resize(len(table), axis=0)
    ingested = len(table) - before
    if not ingested and not present:
        path, _code, message = rejected[0]
        raise InputError(
            f"{source.location}: none of the {len(rejected)} files is a readable picture; the first, {path}, {message}"
        )
    ignored = dict(source.ignored)
    if present:
        ignored["already in the data set"] = present
    return Outcome(ingested, tuple(rejected), ignored)


def _image_dataset(file: h5py.File, m: int, geometry: Geometry) -> h5py.Dataset:
    if "images" in file:
        file["images"].resize(m, axis=0)
        return file["images"]
    chunk = max(1, min(m, _CHUNK_BYTES // geometry.n_x))
    return file.create_dataset(
        "images",
        shape=(m, *geometry.shape),
        maxshape=(None, *geometry.shape),
        dtype=np.uint8,
        chunks=(chunk, *geometry.shape),
    )


def _decode(source: Source, sample: Sample, geometry: Geometry, max_pixels: int) -> Row | tuple[str, str, str]:
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
    pixels = render(image, geometry)
    return Row(sample, pixels, hashlib.sha256(data).digest(), size, kind, look_at(image))


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


def _flush(images: h5py.Dataset, waiting: list[np.ndarray], end: int) -> None:
    if waiting:
        images[end - len(waiting) : end] = np.stack(waiting)
        waiting.clear()


def _finish(
    file: h5py.File,
    table: Table,
    source: Source,
    done: Outcome,
    geometry: Geometry,
    config: DataConfig,
    into: str,
    target: str,
    append: bool,
) -> IngestReport:
    """Divide what was decoded, and write everything but the images."""
    first = tuple(read_text(file["classes"])) if append else source.classes
    classes, labels, notes = _classes(first, [sample.label for sample in source.samples], table.samples)
    division = divide(
        labels,
        classes,
        np.array([SPLITS.index(s.split) if s.split else splitting.OPEN for s in table.samples], dtype=np.uint8),
        [sample.group for sample in table.samples],
        np.frombuffer(b"".join(table.digests), dtype=np.uint8).reshape(-1, DIGEST_BYTES),
        table.thumbnails,
        config,
        into=into,
        lenient=append,
    )
    if not append:
        notes += split_notes(division.split, labels, classes)
    write_table(file, table, classes, labels, division, done.rejected, append)
    counts = {
        "found": done.ingested + len(done.rejected) + sum(done.ignored.values()),
        "ingested": done.ingested,
        "rejected": len(done.rejected),
        "ignored": done.ignored,
        "source": source.location,
        "kind": source.kind,
        "ready_made": source.ready_made,
    }
    facts = {"config": json.dumps(dataclasses.asdict(config)), "counts": "[]"}
    if append:
        facts = {name: str(attribute(file, name)) for name in facts}
    history = [*json.loads(facts["counts"]), counts]
    while len(json.dumps(history)) > _COUNTS_BYTES:  # the oldest go
        history.pop(0)
    facts["counts"] = json.dumps(history)
    facts |= {"format": FORMAT, "geometry": geometry.to_json(), "fingerprint": fingerprint(file)}
    for name, text in facts.items():
        write_attribute(file, name, text)
    file.attrs["version"] = VERSION
    return make_report(table, classes, labels, division, source, done, geometry, target, notes, facts["fingerprint"])


def _classes(
    first: Sequence[str], named: Iterable[str], samples: Iterable[Sample]
) -> tuple[list[str], np.ndarray, list[str]]:
    """Number the classes that have pictures, those of `first` first; return (names, labels of shape (m,), notes)."""
    left = {sample.label for sample in samples} - {""}
    wanted = (set(named) | left) - {""}
    order = [*(name for name in first if name in wanted), *sorted(wanted - set(first))]
    classes = [name for name in order if name in left]
    notes = [f"class {name!r} has no readable picture, and is left out" for name in order if name not in left]
    index = {name: i for i, name in enumerate(classes)}
    labels = np.array([index.get(sample.label, -1) for sample in samples], dtype=np.int64)
    unlabelled = int((labels < 0).sum())
    if unlabelled:
        notes.append(f"{count(unlabelled, 'picture') if classes else 'all pictures'} without a class: unlabelled")
    return classes, labels, notes
