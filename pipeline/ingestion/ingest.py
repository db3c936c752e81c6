"""From a source of images to a data set file, with every file accounted for.

found = ingested + rejected + ignored, always. Images are decoded a chunk at a time, by threads, processes or other
machines, but written in the order of the source, so the file is the same whoever decodes. They are streamed into a
temporary file beside the target, which replaces the target only when it is complete; the decoded chunks of a longer
ingestion are stored until then (see `pipeline.ingestion.resume`), so that it can be resumed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
from pipeline.ingestion.columns import Columns, Contents, read_columns, write_columns
from pipeline.ingestion.decoding import DecodedChunk, SampleChunk, chunks, decode_chunk, select
from pipeline.ingestion.report import IngestCounts, IngestReport, make_report, split_notes
from pipeline.ingestion.resume import ChunkStore
from pipeline.ingestion.survey import choose_geometry
from pipeline.sources.open import open_source
from pipeline.sources.source import Sample, Source
from pipeline.text import count
from pipeline.workers import Threads, Workers

_HDF5_CHUNK_BYTES = 1 << 20

_COUNTS_BYTES = 30_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class IngestOptions:
    """What is not a property of the data set, but of one ingestion.

    Attributes
    ----------
    geometry : Geometry, optional
        Overrides the size, colour and fit of the configuration: for evaluating a model on new images.
    split : str
        Put all labelled images into this split (``"test"``), instead of dividing them; ``"given"``: leave all in the
        split they come with, and put those without one into training. One class is enough then.
    append : bool
        Add to the data set at the target: it keeps its geometry, and its images their splits. An image that is there
        already, under the same path and with the same bytes, is skipped.
    overwrite : bool
        Replace a data set at the target. Any other file stays, and is an error.
    dry_run : bool
        Do everything but put the file in its place: the report says what would happen.
    """

    geometry: Geometry | None = None
    split: str = ""
    append: bool = False
    overwrite: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class IngestJob:
    """One ingestion, when everything is known about it but the images; see `IngestOptions`.

    `note` is what a user should know about the choice of the geometry; empty if there is nothing to say.
    """

    source: Source
    target: Path
    config: DataConfig
    geometry: Geometry
    split: str
    append: bool
    note: str = ""


def ingest(
    source: str | Path | Source,
    target: str | Path,
    config: DataConfig | None = None,
    options: IngestOptions | None = None,
    *,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Decode all images of a source into a data set file.

    If an earlier call was stopped, the same call resumes it; the file is the same as without the interruption.

    Parameters
    ----------
    source : str, Path or Source
        A location that `pipeline.sources.open.open_source` knows.
    target : str or Path
        The file to create.
    config : DataConfig, optional
        Size, colour, fit, and how to split.
    options : IngestOptions, optional
    workers : Workers, optional
        Who decodes; default: one thread. Processes and machines only if the images are files, or members of an archive.
        The result does not depend on it.
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
    config, options, workers = config or DataConfig(), options or IngestOptions(), workers or Threads()
    choices = [*(split.label for split in LABELLED_SPLITS), "given"]
    if options.split and options.split not in choices:
        raise InputError(f"split: {options.split!r} is unknown; choose one of {', '.join(choices)}")
    target = Path(target)
    _check_target(target, append=options.append, overwrite=options.overwrite or options.dry_run)
    source = source if isinstance(source, Source) else open_source(source, config.group_by)
    geometry = options.geometry
    if options.append:
        with Dataset.open(target) as old:
            geometry = old.geometry
    elif not options.split:
        _check_early(source, config)
    if source.stamp is None and not isinstance(workers, Threads):
        raise InputError(
            f"{source.location}: is a file of arrays, with nothing to decode; only folders, manifests and archives "
            "are shared among processes and machines"
        )
    notes = source.check_values((geometry or config).scale)
    source = dataclasses.replace(source, notes=(*source.notes, *notes))
    note = ""
    if geometry is None:
        geometry, note = choose_geometry(source, config)
    job = IngestJob(source, target, config, geometry, options.split, options.append, note)
    if options.dry_run:
        return _write(job, workers, None, progress)
    with ChunkStore(target, source, geometry, config.max_pixels) as store:
        report = _write(job, workers, store, progress)
        store.remove()
    return dataclasses.replace(report, resumed=store.resumed)


def _write(job: IngestJob, workers: Workers, store: ChunkStore | None, progress: Progress | None) -> IngestReport:
    """Write the data set file; without a store (in a dry run), only into a temporary file that is removed."""
    with (
        writing(job.target, discard=store is None) as stream,
        contextlib.closing(Columns(job.target.parent if store else None)) as columns,
    ):
        if job.append:
            with job.target.open("rb") as old_file:
                shutil.copyfileobj(old_file, stream)
        with h5py.File(stream, "r+" if job.append else "w") as file:
            known = read_columns(file, columns) if job.append else set()
            done = 0

            def decoded() -> Iterator[tuple[SampleChunk, DecodedChunk]]:
                nonlocal done
                for chunk, result in _decoded(job, workers, store):
                    stream.check()
                    done += len(chunk.samples)
                    if progress:
                        progress(done, len(job.source.samples))
                    yield chunk, result

            counts = _fill(file, columns, known, job, decoded())
            return _finish_file(file, columns, job, counts)


def _check_target(target: Path, *, append: bool, overwrite: bool) -> None:
    where = escape(target)
    try:
        target.stat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InputError(f"{where}: cannot be written ({error.strerror}); choose another path") from None
    if target.is_dir():
        raise InputError(f"{where}: is a folder; give the name of a file to create, such as {where}/data.h5")
    if append and not target.exists():
        raise InputError(f"{where}: there is no data set to append to; omit append=True to create one")
    if target.exists() and not is_dataset(target):
        raise InputError(f"{where}: exists and is no data set, so it is not overwritten; give another name")
    if target.exists() and not (append or overwrite):
        raise InputError(
            f"{where}: exists already; replace it with overwrite=True, add to it with append=True, or give another name"
        )
    folder = target.parent
    if not folder.is_dir():
        raise InputError(f"{where}: the folder {escape(folder)} does not exist; create it first, or give another name")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{where}: may not be written by this user; choose another path")


def _check_early(source: Source, config: DataConfig) -> None:
    """Find what decoding cannot change, before any time is spent on it."""
    names = sorted({sample.label for sample in source.samples if sample.label})
    if names and not source.ready_made:
        index = {name: i for i, name in enumerate(names)}
        labels = np.array([index.get(sample.label, -1) for sample in source.samples])
        with _explained_by(source):
            make_split(labels, names, config.shares)


@contextlib.contextmanager
def _explained_by(source: Source) -> Iterator[None]:
    """Add to an error about classes and splits what is known of how the source was understood."""
    try:
        yield
    except InputError as error:
        if not source.notes:
            raise
        raise InputError(f"{error} ({'; '.join(source.notes)})") from None


def _decoded(job: IngestJob, workers: Workers, store: ChunkStore | None) -> Iterator[tuple[SampleChunk, DecodedChunk]]:
    """Yield the chunks with what became of them, in order; those that an earlier run stored are not decoded again."""
    resumed: deque[SampleChunk] = deque()
    shared = (job.source.read, job.geometry, job.config.max_pixels)

    def to_do() -> Iterator[SampleChunk]:
        for chunk in chunks(job.source.samples, job.geometry):
            if store and store.has(chunk):
                resumed.append(chunk)
            else:
                yield chunk

    def load(chunk: SampleChunk) -> tuple[SampleChunk, DecodedChunk]:
        return chunk, (store and store.get(chunk)) or decode_chunk(*shared, chunk)

    for chunk, decoded in workers.map(decode_chunk, shared, to_do()):
        while resumed and resumed[0].number < chunk.number:
            yield load(resumed.popleft())
        if store:
            store.put(chunk, decoded)
        yield chunk, decoded
    while resumed:
        yield load(resumed.popleft())


def _fill(
    file: h5py.File,
    columns: Columns,
    known: set[tuple[str, bytes]],
    job: IngestJob,
    decoded_chunks: Iterable[tuple[SampleChunk, DecodedChunk]],
) -> IngestCounts:
    """Write the images, and add the rest to the columns; `known` has (path, SHA-256) of images that are there."""
    before, source = len(columns), job.source
    images = _image_dataset(file, before + len(source.samples), job.geometry)
    rejected, present = list(source.rejected), 0
    for chunk, decoded in decoded_chunks:
        rejected += map(tuple, decoded.rejected.tolist())
        samples = [chunk.samples[i] for i in decoded.at.tolist()]
        if known:
            new = [(s.path, row.tobytes()) not in known for s, row in zip(samples, decoded.sha256, strict=True)]
            present += new.count(False)
            samples = [sample for sample, wanted in zip(samples, new, strict=True) if wanted]
            decoded = select(decoded, np.array(new))
        images[len(columns) : len(columns) + len(samples)] = decoded.pixels
        columns.add(samples, decoded)
        if rejected and job.config.strict:
            path, code, message = rejected[0]
            raise InputError(f"{path}: {message} ({code}); nothing was ingested, because of strict=True")
    images.resize(len(columns), axis=0)
    ingested = len(columns) - before
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
    chunk = max(1, min(m, _HDF5_CHUNK_BYTES // geometry.n_x))
    return file.create_dataset(
        "images",
        shape=(m, *geometry.shape),
        maxshape=(None, *geometry.shape),
        dtype=np.uint8,
        chunks=(chunk, *geometry.shape),
    )


def _finish_file(file: h5py.File, columns: Columns, job: IngestJob, done: IngestCounts) -> IngestReport:
    """Divide what was decoded, and write everything but the images."""
    source, geometry, config, append, target = job.source, job.geometry, job.config, job.append, str(job.target)
    first = tuple(read_text(file["classes"])) if append else source.classes
    classes, labels, notes = _classes(first, [sample.label for sample in source.samples], columns.samples)
    with _explained_by(source):
        images = columns.undivided(labels, classes)
        division = divide(images, job.config, split=job.split, allow_small_classes=job.append)
    contents = Contents(columns, labels, classes, division)
    notes += [job.note] if job.note else []
    if not append:
        notes += split_notes(division.split, labels, classes, None if source.ready_made else division.group)
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
    """Number the classes that have images, those of `first` first; return names, labels of shape (m,), and notes."""
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
