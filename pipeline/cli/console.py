"""What the command line shows: progress on stderr, and the plain-text forms of results. Nothing is computed here."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.files.walk import count

if TYPE_CHECKING:
    from model.training import EpochRecord
    from pipeline.evaluation.evaluate import Evaluation
    from pipeline.ingestion.ingest import IngestReport
    from pipeline.training.run import TrainingResult, TrainingRun

_SECONDS_BETWEEN_LINES = 10.0


def say(text: str = "") -> None:
    """Write a message for the person at the keyboard: to stderr, which leaves stdout to results."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress_bar(what: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """Give a function of (done, total or None) that draws a bar on a terminal, and now and then a line elsewhere."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(desc=what, unit=f" {unit}", leave=False) as bar:

            def draw(done: int, total: int | None) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield draw
        return
    begin = last = time.monotonic()

    def write(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            rate = done / (now - begin)
            if total is None:
                say(f"{what}: {done:,} {unit}, {rate:,.0f}/s")
            else:
                say(f"{what}: {done:,} of {total:,} {unit}, {rate:,.0f}/s, {duration((total - done) / rate)} left")

    yield write


def duration(seconds: float) -> str:
    """Write seconds the way people say them."""
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def percent(share: float) -> str:
    """Write a share as a percentage with one digit."""
    return f"{100 * share:.1f}%"


def table(rows: Iterable[Sequence[Any]], indent: str = "  ") -> str:
    """Align rows in columns: the first to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        for row in cells
    )
    return "\n".join((indent + "  ".join(line)).rstrip() for line in lines)


def describe_ingest(report: IngestReport) -> str:
    """Say what was found and what became of it."""
    passed = sum(report.ignored.values())
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in report.ignored.items())
    lines = [
        f"Found {count(report.found, 'file')}: {count(report.ingested, 'picture')} ingested, "
        f"{len(report.rejected):,} rejected, {passed:,} passed over" + (f" ({reasons})" if passed else "")
    ]
    shown = list(report.classes.items())
    names = ", ".join(f"{name} {n:,}" for name, n in shown[:8])
    more = f", and {len(shown) - 8} more" if len(shown) > 8 else ""
    lines.append(f"Classes ({len(shown)}): {names}{more}" if shown else "No classes: all pictures are unlabelled")
    geometry = report.geometry
    lines.append(
        f"Pictures: {geometry.height}x{geometry.width} {geometry.color}, fitted by {geometry.fit}; "
        f"n_x = {geometry.n_x:,} numbers each"
    )
    how = "as given" if report.ready_made else "at random, stratified, copies kept together"
    sizes = ", ".join(f"{name} {n:,}" for name, n in report.splits.items() if n)
    lines.append(f"Split {how}: {sizes}")
    lines += [f"Note: {note}" for note in report.notes]
    lines += [f"Rejected: {path}: {message} ({code})" for path, code, message in report.rejected[:5]]
    if len(report.rejected) > 5:
        lines.append(f"Rejected: and {len(report.rejected) - 5:,} more")
    return "\n".join(lines)


def describe_plan(run: TrainingRun) -> str:
    """Say what a training is about to do, and about how long it will take."""
    network, training, state = run.state.network, run.state.training, run.state
    dims = "-".join(map(str, state.parameters.layer_dims))
    extras = [network.activation]
    extras += ["batch normalisation"] if network.batch_norm else []
    extras += [f"dropout {network.dropout:g}"] if network.dropout else []
    extras += [f"mixup {training.mixup:g}"] if training.mixup else []
    recipe = run.augmentation.augment
    named = f" ({recipe})" if recipe != "none" else ""
    varied = f", pictures varied at random{named}" if run.augmentation.is_on else ""
    schedule = training.schedule.replace("_", "-")
    left = training.epochs - state.epoch if training.epochs != "auto" else 0
    lines = [
        f"Network {dims} ({', '.join(extras)}; {network.head}): {state.parameters.flat.size:,} parameters",
        f"Training {count(left, 'epoch')} in batches of {training.batch_size}: {training.optimizer}, "
        f"learning rate {training.learning_rate:.3g}, {schedule}, seed {training.seed}"
        f"{varied}; about {duration(max(1.0, run.estimate_seconds()))} of computing on "
        f"{count(run.threads, 'thread')}",
    ]
    if training.pretrain != "none":
        method, where = (
            training.pretrain.replace("_", " "),
            run.pretrain_on or "photographs that come with scikit-learn",
        )
        further = {1: "", 2: "; layer 2", 3: "; layers 2 and 3"}[training.pretrain_layers]
        further += " from the training pictures, without labels too" if further else ""
        lines.insert(1, f"First layer: edges learned before, without labels, by {method} on {where}{further}")
    if run.trial:
        found = ", ".join(f"{name} {percent(error)}" for name, error in run.trial.items())
        mirrored = "mirrored too" if run.augmentation.flip else "not mirrored"
        lines.insert(1, f"Changes to pictures: {recipe}, {mirrored}; by a short trial (errors: {found})")
    if run.validation_source is None:
        lines.append(
            "Note: there are no validation pictures: the last weights are kept, not the best, and nothing can tell "
            "you when it starts to learn by heart"
        )
    return "\n".join(lines)


def show_epoch(record: EpochRecord, epochs: int) -> None:
    """Write a line for about every tenth epoch; on a terminal, show those between in passing."""
    text = describe_epoch(record, epochs)
    if record.epoch in (1, epochs) or record.epoch % max(1, epochs // 10) == 0 or record.seconds > 5:
        say(text)
    elif sys.stderr.isatty():
        print(text, end="\033[K\r", file=sys.stderr, flush=True)


def describe_epoch(record: EpochRecord, epochs: int) -> str:
    """Say how one epoch went, in one line."""
    number = f"{record.epoch:>{len(str(epochs))}}/{epochs}"
    text = f"epoch {number}  cost {_cost(record.cost)}  accuracy {percent(record.accuracy)}"
    if record.validation_cost == record.validation_cost:
        text += f"  validation {_cost(record.validation_cost)} {percent(record.validation_accuracy)}"
    return text + ("  best" if record.is_best else "")


def _cost(cost: float) -> str:
    return f"{cost:.4f}" if cost < 1000 else f"{cost:.3g}"


def describe_result(result: TrainingResult) -> str:
    """Say how good it is, beside simple methods on the same pictures."""
    rows: list[Sequence[Any]] = [("accuracy", "pictures", "", "95% interval")]
    rows += [
        (split, f"{found.m:,}", percent(found.accuracy), f"{percent(found.low)} to {percent(found.high)}")
        for split, found in result.scores.items()
    ]
    lines = [table(rows), f"On the same {result.judged_on} pictures:"]
    lines.append(table([(b.name, percent(b.accuracy), f"({b.note})") for b in result.baselines]))
    edges = result.first_layer.sentence()
    if result.first_layer_change is not None:
        edges += f"; training with labels moved them by {percent(result.first_layer_change)}"
    lines.append(edges)
    if result.seen_before:
        lines.append(
            f"Note: {result.seen_before:,} of the {result.judged_on} pictures took part in the training of the model "
            "it started from; the figure on them flatters"
        )
    if result.judged_on != "test":
        lines.append(f"Note: there is no test split; figures on {result.judged_on} pictures flatter")
    return "\n".join(lines)


def describe_evaluation(found: Evaluation) -> str:
    """Say what a classifier scored, class by class."""
    rows: list[Sequence[Any]] = [("class", "pictures", "recall", "precision")]
    rows += [
        (name, f"{support:,}", percent(recall), percent(precision))
        for name, support, recall, precision in zip(
            found.classes, found.support, found.recall, found.precision, strict=True
        )
        if support or precision
    ]
    return (
        f"Accuracy {percent(found.accuracy)} of {found.m:,} pictures "
        f"(95% interval {percent(found.low)} to {percent(found.high)}), log loss {found.log_loss:.3f}\n" + table(rows)
    )
