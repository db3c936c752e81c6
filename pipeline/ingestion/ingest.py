"""From a source of images to a data set file, with every file accounted for.

found = ingested + rejected + ignored, always. Images are decoded a chunk at a time, by threads, processes or other
machines, but written in the order of the source, so the file is the same whoever does it. They are streamed into a
temporary file beside the target, which takes the target's place only when it is whole; the decoded chunks of a longer
ingestion are kept until then (see `pipeline.ingestion.decoding`), so that it can be taken up again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import h5py
import numpy as np

from model.storage.hdf5 import attribute, read_text, write_attribute
from pipeline.data.config import DataConfig
from pipeline.data.dataset import FORMAT, VERSION, Dataset, fingerprint, is_dataset
from pipeline.data.division import divide
from pipeline.data.splits import LABELLED_SPLITS, make_split
from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.files.writing import writing
from pipeline.images.geometry import Geometry
from pipeline.images.statistics import digest
from pipeline.ingestion.columns import Columns, Contents, read_columns, write_columns
from pipeline.ingestion.decoding import DecodedChunk, SampleChunk, chunks, decode_chunk, decode_samples, join, select
from pipeline.ingestion.report import IngestCounts, IngestReport, make_report, split_notes, write_rejected
from pipeline.ingestion.resume import Kept
from pipeline.ingestion.survey import choose_geometry, survey
from pipeline.sources.open import open_source
from pipeline.sources.source import Sample, Source
from pipeline.text import count

__all__ = ["IngestReport", "digest", "ingest", "survey", "write_rejected"]

_CHUNK_BYTES = 1 << 20

_COUNTS_BYTES = 30_000

_T = TypeVar("_T")

_R = TypeVar("_R")

Task = tuple[Callable[[Sample], bytes | np.ndarray], Geometry, int]

Progress = Callable[[int, int], None]

_BATCH = 32  # images that a thread takes at a time


class Work(Protocol):
    """Processes or machines that decode, such as `pipeline.workers.Cluster`."""

    def map(self, function: Callable[..., _R], shared: tuple[Any, ...], tasks: Iterable[_T]) -> Iterator[tuple[_T, _R]]:
        """Yield each task with ``function(*shared, task)``, in order."""


def ingest(
    source: str | Path | Source,
    target: str | Path,
    config: DataConfig | None = None,
    *,
    geometry: Geometry | None = None,
    into: str = "",
    append: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    jobs: int = 1,
    work: Work | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Decode all images of a source into a data set file.

    Where an earlier call was stopped, the same call goes on; it makes the same file as one that was not stopped.

    Parameters
    ----------
    source : str, Path or Source
        A location that `pipeline.sources.open.open_source` knows.
    target : str or Path
        The file to make.
    config : DataConfig, optional
        Size, colour, fit, and how to split.
    geometry : Geometry, optional
        Overrides the size, colour and fit of `config`: for evaluating a model on new images.
    into : str, optional
        Put all labelled images into this split (``"test"``), instead of dividing them; ``"given"``: leave all in the
        split they come with, and those that have none in training. One class is enough then.
    append : bool
        Add to the data set at `target`: it keeps its geometry, and its images their splits. An image that is there
        already, under the same path and with the same bytes, is passed over.
    overwrite : bool
        Replace a data set at `target`. Any other file is refused.
    dry_run : bool
        Do everything but put the file in its place: the report says what would happen.
    jobs : int
        Number of threads that decode. The result does not depend on it.
    work : Work, optional
        Who decodes instead; only where the images are files, or members of an archive.
    progress : callable, optional
        Called as ``progress(done, total)`` after every few files.

    Returns
    -------
    IngestReport

    Raises
    ------
    InputError
        If the source, the target or the split cannot work; nothing is left at the target then.
    """
    config = config or DataConfig()
    choices = [*(split.label for split in LABELLED_SPLITS), "given"]
    if into and into not in choices:
        raise InputError(f"into: {into!r} is unknown; choose one of {', '.join(choices)}")
    target = Path(target)
    _check_target(target, append=append, overwrite=overwrite or dry_run)
    source = source if isinstance(source, Source) else open_source(source, config.group_by)
    if append:
        with Dataset.open(target) as old:
            geometry = old.geometry
    elif not into:
        _check_early(source, config)
    if work and source.stamp is None:
        raise InputError(
            f"{source.location}: is a file of arrays, with nothing to decode; only folders, manifests and archives "
            "are shared among processes and machines"
        )
    geometry = geometry or choose_geometry(source, config)
    kept = Kept(target, source, geometry, config.max_pixels)
    with (
        writing(target, discard=dry_run) as stream,
        contextlib.closing(Columns(None if dry_run else target.parent)) as table,
    ):
        done = 0

        def tick(n: int) -> None:
            nonlocal done
            stream.check()
            done += n
            if progress:
                progress(done, len(source.samples))

        if append:
            with target.open("rb") as old_file:
                shutil.copyfileobj(old_file, stream)
        try:
            with h5py.File(stream, "r+" if append else "w") as file:
                known = read_columns(file, table) if append else set()
                task = (source.read, geometry, config.max_pixels)
                all_chunks = chunks(source.samples, geometry)
                parts = _parts(all_chunks, task, jobs, work, None if dry_run else kept, tick)
                outcome = _fill(file, table, known, source, geometry, config, parts)
                report = _finish(file, table, source, outcome, geometry, config, into, str(target), append)
        except InputError:
            kept.remove()  # what is wrong must be mended first
            raise
    if not dry_run:
        kept.remove()
    return dataclasses.replace(report, resumed=kept.resumed)


