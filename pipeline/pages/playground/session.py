"""What one visitor of the Playground has on the table: images, and a training."""

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

_PATIENCE = 2.0  # seconds to wait for what takes a tenth, unless another training is at work


class PlaygroundSession:
    """What one visitor has on the table. It goes with the session: so do its folder and its training."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="facette-"))
        self._folders = [self.folder]  # of its own, and of its trainings
        self.image_set: ImageSet | None = None
        self.problem = ""
        self.key: Hashable = None
        self.data: DataConfig | None = None  # how the images were read
        self.begun: tuple[ImageSet, Recipe] | None = None  # what the training was begun with
        self.saving: tuple[Path, Future] | None = None
        self._file: tuple[int, Future] | None = None  # the model after so many epochs
        self._trainings: list[BackgroundTraining] = []  # one at most
        self._stopping: BackgroundTraining | None = None
        self._n = 0
        weakref.finalize(self, _clear_away, self._trainings, self._folders)

    @property
    def training(self) -> BackgroundTraining | None:
        """The training, if one was begun."""
        return self._trainings[0] if self._trainings else None

    @property
    def is_set(self) -> bool:
        """Whether the images were a data set before, read and split already."""
        return bool(self.image_set and str(self.image_set.data) == self.image_set.source)

    @property
    def is_active(self) -> bool:
        """Whether what is shown of the training changes by itself."""
        return self.is_stopping or bool(self.training and not self.training.is_resting)

    @property
    def is_stopping(self) -> bool:
        """Whether a training that was dropped is still at work: what comes before its first epoch is not cut off."""
        return bool(self._stopping and self._stopping.is_alive)

    def load_images(self, key: Hashable, source: Callable[[], str | Source], data: DataConfig) -> None:
        """Read images, unless the table holds just these."""
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
        """Take the images off the table."""
        self.key, self.image_set, self.problem = None, None, ""

    def begin(self, recipe: Recipe | None, epochs: float) -> None:
        """Begin a training on the images, unless there is one: only `reset` drops it."""
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
        """Take note of whether the visitor's browser is there: a training nobody sees lets others train."""
        if self.training:
            self.training.watch(is_watched)

    def reset(self) -> None:
        """Drop the training."""
        self._stopping = self.training or self._stopping
        _close(self._trainings)
        self.begun = self.saving = self._file = None

    def model_file(self) -> bytes | None:
        """Return the model as a file; None while the training does not rest, or waits for somebody else's."""
        training = self.training
        if training is None or self.is_active:
            return None
        if self._file is None or self._file[0] != len(training.records):
            self._file = len(training.records), training.ask(model_bytes)
        future = self._file[1]
        wait([future], _PATIENCE)
        return None if not future.done() or future.cancelled() or future.exception() else future.result()


def _close(trainings: list[BackgroundTraining]) -> None:
    while trainings:
        trainings.pop().close()


def _clear_away(trainings: list[BackgroundTraining], folders: list[Path]) -> None:
    _close(trainings)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
