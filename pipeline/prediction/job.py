"""The long run: from a stream of items to an output file, by way of a journal, on one machine or on many."""

from __future__ import annotations

import itertools
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pipeline.classifier import ImageClassifier
from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.files.stamps import stamp_of
from pipeline.images.decode import ImageError
from pipeline.prediction.chunks import CHUNK_OF_SLICE, LEAST, MOST, ONE_IN, ItemChunk, split_into_chunks
from pipeline.prediction.formats import OUTPUT_FORMATS
from pipeline.prediction.inputs import DatasetSlice, Item, ItemBatch
from pipeline.prediction.journal import Journal, Record, marked, still_holds
from pipeline.prediction.predict import (
    BATCH_BYTES,
    FILES_IN_BATCH,
    IMAGES_IN_BATCH,
    ClassifiedBatch,
    Settings,
    classify,
    classify_all,
    item_batches,
)
from pipeline.prediction.read import digest_of, load_item, stamps_of
from pipeline.prediction.rows import ERROR, OK, Rows, Tally

UNCERTAIN, UNREADABLE = "_unsure", "_errors"


class ChunkResult(NamedTuple):
    """What came of a batch or a chunk: lines of the output, and the record of what they rest on."""

    lines: bytes
    record: Record


class Work(Protocol):
    """A way to classify chunks: threads here, processes, other machines."""

    def __call__(
        self, classifier: ImageClassifier, chunks: Iterable[ItemChunk], settings: Settings
    ) -> Iterator[tuple[ItemChunk, ChunkResult]]:
        """Take chunks when there is room for more, and yield each with what came of it."""


@dataclass(frozen=True)
class Threads:
    """Classify in threads of this process; `jobs` of them."""

    jobs: int

    def __call__(
        self, classifier: ImageClassifier, chunks: Iterable[ItemChunk], settings: Settings
    ) -> Iterator[tuple[ItemChunk, ChunkResult]]:
        """Work on batches, so that the threads stay busy across chunks; see `Work`."""
        begun: deque[ItemChunk] = deque()

        def parts() -> Iterator[ItemBatch]:
            for chunk in chunks:
                begun.append(chunk)
                yield from chunk_batches(chunk, classifier)

        ready: list[ChunkResult] = []
        for done in classify_all(classifier, parts(), settings, self.jobs, finisher(classifier, settings)):
            ready.append(done)
            if sum(part.record.m for part in ready) == len(begun[0].items):
                yield begun.popleft(), joined(ready)
                ready = []


def classify_chunk(classifier: ImageClassifier, settings: Settings, chunk: ItemChunk) -> ChunkResult:
    """Classify a chunk in this thread."""
    finish = finisher(classifier, settings)
    return joined([finish(batch, classify(classifier, batch, settings)) for batch in chunk_batches(chunk, classifier)])


def chunk_batches(chunk: ItemChunk, classifier: ImageClassifier) -> Iterator[ItemBatch]:
    """Cut a chunk into batches."""
    return item_batches([chunk.items] if isinstance(chunk.items, DatasetSlice) else chunk.items, classifier)


def finisher(classifier: ImageClassifier, settings: Settings) -> Callable[[ItemBatch, ClassifiedBatch], ChunkResult]:
    """Return what turns a classified batch into lines and their record."""

    def finish(items: ItemBatch, done: ClassifiedBatch) -> ChunkResult:
        rows, tally = done.rows, Tally(len(classifier.classes), classifier.were_trained_on)
        tally.add(rows)
        lines = OUTPUT_FORMATS[settings.format].lines(rows.only(settings.only), settings.topk)
        errors = {str(i): list(error) for i, error in rows.errors.items()}
        record = Record(len(rows), done.stamps, errors, tally.counts())
        if not isinstance(items, DatasetSlice):
            record = record._replace(
                digests=[digest.decode() for digest in rows.digests.tolist()],
                paths=[os.path.abspath(item.path) if item.key is None else None for item in items],  # noqa: PTH100
                folders=_folders(rows, settings.only),
            )
        return ChunkResult(lines, record)

    return finish


def _folders(rows: Rows, only: Sequence[str]) -> list[str | None]:
    """Return the name of the folder that each image is to be sorted into; None where that was not asked for."""
    found = [
        rows.names[label] if status == OK else UNREADABLE if status == ERROR else UNCERTAIN
        for status, label in zip(rows.statuses.tolist(), rows.labels[0].tolist(), strict=True)
    ]
    return [folder if folder in only else None for folder in found] if only else [*found]


