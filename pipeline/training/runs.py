"""The list of the finished runs in a folder, with their main figures; no model is loaded for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from model.storage.values import check_value
from pipeline.files.names import escape

_FIGURES = {"m": int, "accuracy": float, "low": float, "high": float}
_METRICS = {"evaluated_on": str, "splits": {str: _FIGURES}, "baselines": [{"name": str, "accuracy": float}]}


@dataclass(frozen=True)
class RunSummary:
    """A run that has a model, and its main figures if they are known.

    Attributes
    ----------
    name : str
        Name of its folder, as valid UTF-8.
    model : Path
        The model.h5 in it.
    modified : float
        When the model was written, in seconds since the epoch.
    evaluated_on : str
        The split of the figures below; empty if nothing was measured (an interrupted run).
    m : int
        Number of images in that split.
    accuracy, low, high : float
        Share of them that were classified correctly, and its 95% interval.
    baselines : tuple of (str, float)
        Accuracy of the baselines on the same images.
    """

    name: str
    model: Path
    modified: float
    evaluated_on: str = ""
    m: int = 0
    accuracy: float = 0.0
    low: float = 0.0
    high: float = 0.0
    baselines: tuple[tuple[str, float], ...] = ()


def list_runs(runs: str | Path) -> list[RunSummary]:
    """Return the runs in a folder that have a model, newest first; none if the folder cannot be read."""
    try:
        folders = [folder for folder in Path(runs).iterdir() if not folder.name.startswith(".")]
    except OSError:
        return []
    found = (summary for folder in folders if (summary := summarize(folder / "model.h5")))
    return sorted(found, key=lambda run: (-run.modified, run.name))


def summarize(model: str | Path) -> RunSummary | None:
    """Return what is known about a model file without opening it; None if there is no such file.

    The figures come from the metrics.json beside it. If that is missing or damaged, there are none.
    """
    model = Path(model)
    try:
        modified = model.stat().st_mtime
    except OSError:
        return None
    name = escape(model.resolve().parent.name if model.name == "model.h5" else model.stem)
    summary = RunSummary(name, model, modified)
    try:
        path = model.parent / "metrics.json"
        if not path.is_file():  # a pipe would wait for ever
            return summary
        metrics = json.loads(path.read_text(encoding="utf-8"))
        check_value(metrics, _METRICS, "metrics")
        figures, baselines = metrics["splits"][metrics["evaluated_on"]], metrics["baselines"]
        return replace(
            summary,
            evaluated_on=metrics["evaluated_on"],
            **{name: figures[name] for name in ("m", "accuracy", "low", "high")},
            baselines=tuple((baseline["name"], baseline["accuracy"]) for baseline in baselines),
        )
    except (OSError, ValueError, LookupError, RecursionError):
        return summary
