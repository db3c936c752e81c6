"""Trains a demo in the background, as `facette demo` does."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pipeline.sources.demo import write_demo
from pipeline.training.background import BackgroundTraining
from pipeline.training.finish import finish
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe
from pipeline.training.run import TrainingRun
from pipeline.training.run_folder import run_folder


def train_demo(
    demo: str, runs: str | Path, data: str | Path = "data", *, recipe: Recipe | None = None
) -> BackgroundTraining:
    """Return a training on demo images, not started yet, which ends with a run as `facette demo` leaves it.

    Parameters
    ----------
    demo : str
        A name in `pipeline.sources.demo.DEMOS`.
    runs, data : str or Path
        Folders of the runs and of the demo's images.
    recipe : Recipe, optional
    """
    return BackgroundTraining(partial(_prepare_demo, demo, Path(runs), Path(data), recipe), at_end=_finish_demo)


def _prepare_demo(demo: str, runs: Path, data: Path, recipe: Recipe | None) -> TrainingRun:
    source = write_demo(demo, data / demo)
    return prepare(source, run_folder(runs, None, Path(f"demo-{demo}")), recipe=recipe)


def _finish_demo(run: TrainingRun) -> Path:
    finish(run)
    return run.folder / "model.h5"
