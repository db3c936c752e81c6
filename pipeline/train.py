"""The training script: from pictures to a run folder. ``python -m pipeline.train`` is the command ``facette train``.

    run = prepare("photos/", Path("runs/first"))
    for record in run.epochs():
        print(record.epoch, record.validation_accuracy)
    result = run.finish()

A run folder holds model.h5 (the classifier), checkpoint.h5 (to resume from), config.toml, history.csv, metrics.json,
report.html and filters.png; data.h5 too, where the pictures did not come from a data set already.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.atomic import replacing
from model.batches import BatchSource
from model.checkpoint import load_state, save_state
from model.config import NetworkConfig, TrainingConfig
from model.training import EpochRecord, Run, TrainingState, check_sources, start, train
from pipeline import report
from pipeline.batches import picture_batches
from pipeline.classifier import ImageClassifier
from pipeline.config import DataConfig, Geometry
from pipeline.dataset import Dataset, is_dataset
from pipeline.errors import InputError
from pipeline.evaluate import Baseline, Evaluation, baselines, pictures, score, split_probabilities
from pipeline.figures import draw_filters, save_figure
from pipeline.flags import to_toml
from pipeline.ingest import IngestReport, ingest
from pipeline.preprocess import Preprocessor

DEFAULT_MEMORY = 1_000_000_000  # bytes of pictures held in memory before training reads from the file instead
_SECONDS_BETWEEN_CHECKPOINTS = 5.0
_WORTH_SHARING = 50_000_000  # multiplications in a training step below which a second thread costs more than it gives
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class TrainingResult:
    """What came out of a run: the classifier, its scores by split, and the baselines on the split `judged_on`.

    `seen_before` counts pictures of that split that took part in the training of the model this one started from.
    """

    classifier: ImageClassifier
    scores: dict[str, Evaluation]
    baselines: list[Baseline]
    judged_on: str
    seen_before: int


@dataclass
class TrainingRun:
    """A prepared run: data, preprocessing and the state of the training, tied to its folder."""

    folder: Path
    source: str
    data_path: Path
    dataset: Dataset
    preprocessor: Preprocessor
    state: TrainingState
    memory: int
    threads: int
    started_from: str = ""
    seen_before: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    ingested: IngestReport | None = None

    def __post_init__(self) -> None:
        dtype = self.state.training.dtype
        self.train_source = self._batches("train", dtype)
        self.validation_source = self._batches("validation", dtype) if self.counts["validation"] else None
        check_sources(self.state, self.train_source, self.validation_source)

    def _batches(self, split: str, dtype: str) -> BatchSource:
        return picture_batches(self.dataset, split, self.preprocessor, memory=self.memory, dtype=dtype)

    @property
    def counts(self) -> dict[str, int]:
        """Pictures in each split."""
        return {split: len(self.dataset.indices(split)) for split in _SPLITS}

    def estimate_seconds(self) -> float:
        """Time a few training steps on a throw-away copy, and return seconds for all that remain."""
        with self._limited_threads():
            return self._estimate_seconds()

    @cached_property
    def _thread_pools(self) -> Any:
        from threadpoolctl import ThreadpoolController

        return ThreadpoolController()

    def _limited_threads(self) -> AbstractContextManager:
        return self._thread_pools.limit(limits=self.threads)

    def _estimate_seconds(self) -> float:
        state = self.state
        trial = start(
            state.network,
            state.training,
            n_x=self.train_source.n_x,
            m=len(self.train_source.labels),
            n_classes=state.n_classes,
            parameters=state.parameters,
        )
        run, seconds = Run(trial, self.train_source.labels), []
        for batch in self.train_source.batches(run.batch_size, [0]):
            begin = time.perf_counter()
            run.step(batch, 0.0)
            seconds.append(time.perf_counter() - begin)
            if len(seconds) >= 4:
                break
        return min(seconds) * 1.3 * (run.n_steps - state.step)

    def epochs(self) -> Iterator[EpochRecord]:
        """Train to the end, or until the caller stops; the checkpoint on disk is at most seconds old.

        Raises
        ------
        model.training.Diverged
            The checkpoint then holds the last good weights.
        """
        written = time.monotonic()
        records = train(self.state, self.train_source, self.validation_source)
        try:
            while True:
                with self._limited_threads():  # given back while the caller has its turn
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
        shift = self.preprocessor.shift
        extra = {
            "source": self.source,
            "data": str(self.data_path.resolve()),
            "fingerprint": self.dataset.fingerprint,
            "geometry": asdict(self.preprocessor.geometry),
            "contrast": self.preprocessor.contrast,
            "shift": None if shift is None else shift[:, 0].tolist(),
            "scale": self.preprocessor.scale,
            "memory": self.memory,
            "threads": self.threads,
            "started_from": self.started_from,
            "seen_before": self.seen_before.tolist(),
        }
        save_state(self.state, self.folder / "checkpoint.h5", extra)

    def classifier(self) -> ImageClassifier:
        """Return the classifier with the best weights so far."""
        return ImageClassifier.from_state(self.state, self.preprocessor, self.dataset.classes)

    def save_model(self, scores: dict[str, Evaluation] | None = None) -> ImageClassifier:
        """Write model.h5 from the best weights so far and return the classifier in it."""
        seen = [_keys(self.dataset, split) for split in ("train", "validation")]
        classifier = replace(
            self.classifier(),
            provenance={
                "name": self.folder.name,
                "source": self.source,
                "started_from": self.started_from,
                "data_fingerprint": self.dataset.fingerprint,
                "pictures": self.counts,
                "epochs_trained": self.state.epoch,
                "accuracy": {split: found.accuracy for split, found in (scores or {}).items()},
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "versions": {name: version(name) for name in ("facette", "numpy", "pillow", "h5py")},
                "python": platform.python_version(),
            },
            seen=np.unique(np.concatenate([*seen, self.seen_before])),
        )
        classifier.save(self.folder / "model.h5")
        return classifier

    def finish(self) -> TrainingResult:
        """Evaluate, and write everything that belongs into the run folder."""
        classifier = self.classifier()
        predictions = {
            split: split_probabilities(classifier, self.dataset, split) for split, count in self.counts.items() if count
        }
        scores = {
            split: score(probabilities, labels, classifier.classes)
            for split, (probabilities, labels, _) in predictions.items()
        }
        judged_on = next(split for split in ("test", "validation", "train") if split in scores)
        seen_before = int(np.isin(_keys(self.dataset, judged_on), self.seen_before).sum())
        result = TrainingResult(
            self.save_model(scores), scores, baselines(self.dataset, judged_on), judged_on, seen_before
        )
        self._write_tables(result)
        geometry = result.classifier.geometry
        W1 = result.classifier.parameters[1].W
        title = f"First layer of {self.folder.name}: one picture per unit"
        save_figure(draw_filters(W1, geometry.shape, title=title), self.folder / "filters.png")
        mistakes = report.find_mistakes(self.dataset, *predictions[judged_on])
        with replacing(self.folder / "report.html") as temporary:
            temporary.write_text(report.render(self.folder.name, result, mistakes), encoding="utf-8")
        return result

    def _write_tables(self, result: TrainingResult) -> None:
        metrics = {
            "judged_on": result.judged_on,
            "splits": {split: found.to_json() for split, found in result.scores.items()},
            "baselines": [asdict(baseline) for baseline in result.baselines],
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
        """Take back a run that has not finished an epoch: close its data and leave no files."""
        self.dataset.close()
        for file in _RUN_FILES:
            (self.folder / file).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty: something else lies there
            self.folder.rmdir()

    def write_config(self, data: DataConfig) -> None:
        """Write config.toml: the configuration with every "auto" resolved, which can be given to `--config`."""
        geometry = self.preprocessor.geometry
        resolved = {
            **asdict(data),
            "size": f"{geometry.height}x{geometry.width}",
            "color": geometry.color,
            "fit": geometry.fit,
        }
        sections: dict[str, dict[str, Any]] = {
            "data": resolved,
            "network": asdict(self.state.network),
            "training": asdict(self.state.training),
        }
        with replacing(self.folder / "config.toml") as temporary:
            temporary.write_text(to_toml(sections), encoding="utf-8")


_RUN_FILES = (
    "model.h5",
    "checkpoint.h5",
    "data.h5",
    "config.toml",
    "history.csv",
    "metrics.json",
    "report.html",
    "filters.png",
    "learning_rate.png",
    "predictions.csv",
)


def run_folder(runs: str | Path, name: str | None, source: str | Path, *, overwrite: bool = False) -> Path:
    """Return the folder for a new run: RUNS/NAME, or RUNS/SOURCE, or the first of RUNS/SOURCE-2, -3 that is free.

    Parameters
    ----------
    runs : str or Path
    name : str or None
    source : str or Path
        Gives the name where there is none.
    overwrite : bool
        Empty a run of this name of what a run writes, and use it again.

    Raises
    ------
    InputError
        When the name is no name, or is taken.
    """
    runs, wanted = Path(runs), name or Path(source).resolve().stem or "run"
    if Path(wanted).name != wanted or wanted.startswith("."):
        raise InputError(f"--name {wanted!r} does not work; give a plain name such as first")
    folder = runs / wanted
    if overwrite:
        for file in _RUN_FILES:
            (folder / file).unlink(missing_ok=True)
        return folder
    if not name:
        taken = 1
        while _holds_run(folder):
            taken += 1
            folder = runs / f"{wanted}-{taken}"
    if _holds_run(folder):
        raise InputError(
            f"{folder}: holds a run already; choose another --name, replace it with --overwrite, "
            f"or go on with it:  facette train --resume {folder}"
        )
    return folder


def _holds_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("model.h5", "checkpoint.h5"))


def prepare(
    source: str | Path,
    folder: str | Path,
    *,
    data: DataConfig | None = None,
    network: NetworkConfig | None = None,
    training: TrainingConfig | None = None,
    start_from: str | Path | None = None,
    memory: int = DEFAULT_MEMORY,
    threads: int | None = None,
    jobs: int = 1,
    progress: Callable[..., Any] | None = None,
) -> TrainingRun:
    """Read the pictures, fit the preprocessing and initialise the network.

    Parameters
    ----------
    source : str or Path
        Anything `pipeline.sources` knows, or a data set made by `pipeline.ingest`.
    folder : str or Path
        The run folder to make.
    data, network, training
        Configurations; None: the defaults.
    start_from : str or Path, optional
        A model file to train further, with its pictures' geometry, its classes and its layers; of `network` only the
        dropout counts. Gone with the folding are its batch normalisation and its optimiser's moments.
    memory : int
        Bytes of pictures to hold in memory.
    threads : int, optional
        That the matrix products are shared by; by default all cores, or one where the network is small. The same number
        on the same machine gives the same weights, bit for bit.
    jobs, progress
        As in `pipeline.ingest.ingest`.

    Raises
    ------
    InputError, ConfigError
        When the source, the folder or the configuration cannot work; nothing is left behind.
    """
    folder, source_path = Path(folder), Path(source)
    if _holds_run(folder):
        raise InputError(f"{folder}: holds a run already; choose another folder")
    existed = folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: the run folder cannot be made ({error.strerror})") from None
    data = data or DataConfig()
    initial = ImageClassifier.load(start_from) if start_from else None
    ingested, data_path = None, source_path
    dataset = None
    try:
        if not is_dataset(source_path):
            data_path = folder / "data.h5"
            geometry = initial.geometry if initial else None
            ingested = ingest(source, data_path, data, geometry=geometry, jobs=jobs, progress=progress)
        dataset = Dataset.open(data_path)
        run = _start(folder, str(source), data_path, dataset, network, training, memory, threads, initial)
        run.ingested = ingested
        run.write_config(data)
    except BaseException:
        if dataset:
            dataset.close()
        if ingested:
            data_path.unlink(missing_ok=True)
        if not existed:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    return run


def _start(
    folder: Path,
    source: str,
    data_path: Path,
    dataset: Dataset,
    network: NetworkConfig | None,
    training: TrainingConfig | None,
    memory: int,
    threads: int | None,
    initial: ImageClassifier | None,
) -> TrainingRun:
    indices = dataset.indices("train")
    if not len(indices):
        raise InputError(f"{source}: has no labelled training pictures; a training needs some of two classes or more")
    network, training, parameters = network or NetworkConfig(), training or TrainingConfig(), None
    preprocessor = Preprocessor(dataset.geometry, contrast=initial is not None and initial.preprocessor.contrast)
    preprocessor = preprocessor.fitted(pictures(dataset, indices))
    if initial:
        _check_fits(initial, dataset, source)
        network = replace(initial.network, dropout=network.dropout, input_dropout=network.input_dropout)
        parameters = preprocessor.unfolded_from(initial.parameters)
    n_x, n_classes = dataset.geometry.n_x, len(dataset.classes)
    state = start(network, training, n_x=n_x, m=len(indices), n_classes=n_classes, parameters=parameters)
    run = TrainingRun(folder, source, data_path, dataset, preprocessor, state, memory, threads or _threads_for(state))
    if initial:
        run.started_from, run.seen_before = initial.model_id, initial.seen
    return run


def _threads_for(state: TrainingState) -> int:
    """Return all cores, or 1 where a step has too little work to share: waiting for one another would take longer."""
    assert state.training.batch_size != "auto"
    products = 3 * state.training.batch_size * sum(n * n_prev for n_prev, n in state.parameters.shapes())
    return 1 if products < _WORTH_SHARING else os.cpu_count() or 1


def _check_fits(initial: ImageClassifier, dataset: Dataset, source: str) -> None:
    """Refuse to train a model further on other classes or pictures of another shape."""
    if dataset.classes != initial.classes:
        raise InputError(
            f"{source}: has the classes {', '.join(dataset.classes)}; the model to start from knows "
            f"{', '.join(initial.classes)}, and these cannot change"
        )
    if dataset.geometry != initial.geometry:
        raise InputError(
            f"{source}: its pictures are {dataset.geometry.to_json()}, the model to start from takes "
            f"{initial.geometry.to_json()}; give the folder of pictures instead"
        )


def _keys(dataset: Dataset, split: str) -> NDArray[np.uint64]:
    """Return the first 8 bytes of the SHA-256 of the picture files of a split, as in `ImageClassifier.seen`."""
    return np.ascontiguousarray(dataset.sha256[dataset.indices(split)][:, :8]).view(">u8")[:, 0].astype(np.uint64)


def resume(folder: str | Path, *, threads: int | None = None) -> TrainingRun:
    """Take up a run where its checkpoint.h5 left it, with as many threads unless told otherwise.

    Raises
    ------
    InputError
        When there is no checkpoint, or the data set it was made with is gone or has changed.
    """
    folder = Path(folder)
    path = folder / "checkpoint.h5"
    if not path.is_file():
        raise InputError(f"{folder}: has no checkpoint.h5 to resume from; start the training anew")
    state, extra = load_state(path)
    data_path = folder / "data.h5"
    if not data_path.is_file():
        data_path = Path(extra["data"])
    dataset = Dataset.open(data_path)
    if dataset.fingerprint != extra["fingerprint"]:
        raise InputError(f"{data_path}: has changed since {path} was written; start the training anew")
    shift = np.array(extra["shift"], np.float32)[:, None]
    preprocessor = Preprocessor(Geometry(**extra["geometry"]), extra["contrast"], shift, extra["scale"])
    return TrainingRun(
        folder,
        extra["source"],
        data_path,
        dataset,
        preprocessor,
        state,
        extra["memory"],
        threads or extra["threads"],
        extra["started_from"],
        np.array(extra["seen_before"], np.uint64),
    )


if __name__ == "__main__":
    import sys

    from pipeline.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
