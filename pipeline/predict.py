"""Classify files: every file found becomes exactly one row, whatever is wrong with it.

Reading and decoding run in threads ahead of the network; rows come out in the order of the input, and batches are cut
by input index, so the result does not depend on timing.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from pipeline.classifier import ImageClassifier
from pipeline.errors import InputError
from pipeline.images import PictureError, decode, read_bytes
from pipeline.listing import escape, list_pictures

BATCH = 64


class Item(NamedTuple):
    """A file to classify: where it is, how it is called in the output, and its class where the folder tells."""

    path: Path
    name: str
    true_label: str = ""


@dataclass(frozen=True)
class Row:
    """One line of the output. `ranking` holds (label, probability), likeliest first; empty for an error."""

    path: str
    status: str
    ranking: tuple[tuple[str, float], ...]
    true_label: str
    error_code: str
    error_message: str
    sha256: str
    model_id: str

    def to_dict(self) -> dict[str, Any]:
        """Return the columns in their order; what does not apply is None."""
        columns: dict[str, Any] = {"path": self.path, "status": self.status}
        for k, (label, probability) in enumerate(self.ranking or ((None, None),), start=1):
            suffix = "" if k == 1 else f"_{k}"
            columns[f"label{suffix}"], columns[f"probability{suffix}"] = label, probability
        return {
            **columns,
            "true_label": self.true_label or None,
            "error_code": self.error_code or None,
            "error_message": self.error_message or None,
            "sha256": self.sha256 or None,
            "model_id": self.model_id,
        }


def columns(topk: int) -> list[str]:
    """Return the names of the columns for `topk` labels a row."""
    more = [name for k in range(2, topk + 1) for name in (f"label_{k}", f"probability_{k}")]
    after = ["true_label", "error_code", "error_message", "sha256", "model_id"]
    return ["path", "status", "label", "probability", *more, *after]


def find_items(inputs: Sequence[str], classes: Sequence[str] = ()) -> tuple[list[Item], Counter[str]]:
    """List the files to classify, in the order given; folders are walked, sorted.

    A file that is named but is not there is an item too, and becomes an error row.

    Parameters
    ----------
    inputs : sequence of str
        Files and folders.
    classes : sequence of str
        The model's classes. Where a file's folder, below the input, bears the name of one, that is its true label.

    Returns
    -------
    items : list of Item
    ignored : Counter
        What was passed over (hidden files and the like), by reason.

    Raises
    ------
    InputError
        When a folder holds no files.
    """
    items: list[Item] = []
    ignored: Counter[str] = Counter()
    for given in inputs:
        root = Path(given)
        if not root.is_dir():
            items.append(Item(root, _safe(given)))
            continue
        listing = list_pictures(root)
        ignored.update(listing.ignored)
        for relative in listing.files:
            label = next((part for part in relative.split("/")[:-1] if part in classes), "")
            items.append(Item(root / relative, _safe(root / relative), label))
        items += [Item(root / folder, _safe(root / folder)) for folder in listing.unreadable]
    if not items:
        raise InputError(f"{', '.join(map(str, inputs))}: there are no files to classify")
    return items, ignored


def _safe(path: str | Path) -> str:
    """Return a path as valid UTF-8 that no spreadsheet takes for a formula."""
    name = escape(path)
    return f"./{name}" if name[:1] in "=+-@" else name


def predict(
    classifier: ImageClassifier,
    items: Sequence[Item],
    *,
    topk: int = 1,
    jobs: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Row]:
    """Classify files, one row each, in order.

    Parameters
    ----------
    classifier : ImageClassifier
    items : sequence of Item
    topk : int
        Labels a row.
    jobs : int
        Threads that read and decode.
    progress : callable, optional
        Called with (done, total) after each batch.
    """
    names, topk = classifier.classes, min(topk, len(classifier.classes))
    done = 0
    for batch in decoded(classifier, items, jobs=jobs):
        good = [image for _, image, _, _ in batch if image is not None]
        ranked: Iterator[np.ndarray] = iter(classifier.probabilities(np.stack(good)).T if good else ())
        for item, image, digest, error in batch:
            common = (item.true_label, error.code if error else "", str(error or ""), digest, classifier.model_id)
            if image is None:
                yield Row(item.name, "error", (), *common)
                continue
            probabilities = next(ranked)
            best = np.argsort(-probabilities, kind="stable")[:topk]
            yield Row(item.name, "ok", tuple((names[k], float(probabilities[k])) for k in best), *common)
        done += len(batch)
        if progress:
            progress(done, len(items))


Decoded = tuple[Item, np.ndarray | None, str, PictureError | None]


def decoded(classifier: ImageClassifier, items: Iterable[Item], *, jobs: int) -> Iterator[list[Decoded]]:
    """Yield the items in batches of `BATCH`, each with its picture, or with the reason there is none."""
    waiting: deque[Future[list[Decoded]]] = deque()

    def load(batch: Sequence[Item]) -> list[Decoded]:
        return [_load(item, classifier) for item in batch]

    iterator = iter(items)
    with ThreadPoolExecutor(jobs, thread_name_prefix="decode") as threads:
        try:
            while batch := list(itertools.islice(iterator, BATCH)):
                waiting.append(threads.submit(load, batch))
                if len(waiting) > 2 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _load(item: Item, classifier: ImageClassifier) -> Decoded:
    digest = ""
    try:
        data = read_bytes(item.path)
        digest = hashlib.sha256(data).hexdigest()
        return item, decode(data, classifier.geometry), digest, None
    except PictureError as error:
        return item, None, digest, error


class Tally:
    """Counts rows on their way to the output, and says at the end what they came to."""

    def __init__(self, classifier: ImageClassifier) -> None:
        self.statuses: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.labelled = self.right = self.seen = 0
        self._classifier = classifier
        self._begin = time.perf_counter()

    def counting(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Pass the rows on."""
        for row in rows:
            self.statuses[row.status] += 1
            if row.error_code:
                self.errors[row.error_code] += 1
            if row.true_label and row.ranking:
                self.labelled += 1
                self.right += row.ranking[0][0] == row.true_label
                self.seen += self._classifier.has_seen(bytes.fromhex(row.sha256))
            yield row

    def describe(self) -> str:
        """Return the totals in a line."""
        total, seconds = self.statuses.total(), time.perf_counter() - self._begin
        codes = ", ".join(f"{count} {code}" for code, count in self.errors.most_common())
        text = f"{total:,} files: {self.statuses['ok']:,} ok, {self.statuses['error']:,} error"
        text += f" ({codes})" if codes else ""
        text += f"; {total / max(seconds, 1e-9):,.0f} files/s"
        if self.labelled:
            share = 100 * self.right / self.labelled
            text += f"; {share:.1f}% of the {self.labelled:,} whose folder names their class are right"
            text += f" (but {self.seen:,} of them took part in the training)" if self.seen else ""
        return text


