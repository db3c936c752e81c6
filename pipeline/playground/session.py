"""A training run that lives as long as a visit to the Playground, and keeping its model."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from pipeline.data.dataset import Dataset
from pipeline.evaluation.calibrate import calibrated
from pipeline.playground.images import ImageSet
from pipeline.training.finish import finish, save_model
from pipeline.training.prepare import begin, write_config
from pipeline.training.recipe import Recipe
from pipeline.training.run import TrainingRun
from pipeline.training.run_folder import making


def begin_session(image_set: ImageSet, recipe: Recipe, folder: Path) -> TrainingRun:
    """Prepare a run in a folder that exists for the session only.

    Raises
    ------
    InputError, ConfigError
        When the images, the folder or the recipe cannot work.
    """
    with making(folder, overwrite=False):
        dataset = Dataset.open(image_set.data)
        try:
            return begin(dataset, folder, recipe, source=image_set.source, data_path=image_set.data)
        except BaseException:
            dataset.close()
            raise


def keep_run(run: TrainingRun, folder: Path) -> Path:
    """Finish a run in a folder of its own as `facette train` does, and return the model; the run can continue.

    A data set that exists for the session only is copied along.

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
        write_config(kept)
        kept.save_checkpoint()
        finish(kept)
    return folder / "model.h5"


def model_bytes(run: TrainingRun) -> bytes:
    """Return the classifier with the weights to keep so far, as the bytes of a model file."""
    save_model(run, calibrated(run.classifier(), run.dataset))
    return (run.folder / "model.h5").read_bytes()
