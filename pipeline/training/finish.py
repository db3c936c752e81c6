"""What is done with a trained run: its classifier is calibrated, evaluated, saved and reported.

`finish` needs a run only as its checkpoint holds it. For a finished run, ``finish(resume(folder))`` writes everything
again.
"""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.storage.atomic import replacing
from model.training import EpochRecord
from pipeline.classifier import ImageClassifier, image_keys
from pipeline.data.dataset import Dataset
from pipeline.evaluation.baselines import baselines
from pipeline.evaluation.calibrate import calibrated
from pipeline.evaluation.result import TrainingResult
from pipeline.evaluation.scores import Evaluation, Predictions, score, split_probabilities
from pipeline.evaluation.verdict import Remedies, judge
from pipeline.explanation.layers import score_first_layer
from pipeline.explanation.report import draw_result, find_mistakes, render_report
from pipeline.files.names import PERCENT_ESCAPE, escape
from pipeline.training.phases import Phase, Stopwatch, Watch
from pipeline.training.run import TrainingRun
from pipeline.training.run_folder import forget_replaced


def finish(run: TrainingRun, *, watch: Watch | None = None) -> TrainingResult:
    """Calibrate and evaluate the classifier of a run, and write everything that belongs in its folder.

    Parameters
    ----------
    run : TrainingRun
    watch : callable, optional
        Is told about each phase, see `pipeline.training.phases`.
    """
    from threadpoolctl import threadpool_limits

    stopwatch = Stopwatch(watch, _seconds_so_far(run))
    with threadpool_limits(run.threads):
        result = _finish(run, stopwatch)
    forget_replaced(run.folder)
    return result


def _finish(run: TrainingRun, stopwatch: Stopwatch) -> TrainingResult:
    dataset, name = run.dataset, escape(run.folder.name)
    with stopwatch(Phase.SCORING):
        classifier = calibrated(run.classifier(), dataset)
        predictions = {split: split_probabilities(classifier, dataset, split) for split, m in run.counts.items() if m}
        result = _score(run, classifier, predictions)
    with stopwatch(Phase.FIGURES):
        figures = draw_result(result, name, run.folder / "filters.png")
    result = replace(result, seconds=stopwatch.seconds)
    _write_metrics(result, _seconds_so_far(run), run.folder / "metrics.json")
    _write_history(run.state.history, run.folder / "history.csv")
    html = render_report(name, result, find_mistakes(dataset, *predictions[result.evaluated_on]), figures)
    with replacing(run.folder / "report.html") as temporary:
        temporary.write_text(html, encoding="utf-8", errors=PERCENT_ESCAPE)
    return result


def _score(run: TrainingRun, classifier: ImageClassifier, predictions: Mapping[str, Predictions]) -> TrainingResult:
    """Score the predictions for each split, and write model.h5."""
    dataset = run.dataset
    scores = {
        split: score(probabilities, labels, classifier.classes)
        for split, (probabilities, labels, _) in predictions.items()
    }
    evaluated_on = next(split for split in ("test", "validation", "train") if split in scores)
    compared = baselines(dataset, evaluated_on)
    remedies = Remedies(run.state.network.dropout, augmented=run.augmentation.is_on)
    return TrainingResult(
        classifier=save_model(run, classifier, scores),
        scores=scores,
        baselines=compared,
        evaluated_on=evaluated_on,
        trained_before=int(np.isin(_keys(dataset, evaluated_on), run.trained_before).sum()),
        first_layer=score_first_layer(classifier),
        first_layer_change=_first_layer_change(run),
        verdict=judge(scores, evaluated_on, compared, remedies),
        seconds={},
    )


def save_model(
    run: TrainingRun, classifier: ImageClassifier | None = None, scores: dict[str, Evaluation] | None = None
) -> ImageClassifier:
    """Write model.h5 and return the classifier in it.

    Parameters
    ----------
    run : TrainingRun
    classifier : ImageClassifier, optional
        The classifier of the run, calibrated; by default the one with the weights to keep so far.
    scores : dict of str to Evaluation, optional
        Its scores by split.
    """
    trained_on = [_keys(run.dataset, split) for split in ("train", "validation")]
    classifier = replace(
        classifier or run.classifier(),
        provenance={
            "name": escape(run.folder.name),
            "source": escape(run.source),
            "started_from": run.started_from,
            "pretrain_on": run.settings.pretrain_on,
            "data_fingerprint": run.dataset.fingerprint,
            "images": run.counts,
            "epochs_trained": run.state.epoch,
            "network_as_trained": asdict(run.state.network),
            "augmentation": asdict(run.augmentation),
            "augmentation_trial": run.trial,
            "accuracy": {split: evaluation.accuracy for split, evaluation in (scores or {}).items()},
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {name: version(name) for name in ("facette", "numpy", "pillow", "h5py")},
            "python": platform.python_version(),
        },
        trained_on=np.unique(np.concatenate([*trained_on, run.trained_before])),
    )
    classifier.save(run.folder / "model.h5")
    return classifier


def _first_layer_change(run: TrainingRun) -> float | None:
    before = run.first_layer_before
    if before is None:
        return None
    return float(np.linalg.norm(run.state.result[1].W - before) / np.linalg.norm(before))


def _seconds_so_far(run: TrainingRun) -> dict[str, float]:
    """Return how long each phase took up to the end of the training."""
    return run.seconds | {Phase.TRAINING.value: sum(record.seconds for record in run.state.history)}


def _write_metrics(result: TrainingResult, seconds: dict[str, float], path: Path) -> None:
    metrics = {
        "evaluated_on": result.evaluated_on,
        "splits": {split: evaluation.to_json() for split, evaluation in result.scores.items()},
        "baselines": [asdict(baseline) for baseline in result.baselines],
        "first_layer": {
            "units": len(result.first_layer.edge),
            "edge_units": int(result.first_layer.edge.sum()),
            "strict_edge_units": int(result.first_layer.strict.sum()),
            "coverage": result.first_layer.coverage,
            "distinct_share": result.first_layer.distinct_share,
            "change_in_training": result.first_layer_change,
        },
        "verdict": asdict(result.verdict),
        "seconds": seconds,
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(metrics, indent=2), encoding="utf-8")


def _write_history(history: list[EpochRecord], path: Path) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        rows = [asdict(record) for record in history]
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _keys(dataset: Dataset, split: str) -> NDArray[np.uint64]:
    """Return the keys of the image files of a split, as in `ImageClassifier.trained_on`."""
    return image_keys(dataset.sha256[dataset.indices(split)])
