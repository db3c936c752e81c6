"""The long run: from a stream of items to an output file, by way of a journal, on one machine or on many."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from pipeline.classifier import ImageClassifier
from pipeline.errors import InputError
from pipeline.images import PictureError
from pipeline.inputs import Item
from pipeline.journal import CHUNK, CHUNK_IN_DATA_SET, Journal, Record, marked, names_of, still_holds
from pipeline.listing import escape
from pipeline.predict import (
    BATCH,
    BATCH_IN_DATA_SET,
    Classified,
    Settings,
    batches,
    classify,
    classify_all,
    digest_of,
    load_one,
    stamps_of,
)
from pipeline.rows import Row, Tally
from pipeline.writers import Format

UNSURE, ERRORS = "_unsure", "_errors"


class Chunk(NamedTuple):
    """A run of items that is done, and done again, as a whole."""

    number: int
    items: list[Item]


class Work(Protocol):
    """A way to classify chunks: threads here, processes, other machines. Results may come in any order."""

    def __call__(
        self, classifier: ImageClassifier, chunks: Iterable[Chunk], settings: Settings
    ) -> Iterator[tuple[Chunk, Classified]]:
        """Take chunks when there is room for more, and yield each with its rows."""


@dataclass(frozen=True)
class Threads:
    """Classify in threads of this process; `jobs` of them."""

    jobs: int

    def __call__(
        self, classifier: ImageClassifier, chunks: Iterable[Chunk], settings: Settings
    ) -> Iterator[tuple[Chunk, Classified]]:
        """Work on batches, so that the threads stay busy across chunks; see `Work`."""
        begun: deque[Chunk] = deque()

        def parts() -> Iterator[list[Item]]:
            for chunk in chunks:
                begun.append(chunk)
                yield from batches(chunk.items)

        rows: list[Row] = []
        stamps = []
        for batch in classify_all(classifier, parts(), settings, self.jobs):
            rows += batch.rows
            stamps += batch.stamps
            if len(rows) == len(begun[0].items):
                yield begun.popleft(), Classified(rows, stamps)
                rows, stamps = [], []


def classify_chunk(classifier: ImageClassifier, items: Sequence[Item], settings: Settings) -> Classified:
    """Classify a chunk in this thread."""
    done = [classify(classifier, batch, settings) for batch in batches(items)]
    return Classified([row for part in done for row in part.rows], [stamp for part in done for stamp in part.stamps])


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its totals, its journal (still open), and how many chunks it has."""

    tally: Tally
    journal: Journal
    n_chunks: int


