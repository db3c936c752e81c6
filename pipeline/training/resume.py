"""Open a run again from its checkpoint: to train it to the end, or to write the report of a finished one again."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from model.edges.config import PretrainConfig
from model.storage.checkpoint import config_from, load_state
from model.training import TrainingState
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.images.augment import AugmentConfig
from pipeline.images.geometry import Geometry
from pipeline.preprocess import Preprocessor
from pipeline.text import shortened
from pipeline.training.batches import batch_sources
from pipeline.training.recipe import RunConfig
from pipeline.training.run import TrainingRun
from pipeline.training.run_folder import holds_run


def resume(folder: str | Path, *, threads: int | None = None) -> TrainingRun:
    """Open a run as its checkpoint.h5 holds it.

    Parameters
    ----------
    folder : str or Path
        The run folder, or the checkpoint in it.
    threads : int, optional
        Threads of a matrix product; by default as many as before.

    Raises
    ------
    InputError
        When there is no checkpoint, or its data set is gone or has changed.
    """
    folder = Path(folder)
    if folder.name == "checkpoint.h5" and not folder.is_dir():
        folder = folder.parent
    path = folder / "checkpoint.h5"
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "there is no such folder"
        raise InputError(f"{folder}: {what}; name the folder of a run, such as runs/first")
    if not path.is_file():
        raise InputError(_without_checkpoint(folder))
    state, extra, arrays = load_state(path)
    try:
        return _resumed(folder, state, extra, arrays, threads)
    except InputError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError) as error:  # an untrusted file may lack anything
        raise InputError(f"{path}: is damaged ({error}); start over") from None


def _without_checkpoint(folder: Path) -> str:
    """Say what to do about a folder that is no run to resume."""
    found = [path.parent for path in folder.glob("*/checkpoint.h5")]
    if found:  # those to be resumed first, and among them the latest
        found.sort(key=lambda run: ((run / "report.html").exists(), -(run / "checkpoint.h5").stat().st_mtime))
        return f"{folder}: holds several runs; name one of them: {shortened([escape(run) for run in found])}"
    if not holds_run(folder):
        return f"{folder}: has no checkpoint.h5 to resume from; name the folder of a run, such as runs/first"
    return (
        f"{folder}: has no checkpoint.h5 to resume from: the run was stopped before its first one, or the file is "
        f"gone; start over with the command that began the run, and  --name {folder.name} --overwrite"
    )


def _resumed(
    folder: Path, state: TrainingState, extra: dict[str, Any], arrays: dict[str, np.ndarray], threads: int | None
) -> TrainingRun:
    data_path = folder / "data.h5"
    if not data_path.is_file():
        data_path = Path(extra["data"])
    if not data_path.is_file():
        raise InputError(f"{data_path}: the data set of this run is gone; bring it back, or start over")
    geometry, settings = Geometry(**extra["geometry"]), RunConfig(**extra["settings"])
    augmentation, pretraining = (
        AugmentConfig(**extra["augmentation"]),
        config_from(PretrainConfig, extra["pretraining"]),
    )
    settings = replace(settings, threads=threads or int(settings.threads))
    preprocessor = Preprocessor(geometry, bool(extra["contrast"]), arrays["shift"].reshape(-1, 1), extra["scale"])
    if not (math.isfinite(preprocessor.scale) and len(arrays["shift"]) == geometry.n_x):
        raise TypeError("the preprocessing does not fit the images")
    dataset = Dataset.open(data_path)
    try:
        if dataset.fingerprint != extra["fingerprint"] or dataset.geometry != geometry:
            raise InputError(f"{data_path}: has changed since {folder / 'checkpoint.h5'} was written; start over")
        train_source, validation_source = batch_sources(
            dataset, preprocessor, augmentation, state, settings.memory_bytes
        )
        return TrainingRun(
            folder=folder,
            source=str(extra["source"]),
            data_path=data_path,
            dataset=dataset,
            preprocessor=preprocessor,
            augmentation=augmentation,
            pretraining=pretraining,
            settings=settings,
            state=state,
            train_source=train_source,
            validation_source=validation_source,
            started_from=str(extra["started_from"]),
            trained_before=arrays["trained_before"],
            trial=dict(extra["trial"]),
            first_layer_before=arrays.get("first_layer_before"),
            seconds={str(phase): float(seconds) for phase, seconds in extra["seconds"].items()},
        )
    except BaseException:
        dataset.close()
        raise