def _check_target(target: Path, *, append: bool, overwrite: bool) -> None:
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
    if target.exists() and not (append or overwrite):
        raise InputError(
            f"{where}: exists already; replace it with --overwrite, add to it with --append, or give another name"
        )
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
        make_split(labels, names, config.shares)


def _parts(
    all_chunks: Iterable[SampleChunk],
    task: Task,
    jobs: int,
    work: Work | None,
    kept: Kept | None,
    tick: Callable[[int], None],
) -> Iterator[tuple[SampleChunk, DecodedChunk]]:
    """Yield the chunks with what became of them, in order; parts kept by an earlier run are not made again."""
    held: deque[SampleChunk] = deque()

    def to_do() -> Iterator[SampleChunk]:
        for chunk in all_chunks:
            if kept and kept.holds(chunk):
                held.append(chunk)
            else:
                yield chunk

    def load() -> tuple[SampleChunk, DecodedChunk]:
        assert kept
        chunk = held.popleft()
        tick(len(chunk.samples))
        return chunk, kept.load(chunk.number) or decode_chunk(*task, chunk)

    for chunk, part in work.map(decode_chunk, task, to_do()) if work else _by_threads(to_do(), task, jobs, tick):
        while held and held[0].number < chunk.number:
            yield load()
        if kept:
            kept.save(chunk.number, part)
        if work:
            tick(len(chunk.samples))
        yield chunk, part
    while held:
        yield load()


def _by_threads(
    to_do: Iterable[SampleChunk], task: Task, jobs: int, tick: Callable[[int], None]
) -> Iterator[tuple[SampleChunk, DecodedChunk]]:
    """Decode chunks by threads, which take a few images at a time so that all have work to the end."""
    begun: deque[SampleChunk] = deque()

    def batches() -> Iterator[Sequence[Sample]]:
        for chunk in to_do:
            begun.append(chunk)
            for start in range(0, len(chunk.samples), _BATCH):
                yield chunk.samples[start : start + _BATCH]

    parts: list[DecodedChunk] = []
    for part in _map_in_order(lambda samples: decode_samples(*task, samples), batches(), jobs):
        parts.append(part)
        tick(part.found)
        if sum(part.found for part in parts) == len(begun[0].samples):
            yield begun.popleft(), join(parts)
            parts = []


def _fill(
    file: h5py.File,
    table: Columns,
    known: set[tuple[str, bytes]],
    source: Source,
    geometry: Geometry,
    config: DataConfig,
    parts: Iterable[tuple[SampleChunk, DecodedChunk]],
) -> IngestCounts:
    """Write the images, and note the rest in the table."""
    before = len(table)
    images = _image_dataset(file, before + len(source.samples), geometry)
    rejected, present = list(source.rejected), 0
    for chunk, part in parts:
        rejected += map(tuple, part.rejected.tolist())
        samples = [chunk.samples[i] for i in part.at.tolist()]
        if known:
            new = [(s.path, row.tobytes()) not in known for s, row in zip(samples, part.sha256, strict=True)]
            present += new.count(False)
            samples, part = [s for s, wanted in zip(samples, new, strict=True) if wanted], select(part, np.array(new))
        images[len(table) : len(table) + len(samples)] = part.pixels
        table.add(samples, part)
        if rejected and config.strict:
            path, code, message = rejected[0]
            raise InputError(f"{path}: {message} ({code}); nothing was ingested, since strict is on")
    images.resize(len(table), axis=0)
    ingested = len(table) - before
    if not ingested and not present:
        path, _code, message = rejected[0]
        raise InputError(
            f"{source.location}: none of the {len(rejected)} files is a readable image; the first, {path}, {message}"
        )
    ignored = dict(source.ignored)
    if present:
        ignored["already in the data set"] = present
    return IngestCounts(ingested, tuple(rejected), ignored)


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


def _finish(
    file: h5py.File,
    table: Columns,
    source: Source,
    done: IngestCounts,
    geometry: Geometry,
    config: DataConfig,
    into: str,
    target: str,
    append: bool,
) -> IngestReport:
    """Divide what was decoded, and write everything but the images."""
    first = tuple(read_text(file["classes"])) if append else source.classes
    classes, labels, notes = _classes(first, [sample.label for sample in source.samples], table.samples)
    division = divide(table.undivided(labels, classes), config, split=into, allow_small_classes=append)
    contents = Contents(table, labels, classes, division)
    if not append:
        notes += split_notes(division.split, labels, classes)
    write_columns(file, contents, done.rejected, append=append)
    counts = {
        "found": done.found,
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
    return make_report(
        contents, source, done, target=target, geometry=geometry, fingerprint=facts["fingerprint"], notes=notes
    )


def _classes(
    first: Sequence[str], named: Iterable[str], samples: Iterable[Sample]
) -> tuple[list[str], np.ndarray, list[str]]:
    """Number the classes that have images, those of `first` first; return (names, labels of shape (m,), notes)."""
    left = {sample.label for sample in samples} - {""}
    wanted = (set(named) | left) - {""}
    order = [*(name for name in first if name in wanted), *sorted(wanted - set(first))]
    classes = [name for name in order if name in left]
    notes = [f"class {name!r} has no readable image, and is left out" for name in order if name not in left]
    index = {name: i for i, name in enumerate(classes)}
    labels = np.array([index.get(sample.label, -1) for sample in samples], dtype=np.int64)
    unlabelled = int((labels < 0).sum())
    if unlabelled:
        notes.append(f"{count(unlabelled, 'image') if classes else 'all images'} without a class: unlabelled")
    return classes, labels, notes
