"""`facette inspect`: what is in a model, a data set or a folder of runs, or what is installed, as plain text."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from model.parameters import shape_ledger
from pipeline.classifier import ImageClassifier
from pipeline.cli.console import percent, table
from pipeline.data.dataset import Dataset
from pipeline.data.splits import SPLITS
from pipeline.training.runs import RunSummary

_CORE = ("numpy", "pillow", "h5py", "scikit-learn", "scipy", "matplotlib", "jinja2", "tqdm")
_EXTRAS = {"demo": "scikit-image", "app": "streamlit", "fast": "numba", "heic": "pillow-heif"}


def describe_model(classifier: ImageClassifier) -> str:
    """Say what a classifier is made of: the ledger of its matrices, its classes, its origin."""
    geometry, origin = classifier.geometry, classifier.provenance
    ledger = [("layer", "W", "b", "Z and A", "activation", "parameters")]
    rows = shape_ledger(classifier.parameters, classifier.network)
    ledger += [(f"{r.layer}", _shape(r.W), _shape(r.b), _shape(r.Z), r.activation, f"{r.n_parameters:,}") for r in rows]
    pictures = ", ".join(f"{split} {count:,}" for split, count in origin.get("pictures", {}).items() if count)
    accuracy = ", ".join(f"{split} {percent(share)}" for split, share in origin.get("accuracy", {}).items())
    facts = [
        ("source", origin.get("source", "")),
        ("pictures", pictures),
        ("accuracy", accuracy),
        ("epochs", f"{origin.get('epochs_trained', '')}"),
        ("optimizer", f"{classifier.training.optimizer}, learning rate {classifier.training.learning_rate:.3g}"),
        ("seed", classifier.training.seed),
        ("data", origin.get("data_fingerprint", "")[:16]),
        ("made", origin.get("created", "")),
        ("with", ", ".join(f"{name} {v}" for name, v in origin.get("versions", {}).items())),
    ]
    return "\n".join(
        [
            f"Model {classifier.model_id}: pictures of {geometry.height}x{geometry.width} {geometry.color} "
            f"(n_x = {geometry.n_x:,}) -> {len(classifier.classes)} classes",
            f"Classes: {', '.join(classifier.classes)}",
            f"Network of L = {classifier.parameters.L} layers, {classifier.parameters.flat.size:,} parameters:",
            table(ledger),
            "Provenance:",
            *(f"  {name:<10}{value}" for name, value in facts if value != ""),
        ]
    )


def _shape(shape: tuple[int, str | int]) -> str:
    return f"({shape[0]}, {shape[1]})"


def describe_dataset(dataset: Dataset) -> str:
    """Say what a data set holds."""
    geometry = dataset.geometry
    rows: list[tuple[str, ...]] = [("class", *SPLITS[:3], "all")]
    for k, name in enumerate(dataset.classes):
        of_class = dataset.labels == k
        counts = [int((of_class & (dataset.split == s)).sum()) for s in range(3)]
        rows.append((name, *(f"{count:,}" for count in counts), f"{int(of_class.sum()):,}"))
    totals = [int((dataset.split == s).sum()) for s in range(3)]
    rows.append(("all", *(f"{count:,}" for count in totals), f"{len(dataset):,}"))
    return "\n".join(
        [
            f"Data set {dataset.fingerprint[:16]}: {len(dataset):,} pictures of {geometry.height}x{geometry.width} "
            f"{geometry.color} (fitted by {geometry.fit}; n_x = {geometry.n_x:,}), {len(dataset.classes)} classes",
            table(rows),
            *(f"Rejected: {path}: {message} ({code})" for path, code, message in dataset.rejected[:20]),
        ]
    )


def describe_runs(runs: Sequence[RunSummary]) -> str:
    """Compare runs, the best first; those that were judged on different pictures only look comparable."""
    rows: list[tuple[str, ...]] = [("run", "accuracy", "95% interval", "pictures", "best simple method")]
    for run in sorted(runs, key=lambda run: -run.accuracy):
        if not run.judged_on:
            rows.append((run.name, "", "", "", "not finished"))
            continue
        simple = max(run.baselines, key=lambda pair: pair[1], default=None)
        rows.append(
            (
                run.name,
                percent(run.accuracy),
                f"{percent(run.low)} to {percent(run.high)}",
                f"{run.m:,} {run.judged_on}",
                f"{simple[0]} {percent(simple[1])}" if simple else "",
            )
        )
    return f"Runs ({len(runs)}), the most accurate first:\n{table(rows)}"


def describe_installation() -> str:
    """Say which versions are installed, and which extras are not."""
    lines = [
        f"Facette {version('facette')} on Python {platform.python_version()}, {platform.system()}, "
        f"{os.cpu_count()} processor cores"
    ]
    lines += [f"  {name:<14}{version(name)}" for name in _CORE]
    for extra, name in _EXTRAS.items():
        try:
            lines.append(f"  {name:<14}{version(name)}")
        except PackageNotFoundError:
            lines.append(f"  {name:<14}not installed; for it:  pip install 'facette[{extra}]'")
    return "\n".join(lines)
