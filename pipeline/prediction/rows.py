"""The rows of a prediction, one for every file, and their totals."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.files.names import escape
from pipeline.text import count, shortened

_LABELS_NAMED = 10  # in the totals


class Status(IntEnum):
    """What became of a file: it has a label, the classifier abstains, or it could not be read."""

    OK = 0
    ABSTAIN = 1
    ERROR = 2

    @property
    def label(self) -> str:
        """The word that is written for it, such as ``"ok"``."""
        return self.name.lower()


STATUS_LABELS = tuple(status.label for status in Status)


class Row(NamedTuple):
    """One line of the output. `ranking` holds (label, probability), most probable first; empty for an error."""

    path: str
    status: str
    ranking: tuple[tuple[str, float], ...]
    true_label: str
    error_code: str
    error_message: str
    sha256: str
    model_id: str


@dataclass(frozen=True)
class Rows:
    """Rows column by column, as they are counted and written; going through them gives each as a `Row`.

    Attributes
    ----------
    paths : ndarray of shape (m,), bytes
        Names of the files in the output, in UTF-8.
    statuses : ndarray of shape (m,), int
        Values of `Status`.
    names : tuple of str
        The model's classes, then other labels that files came with; -1 stands for no label.
    labels : ndarray of shape (topk, m), int
        Indices of `names`, the most probable class first; -1 if a file could not be read.
    probabilities : ndarray of shape (topk, m), float32
        Probabilities of these labels; nan if there are none.
    true_labels : ndarray of shape (m,), int
        Indices of `names`, or -1.
    errors : mapping of int to (code, message)
        By row.
    digests : ndarray of shape (m,), bytes
        SHA-256 of each file in hexadecimal digits; empty if it could not be read.
    model_id : str
    """

    paths: NDArray[np.bytes_]
    statuses: NDArray[np.integer]
    names: tuple[str, ...]
    labels: NDArray[np.integer]
    probabilities: NDArray[np.floating]
    true_labels: NDArray[np.integer]
    errors: Mapping[int, tuple[str, str]]
    digests: NDArray[np.bytes_]
    model_id: str

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Row]:
        names, model_id = (*self.names, ""), self.model_id
        rankings = zip(self.labels.T.tolist(), self.probabilities.T.tolist(), strict=True)
        columns = zip(
            self.paths.tolist(), self.statuses.tolist(), self.true_labels.tolist(), self.digests.tolist(), strict=True
        )
        for i, ((path, status, true, digest), (labels, values)) in enumerate(zip(columns, rankings, strict=True)):
            ranking = tuple((names[k], value) for k, value in zip(labels, values, strict=True) if k >= 0)
            code, message = self.errors.get(i, ("", ""))
            yield Row(
                path.decode(),
                STATUS_LABELS[status],
                ranking,
                names[true],
                code,
                message,
                digest.decode(),
                model_id,
            )

    def only(self, chosen: Sequence[str]) -> Rows:
        """Return the rows with status ok whose label is one of these classes; all rows if `chosen` is empty."""
        if not chosen:
            return self
        indices = [self.names.index(name) for name in chosen]
        at = np.flatnonzero((self.statuses == Status.OK) & np.isin(self.labels[0], indices))
        columns = {name: getattr(self, name)[..., at] for name in _COLUMNS}
        return replace(self, **columns, errors={})  # a file that could not be read is not among these rows

    @classmethod
    def of(cls, rows: Iterable[Row], topk: int) -> Rows:
        """Put rows of at most `topk` labels into columns."""
        rows = list(rows)
        found = [[label for label, _ in row.ranking] + [""] * (topk - len(row.ranking)) for row in rows]
        values = [[p for _, p in row.ranking] + [math.nan] * (topk - len(row.ranking)) for row in rows]
        names = tuple(
            dict.fromkeys(name for row in zip(rows, found, strict=True) for name in (*row[1], row[0].true_label))
        )
        number = {name: k if name else -1 for k, name in enumerate(names)}
        return cls(
            paths=utf8_column(row.path for row in rows),
            statuses=np.array([STATUS_LABELS.index(row.status) for row in rows], int),
            names=names,
            labels=np.array([[number[label] for label in labels] for labels in found], int).reshape(-1, topk).T,
            probabilities=np.array(values, np.float32).reshape(-1, topk).T,
            true_labels=np.array([number[row.true_label] for row in rows], int),
            errors={i: (row.error_code, row.error_message) for i, row in enumerate(rows) if row.error_code},
            digests=utf8_column(row.sha256 for row in rows),
            model_id=rows[0].model_id if rows else "",
        )


_COLUMNS = ("paths", "statuses", "labels", "probabilities", "true_labels", "digests")


def utf8_column(texts: Iterable[str]) -> NDArray[np.bytes_]:
    """Return texts, none of which has a NUL, as an array of UTF-8 bytes."""
    return np.array([text.encode() for text in texts], np.bytes_)


def columns(topk: int) -> list[str]:
    """Return the names of the columns for `topk` labels a row."""
    more = [name for k in range(2, topk + 1) for name in (f"label_{k}", f"probability_{k}")]
    after = ["true_label", "error_code", "error_message", "sha256", "model_id"]
    return ["path", "status", "label", "probability", *more, *after]


class Tally:
    """Counts rows, and describes the totals.

    Parameters
    ----------
    n_classes : int
        The classes of the model are the first of the names of all rows; a true label that is none of them is not
        counted as right or wrong.
    were_trained_on : callable
        Tells by the SHA-256 of files, ndarray of shape (k, 32), uint8, which of them the model was trained on.
    """

    def __init__(self, n_classes: int, were_trained_on: Callable[[NDArray[np.uint8]], NDArray[np.bool_]]) -> None:
        self.statuses: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.known: Counter[str] = Counter()  # rows whose class is known: labelled, right, trained_on
        self._n_classes, self._were_trained_on = n_classes, were_trained_on
        self._begin = time.perf_counter()
        self.classified_now = 0

    def add(self, rows: Rows) -> None:
        """Count rows that were classified just now."""
        self.classified_now += len(rows)
        self.statuses.update(_counted(STATUS_LABELS, rows.statuses))
        self.errors.update(code for code, _ in rows.errors.values())
        self.labels.update(_counted(rows.names, rows.labels[0][rows.statuses == Status.OK]))
        labelled = (rows.true_labels >= 0) & (rows.true_labels < self._n_classes) & (rows.statuses != Status.ERROR)
        if labelled.any():
            digests = bytes.fromhex(rows.digests[labelled].tobytes().decode("ascii"))
            trained_on = self._were_trained_on(np.frombuffer(digests, np.uint8).reshape(-1, 32))
            self.known["labelled"] += int(np.count_nonzero(labelled))
            self.known["right"] += int(np.count_nonzero((rows.labels[0] == rows.true_labels)[labelled]))
            self.known["trained_on"] += int(np.count_nonzero(trained_on))

    def counts(self) -> dict[str, dict[str, int]]:
        """Return all counts, for `merge`."""
        return {name: dict(getattr(self, name)) for name in ("statuses", "errors", "labels", "known")}

    def merge(self, counts: dict[str, dict[str, int]]) -> None:
        """Count rows that were counted elsewhere or earlier."""
        for name, values in counts.items():
            getattr(self, name).update(values)

    def to_json(self) -> dict[str, Any]:
        """Return the totals as plain values."""
        seconds = time.perf_counter() - self._begin
        labelled = self.known["labelled"]
        return {
            "files": self.statuses.total(),
            **{status: self.statuses[status] for status in STATUS_LABELS},
            "errors": dict(self.errors),
            "labels": dict(self.labels),
            "labelled": labelled,
            "accuracy": self.known["right"] / labelled if labelled else None,
            "trained_on": self.known["trained_on"],
            "classified_now": self.classified_now,
            "seconds": round(seconds, 3),
            "files_per_second": round(self.classified_now / max(seconds, 1e-9), 1),
        }

    def describe(self) -> str:
        """Return the totals in a line."""
        found = self.to_json()
        codes = ", ".join(f"{n:,} {code}" for code, n in self.errors.most_common())
        abstained = f"{found['abstain']:,} abstain, " if found["abstain"] else ""
        text = f"{count(found['files'], 'file')}: {found['ok']:,} ok, {abstained}{found['error']:,} error"
        text += f" ({codes})" if codes else ""
        earlier = found["files"] - self.classified_now
        if self.classified_now or not earlier:
            text += f"; {found['files_per_second']:,.0f} files/s"
            text += f" ({count(earlier, 'row')} from an earlier run)" if earlier else ""
        else:
            text += "; all rows are from an earlier run, nothing has changed"
        if found["labelled"]:
            text += f"; {100 * found['accuracy']:.1f}% of the {found['labelled']:,} whose class is known are right"
            trained_on = self.known["trained_on"]
            text += f" (but the model was trained on {trained_on:,} of them)" if trained_on else ""
        return text

    def describe_labels(self) -> str:
        """Return how many files have each label, the most frequent first; empty if none has one."""
        labels = [f"{escape(name)} {n:,}" for name, n in self.labels.most_common()]
        return f"Labels: {shortened(labels, limit=_LABELS_NAMED)}" if labels else ""


def _counted(names: Sequence[str], indices: NDArray[np.integer]) -> dict[str, int]:
    found = np.bincount(indices, minlength=len(names)).tolist()
    return {name: n for name, n in zip(names, found, strict=True) if n}
