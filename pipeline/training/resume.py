"""Take up a run where its checkpoint left it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from model.storage.checkpoint import load_state
from model.training import TrainingState
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.images.augment import AugmentConfig
from pipeline.images.geometry import Geometry
from pipeline.preprocess import Preprocessor
from pipeline.training.run import TrainingRun


def resume(folder: str | Path, *, threads: int | None = None) -> TrainingRun:
    """Take up a run where its checkpoint.h5 left it, with as many threads unless told otherwise.

    Raises
    ------
    InputError
        When there is no checkpoint, or the data set it was made with is gone or has changed.
    """
    folder = Path(folder)
    if folder.name == "checkpoint.h5" and not folder.is_dir():
        folder = folder.parent
    path = folder / "checkpoint.h5"
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "there is no such folder"
        raise InputError(f"{folder}: {what}; name the folder of a run, such as runs/first")
    if not path.is_file():
        raise InputError(f"{folder}: has no checkpoint.h5 to resume from; start the training anew")
    state, extra, arrays = load_state(path)
    try:
        return _resumed(folder, state, extra, arrays, threads)
    except InputError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError) as error:  # a stranger's file may lack anything
        raise InputError(f"{path}: is damaged ({error}); start the training anew") from None


def _resumed(
    folder: Path, state: TrainingState, extra: dict[str, Any], arrays: dict[str, np.ndarray], threads: int | None
) -> TrainingRun:
    data_path = folder / "data.h5"
    if not data_path.is_file():
        data_path = Path(extra["data"])
    if not data_path.is_file():
        raise InputError(f"{data_path}: the data set of this run is gone; bring it back, or start the training anew")
    geometry, augmentation = Geometry(**extra["geometry"]), AugmentConfig(**extra["augmentation"])
    preprocessor = Preprocessor(geometry, bool(extra["contrast"]), arrays["shift"].reshape(-1, 1), extra["scale"])
    if not (math.isfinite(preprocessor.scale) and len(arrays["shift"]) == geometry.n_x):
        raise TypeError("the preprocessing does not fit the images")
    dataset = Dataset.open(data_path)
    try:
        if dataset.fingerprint != extra["fingerprint"] or dataset.geometry != geometry:
            raise InputError(
                f"{data_path}: has changed since {folder / 'checkpoint.h5'} was written; start the training anew"
            )
        return TrainingRun(
            folder=folder,
            source=str(extra["source"]),
            data_path=data_path,
            dataset=dataset,
            preprocessor=preprocessor,
            state=state,
            augmentation=augmentation,
            memory=int(extra["memory"]),
            threads=threads or int(extra["threads"]),
            started_from=str(extra["started_from"]),
            trained_before=arrays["trained_before"],
            first_layer_before=arrays.get("first_layer_before"),
            pretrain_on=str(extra["pretrain_on"]),
            trial=dict(extra.get("trial", {})),
        )
    except BaseException:
        dataset.close()
        raise
