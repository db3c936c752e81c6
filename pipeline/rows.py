"""The rows of a prediction, one for every file, and what they come to in the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple

from pipeline.listing import escape, safe_cell

STATUSES = ("ok", "abstain", "error")


class Row(NamedTuple):
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


def safe_name(path: object) -> str:
    """Return a path as valid UTF-8 that no spreadsheet takes for a formula."""
    return safe_cell(escape(str(path)))


class Tally:
    """Counts rows, and says at the end what they came to.

    Parameters
    ----------
    classes : collection of str
        The classes of the model: a true label that is none of them is not counted as right or wrong.
    has_seen : callable
        Tells by the SHA-256 of a file whether it took part in the training.
    """

    def __init__(self, classes: Collection[str], has_seen: Callable[[bytes], bool]) -> None:
        self.statuses: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.known: Counter[str] = Counter()  # rows whose class is known: labelled, right, seen
        self._classes, self._has_seen = frozenset(classes), has_seen
        self._begin = time.perf_counter()
        self.classified_now = 0

    def add(self, rows: Iterable[Row]) -> None:
        """Count rows that were classified just now."""
        for row in rows:
            self.classified_now += 1
            self.statuses[row.status] += 1
            if row.error_code:
                self.errors[row.error_code] += 1
                continue
            label = row.ranking[0][0]
            if row.status == "ok":
                self.labels[label] += 1
            if row.true_label in self._classes:
                self.known["labelled"] += 1
                self.known["right"] += label == row.true_label
                self.known["seen"] += self._has_seen(bytes.fromhex(row.sha256))

    def counting(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Pass rows on, counted."""
        for row in rows:
            self.add((row,))
            yield row

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
            **{status: self.statuses[status] for status in STATUSES},
            "errors": dict(self.errors),
            "labels": dict(self.labels),
            "labelled": labelled,
            "accuracy": self.known["right"] / labelled if labelled else None,
            "seen_in_training": self.known["seen"],
            "classified_now": self.classified_now,
            "seconds": round(seconds, 3),
            "files_per_second": round(self.classified_now / max(seconds, 1e-9), 1),
        }

    def describe(self) -> str:
        """Return the totals in a line."""
        found = self.to_json()
        codes = ", ".join(f"{count:,} {code}" for code, count in self.errors.most_common())
        abstained = f"{found['abstain']:,} abstain, " if found["abstain"] else ""
        text = f"{found['files']:,} files: {found['ok']:,} ok, {abstained}{found['error']:,} error"
        text += f" ({codes})" if codes else ""
        text += f"; {found['files_per_second']:,.0f} files/s"
        earlier = found["files"] - self.classified_now
        text += f" ({earlier:,} rows are from an earlier run)" if earlier else ""
        if found["labelled"]:
            text += f"; {100 * found['accuracy']:.1f}% of the {found['labelled']:,} whose class is known are right"
            seen = self.known["seen"]
            text += f" (but {seen:,} of them took part in the training)" if seen else ""
        return text