def write_csv(rows: Iterable[Row], file: TextIO, topk: int) -> None:
    """Write rows as CSV with a header."""
    writer = csv.DictWriter(file, columns(topk), restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _digits(value) for name, value in row.to_dict().items()})


def write_jsonl(rows: Iterable[Row], file: TextIO, topk: int) -> None:
    """Write rows as one JSON object a line, every column in each; what does not apply is null."""
    empty = dict.fromkeys(columns(topk))
    for row in rows:
        file.write(json.dumps({**empty, **row.to_dict()}, ensure_ascii=False) + "\n")


def _digits(value: Any) -> Any:
    """Write probabilities with as many digits as single precision has."""
    return f"{value:.9g}" if isinstance(value, float) else value


WRITERS: dict[str, Callable[[Iterable[Row], TextIO, int], None]] = {"csv": write_csv, "jsonl": write_jsonl}


def writer_for(output: str, format: str = "") -> Callable[[Iterable[Row], TextIO, int], None]:
    """Return the writer for a format, or for the ending of a file name; CSV where it has none.

    Raises
    ------
    InputError
        When there is no such writer.
    """
    name = format or Path(output).suffix.lower().lstrip(".") or "csv"
    if name not in WRITERS:
        raise InputError(f"{output}: {name!r} is not an output format; choose one of {', '.join(WRITERS)}")
    return WRITERS[name]
