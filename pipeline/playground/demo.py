"""Train a demo in the background, as `facette demo` does."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from pipeline.sources.demo import write_demo
from pipeline.training.background import BackgroundTraining
from pipeline.training.prepare import prepare
from pipeline.training.run import TrainingRun
from pipeline.training.run_folder import run_folder


def train_demo(demo: str, runs: str | Path, data: str | Path = "data", **settings: Any) -> BackgroundTraining:
    """Return a training on demo images, not begun yet, which ends with a run as `facette demo` leaves it.

    Parameters
    ----------
    demo : str
        A name of `pipeline.sources.demo.DEMOS`.
    runs, data : str or Path
        Folders of the runs and of the demo's images.
    **settings
        Fields of `pipeline.training.recipe.Recipe`.
    """

    def finish(run: TrainingRun) -> Path:
        run.finish()
        return run.folder / "model.h5"

    return BackgroundTraining(partial(_prepare_demo, demo, Path(runs), Path(data), settings), at_end=finish)


def _prepare_demo(demo: str, runs: Path, data: Path, settings: dict[str, Any]) -> TrainingRun:
    source = write_demo(demo, data / demo)
    return prepare(source, run_folder(runs, None, Path(f"demo-{demo}")), **settings)