def predict_to_file(
    classifier: ImageClassifier,
    items: Iterable[Item],
    output: Path,
    format: Format,
    settings: Settings,
    *,
    work: Work,
    only: Sequence[str] = (),
    keep_errors: bool = False,
    overwrite: bool = False,
    notify: Callable[[str], None] | None = None,
    progress: Callable[[int, None], None] | None = None,
) -> Outcome:
    """Classify items into a file, going on where an earlier run was stopped.

    Parameters
    ----------
    classifier : ImageClassifier
    items : iterable of Item
    output : Path
        Appears complete or not at all.
    format : Format
    settings : Settings
    work : Work
        Who classifies.
    only : sequence of str
        Write only the rows that are sure of one of these classes; all are counted. Empty: write all rows.
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
    identity = {
        "model": classifier.model_id,
        "settings": {name: repr(value) for name, value in asdict(settings).items()},
        "only": sorted(only),
        "lines": format.ending,
        "cut": [CHUNK, CHUNK_IN_DATA_SET, BATCH, BATCH_IN_DATA_SET],
    }
    journal = Journal(output, identity, overwrite=overwrite)
    try:
        if notify and journal.note:
            notify(journal.note)
        tally = Tally(classifier.classes, classifier.has_seen)
        n_chunks, changed = 0, False

        def to_do() -> Iterator[Chunk]:
            nonlocal n_chunks
            with ThreadPoolExecutor(8, thread_name_prefix="check") as threads:
                for chunk in _chunks(itertools.chain((first,), stream)):
                    n_chunks = chunk.number + 1
                    record = journal.record(chunk.number)
                    if record and _holds(record, chunk.items, classifier, keep_errors, threads):
                        tally.merge(record.counts)
                    else:
                        yield chunk
                    if progress:
                        progress(tally.statuses.total(), None)

        for chunk, done in work(classifier, to_do(), settings):
            part = Tally(classifier.classes, classifier.has_seen)
            part.add(done.rows)
            rows = format.lines([row for row in done.rows if is_chosen(row, only)], settings.topk)
            journal.commit(chunk.number, rows, _record(chunk, done, part, only))
            tally.merge(part.counts())
            tally.classified_now += len(done.rows)
            changed = True
            if progress:
                progress(tally.statuses.total(), None)
        if changed or not output.exists() or journal.state.get("chunks") != n_chunks:
            journal.publish(n_chunks, format, settings.topk)
    except BaseException:
        if journal.is_empty:
            journal.remove()
        journal.close()
        raise
    return Outcome(tally, journal, n_chunks)


def unfinished_move(classifier: ImageClassifier, output: Path, target: str | None) -> Outcome | None:
    """Return a run whose output is complete, but whose pictures are not yet all moved to `target`; None: there is none.

    Raises
    ------
    InputError
        When there is one, but its pictures belong somewhere else: predicted again, those moved would be missing.
    """
    identity, state = marked(output)
    if "moving" not in state:
        return None
    if not target or os.path.abspath(target) != state["moving"]:  # noqa: PTH100
        raise InputError(
            f"{escape(output)}: its pictures are not all moved yet; go on with --move-to {escape(state['moving'])}, "
            "or begin anew with --overwrite"
        )
    journal = Journal(output, identity)
    tally = Tally(classifier.classes, classifier.has_seen)
    for index in range(state["chunks"]):
        record = journal.record(index)
        if record:
            tally.merge(record.counts)
    return Outcome(tally, journal, state["chunks"])


def _chunks(items: Iterator[Item]) -> Iterator[Chunk]:
    for number in itertools.count():
        first = next(items, None)
        if first is None:
            return
        size = CHUNK_IN_DATA_SET if type(first.key) is int else CHUNK
        yield Chunk(number, [first, *itertools.islice(items, size - 1)])


def _holds(
    record: Record, items: Sequence[Item], classifier: ImageClassifier, keep_errors: bool, threads: ThreadPoolExecutor
) -> bool:
    def error(item: Item) -> tuple[str, ...]:
        found = load_one(item, classifier.geometry)[2]
        return (found.code, str(found)) if found else ()

    checks = still_holds(
        record, items, stamps_of(items), keep_errors=keep_errors, digest=_digest_or_nothing, error=error
    )
    return all(threads.map(lambda check: check(), checks))


def _digest_or_nothing(item: Item) -> str:
    try:
        return digest_of(item)
    except PictureError:
        return ""


def _record(chunk: Chunk, done: Classified, tally: Tally, only: Sequence[str]) -> Record:
    return Record(
        names=names_of(chunk.items),
        stamps=done.stamps,
        digests=[row.sha256 for row in done.rows],
        errors={str(i): [row.error_code, row.error_message] for i, row in enumerate(done.rows) if row.error_code},
        counts=tally.counts(),
        paths=[str(item.path) if item.key is None else None for item in chunk.items],
        folders=[folder_of(row) if is_chosen(row, only) else None for row in done.rows],
    )


def is_chosen(row: Row, only: Sequence[str]) -> bool:
    """Tell whether a row is sure of one of the classes `only`; where that is empty, every row is chosen."""
    return not only or (row.status == "ok" and row.ranking[0][0] in only)


def folder_of(row: Row) -> str:
    """Return the name of the folder that a row's picture is sorted into."""
    if row.status == "ok":
        return row.ranking[0][0]
    return ERRORS if row.status == "error" else UNSURE
