"""Plain-text descriptions of models, data sets, runs and results, as the command line prints them."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from model.parameters import layer_shapes
from pipeline.classifier import ImageClassifier
from pipeline.cli.console import duration, joined, percent, table_lines
from pipeline.data.dataset import Dataset
from pipeline.data.splits import LABELLED_SPLITS
from pipeline.explanation.wording import describe_change, describe_optimizer, describe_seconds
from pipeline.invocation import install_command
from pipeline.text import count
from pipeline.training.runs import RunSummary

if TYPE_CHECKING:
    from model.training import EpochRecord
    from pipeline.evaluation.abstention import Abstention
    from pipeline.evaluation.result import TrainingResult
    from pipeline.evaluation.scores import Evaluation
    from pipeline.ingestion.ingest import IngestReport
    from pipeline.training.run import TrainingRun

_CORE = ("numpy", "pillow", "h5py", "scikit-learn", "scipy", "matplotlib", "jinja2", "tqdm")
_EXTRAS = {"demo": "scikit-image", "app": "streamlit", "fast": "numba", "heic": "pillow-heif"}


def describe_model(classifier: ImageClassifier) -> str:
    """Describe a classifier: the shapes of its matrices, its classes, its provenance."""
    geometry, origin = classifier.geometry, classifier.provenance
    layers = [("layer", "W", "b", "Z and A", "activation", "parameters")]
    layers += [row.texts() for row in layer_shapes(classifier.parameters, classifier.network)]
    images = ", ".join(f"{split} {count:,}" for split, count in origin.get("images", {}).items() if count)
    accuracy = ", ".join(f"{split} {percent(share)}" for split, share in origin.get("accuracy", {}).items())
    facts = [
        ("source", origin.get("source", "")),
        ("images", images),
        ("accuracy", accuracy),
        ("epochs", f"{origin.get('epochs_trained', '')}"),
        ("optimizer", describe_optimizer(classifier.training)),
        ("seed", classifier.training.seed),
        ("fingerprint", origin.get("data_fingerprint", "")[:16]),
        ("created", origin.get("created", "")),
        ("versions", ", ".join(f"{name} {v}" for name, v in origin.get("versions", {}).items())),
    ]
    return joined(
        [
            f"Model {classifier.model_id}: images of {geometry.height}x{geometry.width} {geometry.color} "
            f"(n_x = {geometry.n_x:,}) -> {len(classifier.classes)} classes",
            f"Classes: {', '.join(classifier.classes)}",
            f"Network of L = {classifier.parameters.L} layers, {classifier.parameters.flat.size:,} parameters:",
            *table_lines(layers),
            "Provenance:",
            *(f"  {name:<12}{value}" for name, value in facts if value != ""),
        ]
    )


def describe_dataset(dataset: Dataset) -> str:
    """Describe a data set: its images, its classes and splits."""
    geometry = dataset.geometry
    rows: list[tuple[str, ...]] = [("class", *(split.label for split in LABELLED_SPLITS), "all")]
    for k, name in enumerate(dataset.classes):
        of_class = dataset.labels == k
        counts = [int((of_class & (dataset.split == s)).sum()) for s in LABELLED_SPLITS]
        rows.append((name, *(f"{count:,}" for count in counts), f"{int(of_class.sum()):,}"))
    totals = [int((dataset.split == s).sum()) for s in LABELLED_SPLITS]
    rows.append(("all", *(f"{count:,}" for count in totals), f"{len(dataset):,}"))
    return joined(
        [
            f"Data set {dataset.fingerprint[:16]}: {len(dataset):,} images of {geometry.height}x{geometry.width} "
            f"{geometry.color} (fitted by {geometry.fit}; n_x = {geometry.n_x:,}), {len(dataset.classes)} classes",
            *table_lines(rows),
            *(f"Rejected: {path}: {message} ({code})" for path, code, message in dataset.rejected[:20]),
        ]
    )


def describe_runs(runs: Sequence[RunSummary]) -> str:
    """Compare runs, the most accurate first; each row names the images, since only the same images can be compared."""
    rows: list[tuple[str, ...]] = [("run", "accuracy", "95% interval", "images", "best baseline")]
    for run in sorted(runs, key=lambda run: -run.accuracy):
        if not run.evaluated_on:
            rows.append((run.name, "", "", "", "not finished"))
            continue
        best = max(run.baselines, key=lambda pair: pair[1], default=None)
        rows.append(
            (
                run.name,
                percent(run.accuracy),
                f"{percent(run.low)} to {percent(run.high)}",
                f"{run.m:,} {run.evaluated_on}",
                f"{best[0]} {percent(best[1])}" if best else "",
            )
        )
    return joined([f"Runs ({len(runs)}), the most accurate first:", *table_lines(rows)])


def describe_installation() -> str:
    """List the versions of what is installed, and the extras that are not."""
    lines = [
        f"Facette {version('facette')} on Python {platform.python_version()}, {platform.system()}, "
        f"{os.cpu_count()} processor cores"
    ]
    lines += [f"  {name:<14}{version(name)}" for name in _CORE]
    for extra, name in _EXTRAS.items():
        try:
            lines.append(f"  {name:<14}{version(name)}")
        except PackageNotFoundError:
            lines.append(f"  {name:<14}not installed; to install it:  {install_command(extra)}")
    return joined(lines)


def describe_ingest(report: IngestReport) -> str:
    """Describe what was found and what became of it."""
    n_skipped = sum(report.ignored.values())
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in report.ignored.items())
    lines = [
        f"Found {count(report.found, 'file')}: {count(report.ingested, 'image')} ingested, "
        f"{len(report.rejected):,} rejected, {n_skipped:,} skipped" + (f" ({reasons})" if n_skipped else "")
    ]
    shown = list(report.classes.items())
    names = ", ".join(f"{name} {n:,}" for name, n in shown[:8])
    more = f", and {len(shown) - 8} more" if len(shown) > 8 else ""
    lines.append(f"Classes ({len(shown)}): {names}{more}" if shown else "No classes: all images are unlabelled")
    geometry = report.geometry
    order = " (height x width)" if geometry.height != geometry.width else ""
    lines.append(
        f"Images: {geometry.height}x{geometry.width} {geometry.color}{order}, fitted by {geometry.fit}; "
        f"n_x = {geometry.n_x:,} values each"
    )
    how = "as given" if report.ready_made else "at random, stratified by class, duplicates kept together"
    sizes = ", ".join(f"{name} {n:,}" for name, n in report.splits.items() if n)
    lines.append(f"Split {how}: {sizes}")
    lines += [f"Note: {note}" for note in report.notes]
    lines += [f"Rejected: {path}: {message} ({code})" for path, code, message in report.rejected[:5]]
    if len(report.rejected) > 5:
        lines.append(f"Rejected: and {len(report.rejected) - 5:,} more")
    return joined(lines)


def describe_plan(run: TrainingRun) -> str:
    """Describe what a run is about to do, and about how long it will take."""
    from pipeline.training.timing import estimate_finish_seconds, estimate_seconds

    network, training, state = run.state.network, run.state.training, run.state
    dims = "-".join(map(str, state.parameters.layer_dims))
    extras = [network.activation]
    extras += ["batch normalisation"] if network.batch_norm else []
    extras += [f"dropout {network.dropout:g}"] if network.dropout else []
    extras += [f"mixup {training.mixup:g}"] if training.mixup else []
    recipe = run.augmentation.augment
    named = f" ({recipe})" if recipe != "none" else ""
    augmented = f", images augmented{named}" if run.augmentation.is_on else ""
    schedule = training.schedule.replace("_", "-")
    left = training.epochs - state.epoch
    lines = [
        f"Network {dims} ({', '.join(extras)}; {network.head}): {state.parameters.flat.size:,} parameters",
        f"Training {count(left, 'epoch')} in batches of {training.batch_size}: {training.optimizer}, "
        f"learning rate {training.learning_rate:.3g}, {schedule}, seed {training.seed}"
        f"{augmented}; about {_about(estimate_seconds(run))} on {count(run.threads, 'thread')}, and then about "
        f"{_about(estimate_finish_seconds(run))} for scores and figures",
    ]
    if run.pretraining.is_on:
        method = run.pretraining.pretrain.replace("_", " ")
        source = run.settings.pretrain_on or "photographs that come with scikit-learn"
        upper = {1: "", 2: "; layer 2", 3: "; layers 2 and 3"}[run.pretraining.pretrain_layers]
        upper += " on the training images, also without labels" if upper else ""
        limit = run.pretraining.largest_change
        kept = f"; training moves each of its units by at most {percent(limit)}" if limit else ""
        lines.insert(
            1, f"First layer: pretrained to detect edges, without labels, by {method} on {source}{upper}{kept}"
        )
    if run.trial:
        found = ", ".join(f"{name} {percent(error)}" for name, error in run.trial.items())
        mirrored = "mirrored too" if run.augmentation.flip else "not mirrored"
        lines.insert(1, f"Augmentation: {recipe}, {mirrored}; chosen by a short trial (errors: {found})")
    if run.validation_source is None:
        lines.append(
            "Note: there are no validation images, so the last weights are kept, not the best ones, and overfitting "
            "cannot be detected"
        )
    return joined(lines)


def _about(seconds: float) -> str:
    """Write an estimate with two digits."""
    return duration(float(f"{max(1.0, seconds):.2g}"))


def describe_epoch(record: EpochRecord, epochs: int) -> str:
    """Describe one epoch in one line."""
    number = f"{record.epoch:>{len(str(epochs))}}/{epochs}"
    text = f"epoch {number}  cost {_cost(record.cost)}  accuracy {percent(record.accuracy)}"
    if record.validation_cost == record.validation_cost:
        text += f"  validation {_cost(record.validation_cost)} {percent(record.validation_accuracy)}"
    return text + ("  best" if record.is_best else "")


def _cost(cost: float) -> str:
    return f"{cost:.4f}" if cost < 1000 else f"{cost:.3g}"


def describe_result(result: TrainingResult) -> str:
    """Describe the accuracy of a run, beside that of the baselines on the same images."""
    rows: list[Sequence[Any]] = [("split", "images", "accuracy", "95% interval")]
    rows += [
        (split, f"{found.m:,}", percent(found.accuracy), f"{percent(found.low)} to {percent(found.high)}")
        for split, found in result.scores.items()
    ]
    lines = [*table_lines(rows), f"Baselines on the same {result.evaluated_on} images:"]
    lines += table_lines([(f"{b.name} ({b.note})", percent(b.accuracy)) for b in result.baselines])
    edges = result.first_layer.summary()
    if result.first_layer_change is not None:
        edges += f"; {describe_change(result.first_layer_change)}"
    lines.append(edges)
    if result.trained_before:
        lines.append(
            f"Note: the model that this run started from was trained on {result.trained_before:,} of the "
            f"{result.evaluated_on} images; the accuracy on them is optimistic"
        )
    if result.evaluated_on != "test":
        lines.append(f"Note: there is no test split; the accuracy on {result.evaluated_on} images is optimistic")
    lines.append(f"Elapsed time: {describe_seconds(result.seconds)}")
    lines.append(f"Verdict: {result.verdict.sentence}")
    return joined(lines)


def describe_evaluation(found: Evaluation) -> str:
    """Describe an evaluation, class by class."""
    rows: list[Sequence[Any]] = [("class", "images", "recall", "precision")]
    rows += [
        (name, f"{support:,}", percent(recall), percent(precision))
        for name, support, recall, precision in zip(
            found.classes, found.support, found.recall, found.precision, strict=True
        )
        if support or precision
    ]
    overall = (
        f"Accuracy {percent(found.accuracy)} on {found.m:,} images "
        f"(95% interval {percent(found.low)} to {percent(found.high)}), log loss {found.log_loss:.3f}"
    )
    return joined([overall, *table_lines(rows)])


def describe_abstention(found: Abstention) -> str:
    """Describe what abstaining does."""
    curve = "  ".join(f"{100 * coverage:.0f}%: {percent(accuracy)}" for coverage, accuracy in found.curve)
    kinds = ", ".join(f"{kind} {100 * share:.0f}%" for kind, share in found.ood_abstained.items())
    return (
        f"Accuracy on the least uncertain share of the images: {curve}\n"
        f"With --reject {found.rate:g} (a threshold from {found.m_validation:,} validation images), the model abstains "
        f"on {percent(found.abstained)} of these images, and on out-of-distribution images: {kinds}"
        + "".join(f"\nNote: the first layer was learned from these {kind}" for kind in found.familiar)
    )
