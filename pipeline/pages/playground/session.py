"""The state of one visitor of the Playground: the images and the run."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path

import streamlit as st

from pipeline.data.config import DataConfig
from pipeline.errors import USER_ERRORS
from pipeline.playground.images import ImageSet, read_image_set
from pipeline.playground.session import begin_session, model_bytes
from pipeline.sources.source import Source
from pipeline.training.background import BackgroundTraining
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import run_name

_PATIENCE = 2.0  # seconds; the model file takes a tenth of a second, unless another run is at work


class PlaygroundSession:
    """The images and the run of one visitor. When the session ends, its folders are deleted and its run stops."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="facette-"))
        self._folders = [self.folder]  # its own folder, and those of its runs
        self.image_set: ImageSet | None = None
        self.problem = ""
        self.key: Hashable = None
        self.data: DataConfig | None = None  # how the images were read
        self.begun: tuple[ImageSet, Recipe] | None = None  # what the run started with
        self.save_as = ""  # the name proposed for this run
        self.saving: tuple[Path, Future] | None = None
        self.saved_as = self.save_problem = ""  # how the last press of Save ended
        self._file: tuple[int, Future] | None = None  # a number of epochs, and the model after them
        self._trainings: list[BackgroundTraining] = []  # one at most
        self._stopping: BackgroundTraining | None = None
        self._n = 0
        self._finalizer = weakref.finalize(self, _release, self._trainings, self._folders)

    def close(self) -> None:
        """Stop the run and delete the folders; a session that is garbage-collected does so by itself."""
        self._finalizer()

    @property
    def training(self) -> BackgroundTraining | None:
        """The run, if there is one."""
        return self._trainings[0] if self._trainings else None

    @property
    def is_set(self) -> bool:
        """Whether the images come from a data set, so that they are read and split already."""
        return bool(self.image_set and str(self.image_set.data) == self.image_set.source)

    @property
    def is_active(self) -> bool:
        """Whether what is shown of the run changes by itself."""
        return self.is_stopping or bool(self.training and not self.training.is_resting)

    @property
    def is_stopping(self) -> bool:
        """Whether a run that was reset is still at work: the steps before its first epoch are not interrupted."""
        return bool(self._stopping and self._stopping.is_alive)

    def load_images(self, key: Hashable, source: Callable[[], str | Source], data: DataConfig) -> None:
        """Read images, unless they are loaded already."""
        if (key, data) == (self.key, self.data):
            return
        self._n += 1
        folder = self.folder / f"images-{self._n}"
        self.key, self.data, self.image_set, self.problem = key, data, None, ""
        try:
            folder.mkdir(parents=True)
            with st.spinner("Reading the images …"):
                self.image_set = read_image_set(source(), folder, data)
        except USER_ERRORS as error:
            self.problem = str(error)
        used = {self.image_set and self.image_set.data.parent, self.begun and self.begun[0].data.parent}
        for other in self.folder.glob("images-*"):
            if other not in used:
                shutil.rmtree(other, ignore_errors=True)

    def reset_images(self) -> None:
        """Forget the images."""
        self.key, self.image_set, self.problem = None, None, ""

    def begin(self, recipe: Recipe | None, epochs: float) -> None:
        """Start a run on the images, unless there is one already: only `reset` ends it."""
        if self.training:
            return
        assert self.image_set is not None
        assert recipe is not None
        self.begun = self.image_set, recipe
        folder = Path(tempfile.mkdtemp(prefix="facette-"))
        self._folders.append(folder)
        make = partial(begin_session, self.image_set, recipe, folder / run_name(self.image_set.source))
        training = BackgroundTraining(make, after=partial(shutil.rmtree, folder, ignore_errors=True))
        self._trainings.append(training.start(epochs))

    def watch(self, is_watched: bool) -> None:
        """Note whether the visitor is there: a run that nobody watches lets other runs go first."""
        if self.training:
            self.training.watch(is_watched)

    def reset(self) -> None:
        """End the run and forget it."""
        self._stopping = self.training or self._stopping
        _stop(self._trainings)
        self.begun = self.saving = self._file = None
        self.save_as = self.saved_as = self.save_problem = ""

    def model_file(self) -> bytes | None:
        """Return the model as a file; None while the run is active or waits for another one."""
        training = self.training
        if training is None or self.is_active:
            return None
        if self._file is None or self._file[0] != len(training.records):
            self._file = len(training.records), training.ask(model_bytes)
        future = self._file[1]
        wait([future], _PATIENCE)
        return None if not future.done() or future.cancelled() or future.exception() else future.result()


def _stop(trainings: list[BackgroundTraining]) -> None:
    while trainings:
        trainings.pop().close()


def _release(trainings: list[BackgroundTraining], folders: list[Path]) -> None:
    _stop(trainings)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
