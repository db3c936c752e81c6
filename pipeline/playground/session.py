"""A training run that lives as long as a visit to the Playground, and keeping what comes out of it."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from pipeline.evaluation.calibrate import calibrated
from pipeline.playground.images import ImageSet
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe
from pipeline.training.run import TrainingRun
from pipeline.training.run_folder import making


def begin_session(image_set: ImageSet, recipe: Recipe, folder: Path) -> TrainingRun:
    """Prepare a run in a folder that is there for the session only.

    Raises
    ------
    InputError, ConfigError
    """
    run = prepare(image_set.data, folder, recipe=recipe)
    run.source = image_set.source
    return run


def keep_run(run: TrainingRun, folder: Path) -> Path:
    """Finish a run in a folder of its own as `facette train` does, and return the model; the run can go on after.

    A data set that is only there for the session is copied along.

    Raises
    ------
    InputError
        When the folder holds a run, or cannot be written.
    """
    with making(folder, overwrite=False):
        data = run.data_path
        if str(data) != run.source:
            data = Path(shutil.copyfile(data, folder / "data.h5"))
        kept = dataclasses.replace(run, folder=folder, data_path=data)
        kept.write_config()
        kept.save_checkpoint()
        kept.finish()
    return folder / "model.h5"


def model_bytes(run: TrainingRun) -> bytes:
    """Return the weights to keep so far as the bytes of a model file."""
    run.save_model(classifier=calibrated(run.classifier(), run.dataset))
    return (run.folder / "model.h5").read_bytes()
