"""A training run tied to its folder: trains, saves what can be resumed, and at the end evaluates and reports."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.activations import Array
from model.batches import BatchSource, split_evenly
from model.edges.scores import FilterScores
from model.storage.atomic import replacing
from model.storage.checkpoint import save_state
from model.training import EpochRecord, Trainer, TrainingState, check_sources, start, train
from pipeline.classifier import ImageClassifier
from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.evaluation.baselines import Baseline, baselines
from pipeline.evaluation.calibrate import calibrated
from pipeline.evaluation.scores import Evaluation, score, split_probabilities
from pipeline.explanation import report
from pipeline.explanation.figures import draw_filters, save_figure
from pipeline.explanation.layers import score_first_layer
from pipeline.files.toml import to_toml
from pipeline.images.augment import AugmentConfig
from pipeline.ingestion.ingest import IngestReport
from pipeline.preprocess import Preprocessor
from pipeline.training.batches import image_batches
from pipeline.training.pretrain import learn_first_layer, learn_upper_layers
from pipeline.training.run_folder import bring_back, forget_replaced

_SECONDS_BETWEEN_CHECKPOINTS = 5.0
_STEPS_TO_TIME = 12
_WORTH_SHARING = 50_000_000  # multiplications in a training step below which a second thread costs more than it gives
_SURELY_QUICKER = 0.9
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class TrainingResult:
    """What came out of a run: the classifier, its scores by split, and the baselines on the split `evaluated_on`.

    `trained_before` counts images of that split that took part in the training of the model this one started from.
    `first_layer` says what the units of layer 1 are; where it was pretrained, `first_layer_change` is how far the
    training with labels moved it: ||W1 - before|| / ||before||.
    """

    classifier: ImageClassifier
    scores: dict[str, Evaluation]
    baselines: list[Baseline]
    evaluated_on: str
    trained_before: int
    first_layer: FilterScores
    first_layer_change: float | None


@dataclass
class TrainingRun:
    """A prepared run: data, preprocessing and the state of the training, tied to its folder."""

    folder: Path
    source: str
    data_path: Path
    dataset: Dataset
    preprocessor: Preprocessor
    state: TrainingState
    augmentation: AugmentConfig
    memory: int
    threads: int  # of BLAS
    started_from: str = ""
    trained_before: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    pretrain_on: str = ""
    trial: dict[str, float] = field(
        default_factory=dict
    )  # errors of recipes, see `pipeline.training.augmentation_trial`
    first_layer_before: Array | None = None
    ingested: IngestReport | None = None

    def __post_init__(self) -> None:
        self.train_source = self._batches("train", self.augmentation)
        self.validation_source = self._batches("validation") if self.counts["validation"] else None
        check_sources(self.state, self.train_source, self.validation_source)
        self._timed: dict[int, float] = {}  # seconds a step, by threads

    def _batches(self, split: str, augmentation: AugmentConfig | None = None) -> BatchSource:
        return image_batches(
            self.dataset,
            split,
            self.preprocessor,
            memory=self.memory,
            augmentation=augmentation,
            dtype=self.state.training.dtype,
        )

    def pretrain(self) -> None:
        """Fill in the edges that layer 1 starts with, and layers 2 and 3 where asked, before any label is seen."""
        state = self.state
        with self._blas_threads(1):  # several round differently
            photographs = self.pretrain_on or None
            self.first_layer_before = learn_first_layer(state, self.dataset, self.preprocessor, photographs)
            state.parameters[1].W[:] = self.first_layer_before
            if state.training.pretrain_layers > 1:
                shape, varied = self.preprocessor.geometry.shape, self.augmentation.is_on
                learn_upper_layers(state, self.train_source, shape, varied=varied)
        if state.average:
            state.average.assign(state.parameters)

    @property
    def counts(self) -> dict[str, int]:
        """Images in each split."""
        return {split: len(self.dataset.indices(split)) for split in _SPLITS}

    def estimate_seconds(self) -> float:
        """Time a few training steps on a throw-away copy, and return seconds for all that remain."""
        training = self.state.training
        assert training.epochs != "auto"
        assert training.batch_size != "auto"
        n_steps = training.epochs * len(split_evenly(len(self.train_source.labels), training.batch_size))
        return self._seconds_a_step(self.threads) * 1.1 * (n_steps - self.state.step)  # a tenth: validation

    def quickest_threads(self) -> int:
        """Return with how many BLAS threads a training step is quicker, 1 or all cores, by trying.

        It depends on more than its size: on a processor that has other work, varying images among it, threads that
        wait for one another are slower than one.
        """
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        assert self.state.training.batch_size != "auto"
        products = 3 * self.state.training.batch_size * sum(n * n_prev for n_prev, n in self.state.parameters.shapes())
        if cores == 1 or products < _WORTH_SHARING:
            return 1
        return cores if self._seconds_a_step(cores) < _SURELY_QUICKER * self._seconds_a_step(1) else 1

    def _seconds_a_step(self, threads: int) -> float:
        """Return the median of a few steps on a throw-away copy, timed once; waiting for a batch counts."""
        if threads in self._timed:
            return self._timed[threads]
        state = self.state
        trial = start(
            state.network,
            state.training,
            n_x=self.train_source.n_x,
            m=len(self.train_source.labels),
            n_classes=state.n_classes,
            parameters=state.parameters,
        )
        run, times = Trainer(trial, self.train_source.labels), [time.perf_counter()]
        with self._blas_threads(threads):
            for batch in self.train_source.batches(run.batch_size, [0]):
                run.step(batch, 0.0)
                times.append(time.perf_counter())
                if len(times) > _STEPS_TO_TIME:
                    break
        seconds = [end - begin for begin, end in pairwise(times)]
        self._timed[threads] = statistics.median(seconds[1:] or seconds)  # the first warms up
        return self._timed[threads]

    @cached_property
    def _thread_pools(self) -> Any:
        from threadpoolctl import ThreadpoolController

        return ThreadpoolController()

    def _blas_threads(self, threads: int) -> AbstractContextManager:
        """Limit the threads inside the matrix products."""
        return self._thread_pools.limit(limits=threads)

    def epochs(self) -> Iterator[EpochRecord]:
        """Train to the end, or until the caller stops; the checkpoint on disk is at most seconds old.

        Raises
        ------
        model.training.Diverged
            The checkpoint then holds the last good weights.
        """
        written = -math.inf  # the first epoch is saved at once
        records = train(self.state, self.train_source, self.validation_source)
        try:
            while True:
                with self._blas_threads(self.threads):  # given back while the caller has its turn
                    record = next(records, None)
                if record is None:
                    break
                if time.monotonic() - written > _SECONDS_BETWEEN_CHECKPOINTS:
                    self.save_checkpoint()
                    written = time.monotonic()
                yield record
        finally:
            if self.state.epoch:
                self.save_checkpoint()

    def save_checkpoint(self) -> None:
        """Write checkpoint.h5, from which `resume` goes on exactly."""
        extra = {
            "source": self.source,
            "data": str(self.data_path.resolve()),
            "fingerprint": self.dataset.fingerprint,
            "geometry": asdict(self.preprocessor.geometry),
            "contrast": self.preprocessor.contrast,
            "scale": self.preprocessor.scale,
            "augmentation": asdict(self.augmentation),
            "pretrain_on": self.pretrain_on,
            "trial": self.trial,
            "memory": self.memory,
            "threads": self.threads,
            "started_from": self.started_from,
        }
        arrays: dict[str, np.ndarray] = {"trained_before": self.trained_before}
        if self.preprocessor.shift is not None:
            arrays["shift"] = self.preprocessor.shift[:, 0]
        if self.first_layer_before is not None:
            arrays["first_layer_before"] = self.first_layer_before
        save_state(self.state, self.folder / "checkpoint.h5", extra, arrays)

    def classifier(self) -> ImageClassifier:
        """Return the classifier with the weights to keep so far."""
        return ImageClassifier.from_state(self.state, self.preprocessor, self.dataset.classes)

    def save_model(
        self, scores: dict[str, Evaluation] | None = None, classifier: ImageClassifier | None = None
    ) -> ImageClassifier:
        """Write model.h5 from `classifier`, else from the weights to keep so far, and return the classifier in it."""
        trained_on = [_keys(self.dataset, split) for split in ("train", "validation")]
        classifier = replace(
            classifier or self.classifier(),
            provenance={
                "name": self.folder.name,
                "source": self.source,
                "started_from": self.started_from,
                "pretrain_on": self.pretrain_on,
                "data_fingerprint": self.dataset.fingerprint,
                "images": self.counts,
                "epochs_trained": self.state.epoch,
                "network_as_trained": asdict(self.state.network),
                "augmentation": asdict(self.augmentation),
                "augmentation_trial": self.trial,
                "accuracy": {split: found.accuracy for split, found in (scores or {}).items()},
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "versions": {name: version(name) for name in ("facette", "numpy", "pillow", "h5py")},
                "python": platform.python_version(),
            },
            trained_on=np.unique(np.concatenate([*trained_on, self.trained_before])),
        )
        classifier.save(self.folder / "model.h5")
        return classifier

    def finish(self) -> TrainingResult:
        """Calibrate, evaluate, and write everything that belongs into the run folder."""
        with self._blas_threads(self.threads):
            result = self._finish()
        forget_replaced(self.folder)
        return result

    def _finish(self) -> TrainingResult:
        classifier = calibrated(self.classifier(), self.dataset)
        predictions = {
            split: split_probabilities(classifier, self.dataset, split) for split, count in self.counts.items() if count
        }
        scores = {
            split: score(probabilities, labels, classifier.classes)
            for split, (probabilities, labels, _) in predictions.items()
        }
        evaluated_on = next(split for split in ("test", "validation", "train") if split in scores)
        trained_before = int(np.isin(_keys(self.dataset, evaluated_on), self.trained_before).sum())
        result = TrainingResult(
            classifier=self.save_model(scores, classifier),
            scores=scores,
            baselines=baselines(self.dataset, evaluated_on),
            evaluated_on=evaluated_on,
            trained_before=trained_before,
            first_layer=score_first_layer(classifier),
            first_layer_change=self._first_layer_change(),
        )
        self._write_tables(result)
        W1, title = classifier.parameters[1].W, f"First layer of {self.folder.name}: one image per unit"
        figure = draw_filters(W1, classifier.geometry.shape, title=title, scores=result.first_layer)
        save_figure(figure, self.folder / "filters.png")
        mistakes = report.find_mistakes(self.dataset, *predictions[evaluated_on])
        with replacing(self.folder / "report.html") as temporary:
            temporary.write_text(report.render_report(self.folder.name, result, mistakes), encoding="utf-8")
        return result

    def _first_layer_change(self) -> float | None:
        before = self.first_layer_before
        if before is None:
            return None
        return float(np.linalg.norm(self.state.result[1].W - before) / np.linalg.norm(before))

    def _write_tables(self, result: TrainingResult) -> None:
        metrics = {
            "evaluated_on": result.evaluated_on,
            "splits": {split: found.to_json() for split, found in result.scores.items()},
            "baselines": [asdict(baseline) for baseline in result.baselines],
            "first_layer": {
                "units": len(result.first_layer.edge),
                "edge_units": int(result.first_layer.edge.sum()),
                "strict_edge_units": int(result.first_layer.strict.sum()),
                "coverage": result.first_layer.coverage,
                "distinct_share": result.first_layer.distinct_share,
                "change_in_training": result.first_layer_change,
            },
            "seconds": sum(record.seconds for record in self.state.history),
        }
        with replacing(self.folder / "metrics.json") as temporary:
            temporary.write_text(json.dumps(metrics, indent=2), encoding="utf-8")
        with replacing(self.folder / "history.csv") as temporary, temporary.open("w", newline="") as file:
            rows = [asdict(record) for record in self.state.history]
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)

    def discard(self) -> None:
        """Take back a run that has not finished an epoch: what it wrote goes, what it was to replace comes back."""
        self.dataset.close()
        bring_back(self.folder)
        with contextlib.suppress(OSError):  # not empty: something else lies there
            self.folder.rmdir()

    def write_config(self, start_from: str = "") -> None:
        """Write config.toml: the configuration with every "auto" resolved, which can be given to `--config`."""
        names = {field.name for field in fields(DataConfig)}
        data = {name: value for name, value in self.dataset.config.items() if name in names}
        sections: dict[str, dict[str, Any]] = {
            "data": {**data, **self.preprocessor.geometry.settings()},
            "network": asdict(self.state.network),
            "training": asdict(self.state.training),
            "augmentation": asdict(self.augmentation),
            "run": {
                "start_from": start_from,
                "pretrain_on": self.pretrain_on,
                "memory": self.memory / 1e6,
                "threads": self.threads,
            },
        }
        with replacing(self.folder / "config.toml") as temporary:
            temporary.write_text(to_toml(sections), encoding="utf-8")


def _keys(dataset: Dataset, split: str) -> NDArray[np.uint64]:
    """Return the first 8 bytes of the SHA-256 of the image files of a split, as in `ImageClassifier.seen`."""
    return np.ascontiguousarray(dataset.sha256[dataset.indices(split)][:, :8]).view(">u8")[:, 0].astype(np.uint64)