def joined(parts: Sequence[ChunkResult]) -> ChunkResult:
    """Put the batches of a chunk together."""
    records = [part.record for part in parts]
    counts = {
        name: dict(sum((Counter(record.counts[name]) for record in records), Counter())) for name in records[0].counts
    }
    errors: dict[str, list[str]] = {}
    m = 0
    for record in records:
        errors |= {str(m + int(i)): error for i, error in record.errors.items()}
        m += record.m
    lists: dict[str, Any] = {
        name: [value for record in records for value in getattr(record, name)]
        for name in ("stamps", "digests", "paths", "folders")
    }
    return ChunkResult(b"".join(part.lines for part in parts), Record(m=m, errors=errors, counts=counts, **lists))


@dataclass(frozen=True)
class JobResult:
    """How a run ended: its totals, its journal (still open), and the keys of its chunks, in order."""

    tally: Tally
    journal: Journal
    keys: list[str]


def predict_to_file(
    classifier: ImageClassifier,
    items: Iterable[Item | DatasetSlice],
    output: Path,
    settings: Settings,
    *,
    work: Work,
    keep_errors: bool = False,
    overwrite: bool = False,
    notify: Callable[[str], None] | None = None,
    progress: Callable[[int, None], None] | None = None,
) -> JobResult:
    """Classify items into a file, going on where an earlier run was stopped.

    Parameters
    ----------
    classifier : ImageClassifier
    items : iterable of Item and Run
    output : Path
        Appears complete or not at all.
    settings : Settings
    work : Work
        Who classifies.
    keep_errors : bool
        Do not try again what could not be read in an earlier run.
    overwrite : bool
        Begin anew.
    notify, progress : callable, optional
        Take a message; take the number of files done so far, and None.

    Raises
    ------
    InputError
        When there are no files, or the output cannot be this run's; what is there stays as it is.
    OSError
        When the disk is full; what was done so far stays, and the same call goes on.
    """
    stream = iter(items)
    first = next(stream, None)  # nothing to classify shows before anything is touched
    if first is None:
        raise InputError("there are no files to classify")
    format = OUTPUT_FORMATS[settings.format]
    identity = {
        "model": classifier.model_id,
        "settings": {name: repr(value) for name, value in asdict(settings).items() if name != "format"},
        "lines": format.ending,
        "cut": [LEAST, MOST, ONE_IN, CHUNK_OF_SLICE, BATCH_BYTES, *FILES_IN_BATCH, *IMAGES_IN_BATCH],
    }
    journal = Journal(output, identity, overwrite=overwrite)
    try:
        if notify and journal.note:
            notify(journal.note)
        tally = Tally(len(classifier.classes), classifier.were_trained_on)
        keys: list[str] = []
        changed = False

        def to_do() -> Iterator[ItemChunk]:
            with ThreadPoolExecutor(8, thread_name_prefix="check") as threads:
                for chunk in split_into_chunks(itertools.chain((first,), stream)):
                    keys.append(chunk.key)
                    record = journal.record(chunk.key)
                    if record and _holds(record, chunk.items, classifier, keep_errors, threads):
                        tally.merge(record.counts)
                    else:
                        yield chunk
                    if progress:
                        progress(tally.statuses.total(), None)

        for chunk, done in work(classifier, to_do(), settings):
            journal.commit(chunk.key, done.lines, done.record)
            tally.merge(done.record.counts)
            tally.classified_now += done.record.m
            changed = True
            if progress:
                progress(tally.statuses.total(), None)
        if changed or not output.exists() or journal.state.get("chunks") != keys:
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
        When there is one, but its images belong somewhere else: predicted again, those moved would be missing.
    """
    identity, state = marked(output)
    if "moving" not in state:
        return None
    if not target or os.path.abspath(target) != state["moving"]:  # noqa: PTH100
        raise InputError(
            f"{escape(output)}: its images are not all moved yet; go on with --move-to {escape(state['moving'])}, "
            "or begin anew with --overwrite"
        )
    journal = Journal(output, identity)
    tally = Tally(len(classifier.classes), classifier.were_trained_on)
    for key in state["chunks"]:
        record = journal.record(key)
        if record is None:
            journal.close()
            raise InputError(
                f"{escape(journal.rows_path(key))}: is damaged, and what is left to move is not known; keep a copy of "
                f"{escape(output)}, and begin anew with --overwrite"
            )
        tally.merge(record.counts)
    return JobResult(tally, journal, state["chunks"])


def _holds(
    record: Record,
    items: ItemBatch,
    classifier: ImageClassifier,
    keep_errors: bool,
    threads: ThreadPoolExecutor,
) -> bool:
    if isinstance(items, DatasetSlice):
        return set(record.stamps) == {stamp_of(items.path)}

    def error(item: Item) -> tuple[str, ...]:
        found = load_item(item, classifier.geometry)[2]
        return (found.code, str(found)) if found else ()

    checks = still_holds(
        record, items, stamps_of(items), keep_errors=keep_errors, digest=_digest_or_nothing, error=error
    )
    return all(threads.map(lambda check: check(), checks))


def _digest_or_nothing(item: Item) -> str:
    try:
        return digest_of(item)
    except ImageError:
        return ""
