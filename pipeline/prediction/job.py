"""The long run: from a stream of items to an output file, by way of a journal, on one machine or on many."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.classifier import ImageClassifier
from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.files.stamps import stamp_of
from pipeline.images.errors import ImageError
from pipeline.prediction.chunks import ItemChunk, located, pieces, sizes, split_into_chunks
from pipeline.prediction.formats import OUTPUT_FORMATS
from pipeline.prediction.inputs import DatasetSlice, Item, ItemBatch
from pipeline.prediction.journal import Journal, Record, still_holds
from pipeline.prediction.predict import Settings, classify_pieces, read_piece
from pipeline.prediction.read import Loaded, digest_of, load_item, stamps_of
from pipeline.prediction.rows import Rows, Status, Tally
from pipeline.workers import Divisible, Workers

UNCERTAIN, UNREADABLE = "_unsure", "_errors"  # folders for images without a label


class ChunkResult(NamedTuple):
    """What a chunk becomes: lines of the output, and the record of what they depend on."""

    lines: bytes
    record: Record


@dataclass(frozen=True)
class PredictionJob:
    """What is to be classified, into which file, and how.

    Attributes
    ----------
    classifier : ImageClassifier
    items : iterable of Item and DatasetSlice
    output : Path
        Appears complete or not at all.
    settings : Settings
    keep_errors : bool
        Do not try again what could not be read in an earlier run.
    overwrite : bool
        Start over.
    """

    classifier: ImageClassifier
    items: Iterable[Item | DatasetSlice]
    output: Path
    settings: Settings
    keep_errors: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class JobResult:
    """How a run ended: its totals, its journal (still open), and the keys of its chunks, in order."""

    tally: Tally
    journal: Journal
    keys: list[str]


def write_pieces(
    classifier: ImageClassifier, settings: Settings, chunk: ItemChunk, loaded: Sequence[Loaded]
) -> ChunkResult:
    """Classify a chunk whose pieces have been read, and write its lines."""
    items = chunk.items
    rows, stamps = classify_pieces(classifier, settings, chunk, loaded)
    tally = Tally(len(classifier.classes), classifier.were_trained_on)
    tally.add(rows)
    lines = OUTPUT_FORMATS[settings.format].lines(rows.only(settings.only_classes), settings.topk)
    errors = {str(i): list(error) for i, error in rows.errors.items()}
    record = Record(len(rows), stamps, errors, tally.counts())
    if not isinstance(items, DatasetSlice):
        record = record._replace(
            digests=[digest.decode() for digest in rows.digests.tolist()],
            paths=[os.path.abspath(item.path) if item.key is None else None for item in items],  # noqa: PTH100
            folders=_folders(rows, settings.only_classes),
        )
    return ChunkResult(lines, record)


write_chunk = Divisible(pieces, read_piece, write_pieces)


def _folders(rows: Rows, only_classes: Sequence[str]) -> list[str | None]:
    """Return the name of the folder that each image is to be sorted into; None if it is to stay where it is."""
    found = [
        rows.names[label] if status == Status.OK else UNREADABLE if status == Status.ERROR else UNCERTAIN
        for status, label in zip(rows.statuses.tolist(), rows.labels[0].tolist(), strict=True)
    ]
    return [folder if folder in only_classes else None for folder in found] if only_classes else [*found]


def predict_to_file(
    job: PredictionJob,
    workers: Workers,
    *,
    notify: Callable[[str], None] | None = None,
    progress: Callable[[int, None], None] | None = None,
) -> JobResult:
    """Classify items into a file; if an earlier run was stopped, resume it.

    Parameters
    ----------
    job : PredictionJob
    workers : Workers
        Who classifies.
    notify, progress : callable, optional
        Take a message; take the number of files done so far, and None.

    Raises
    ------
    InputError
        If there are no files, or the output cannot be this run's; what is there stays as it is.
    OSError
        If the disk is full; what was done so far stays, and the same call resumes.
    """
    classifier, settings = job.classifier, job.settings
    stream = iter(job.items)
    first = next(stream, None)  # nothing to classify shows before anything is touched
    if first is None:
        raise InputError("there are no files to classify")
    format = OUTPUT_FORMATS[settings.format]
    identity = {
        "version": 3,
        "model": classifier.model_id,
        "settings": {name: repr(value) for name, value in asdict(settings).items() if name != "format"},
        "lines": format.line_format,
        "chunks": list(sizes(classifier.geometry.n_x)),
    }
    journal = Journal.begin(job.output, identity, overwrite=job.overwrite)
    try:
        if notify and journal.note:
            notify(journal.note)
        tally = Tally(len(classifier.classes), classifier.were_trained_on)
        keys: list[str] = []
        changed = False

        def to_do() -> Iterator[ItemChunk]:
            with ThreadPoolExecutor(8, thread_name_prefix="check") as threads:
                for chunk in split_into_chunks(itertools.chain((first,), stream), classifier.geometry.n_x):
                    keys.append(chunk.key)
                    record = journal.record(chunk.key)
                    if record and _holds(record, chunk.items, job, threads):
                        tally.merge(record.counts)
                    else:
                        yield located(chunk)
                    if progress:
                        progress(tally.statuses.total(), None)

        for chunk, done in workers.map(write_chunk, (classifier, settings), to_do()):
            journal.commit(chunk.key, done.lines, done.record)
            tally.merge(done.record.counts)
            tally.classified_now += done.record.m
            changed = True
            if progress:
                progress(tally.statuses.total(), None)
        if changed or not job.output.exists() or journal.facts.get("chunks") != keys:
            journal.publish(keys, format, settings.topk)
    except BaseException:
        if journal.is_empty:
            journal.remove()
        journal.close()
        raise
    return JobResult(tally, journal, keys)


def unfinished_move(classifier: ImageClassifier, output: Path, target: str | None) -> JobResult | None:
    """Return a run whose output is complete, but whose images are not yet all moved to `target`; None: there is none.

    Raises
    ------
    InputError
        If there is one, but its images belong somewhere else: predicted again, the moved images would be missing.
    """
    journal = Journal.resume(output)
    if journal is None or "moving" not in journal.facts:
        if journal:
            journal.close()
        return None
    try:
        moving, keys = journal.facts["moving"], journal.facts["chunks"]
        if not target or os.path.abspath(target) != moving:  # noqa: PTH100
            raise InputError(
                f"{escape(output)}: its images are not all moved yet; resume with --move-to {escape(moving)}, or start "
                "over with --overwrite"
            )
        tally = Tally(len(classifier.classes), classifier.were_trained_on)
        for key in keys:
            record = journal.record(key)
            if record is None:
                raise InputError(
                    f"{escape(journal.path)}: is damaged, and what is left to move is not known; keep a copy of "
                    f"{escape(output)}, and start over with --overwrite"
                )
            tally.merge(record.counts)
    except BaseException:
        journal.close()
        raise
    return JobResult(tally, journal, keys)


def _holds(record: Record, items: ItemBatch, job: PredictionJob, threads: ThreadPoolExecutor) -> bool:
    if isinstance(items, DatasetSlice):
        return set(record.stamps) == {stamp_of(items.path)}

    def error(item: Item) -> tuple[str, ...]:
        found = load_item(item, job.classifier.geometry)[2]
        return (found.code, str(found)) if found else ()

    checks = still_holds(
        record, items, stamps_of(items), keep_errors=job.keep_errors, digest=_digest_or_nothing, error=error
    )
    return all(threads.map(lambda check: check(), checks))


def _digest_or_nothing(item: Item) -> str:
    try:
        return digest_of(item)
    except ImageError:
        return ""
