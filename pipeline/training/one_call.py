"""Training in one call, for programs; who wants to watch, stop or resume uses `pipeline.training.prepare`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model.training import EpochRecord
from pipeline.data.config import DataConfig
from pipeline.evaluation.result import TrainingResult
from pipeline.training.finish import finish
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import run_folder


def train_classifier(
    source: str | Path,
    folder: str | Path | None = None,
    *,
    data: DataConfig | None = None,
    recipe: Recipe | None = None,
    overwrite: bool = False,
    on_epoch: Callable[[EpochRecord], object] | None = None,
    **settings: Any,
) -> TrainingResult:
    """Train a classifier on a folder of labelled images, evaluate it, and write model.h5 and the report.

    Parameters
    ----------
    source : str or Path
        A folder with a sub-folder for each class, or anything else that `prepare` takes.
    folder : str or Path, optional
        The run folder to make; by default ``runs/SOURCE``, with a number if that is taken.
    data, recipe, overwrite
        As in `prepare`.
    on_epoch : callable, optional
        Takes the record of each epoch.
    **settings
        As in `prepare`, such as ``epochs=20``.

    Returns
    -------
    TrainingResult
        Its `classifier` classifies images; `scores` hold the accuracy of each split.

    Raises
    ------
    InputError, ConfigError
        When the source, the folder or a setting cannot work.
    Diverged
        When the cost is no longer a finite number.
    """
    folder = folder or run_folder("runs", None, source, overwrite=overwrite)
    run = prepare(source, folder, data=data, recipe=recipe, overwrite=overwrite, jobs=os.cpu_count() or 1, **settings)
    with run.dataset:
        for record in run.epochs():
            if on_epoch:
                on_epoch(record)
        return finish(run)
