"""Training in a thread of its own, for a front end that has to stay responsive: watched, paused, stepped and stopped.

The work is that of the command line: `pipeline.training.prepare.prepare`, `TrainingRun.epochs` and
`pipeline.training.finish.finish`. The front end reads the attributes; each is replaced or appended to in one step, so
no lock is needed. The runs of one process wait for each other in a `TrainingQueue`: the number of threads of matrix
products is set for the whole process, and two runs at once would slow each other down.
"""

from __future__ import annotations

import atexit
import logging
import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import Diverged
from model.training import EpochRecord
from pipeline.classifier import ImageClassifier
from pipeline.errors import USER_ERRORS, InputError, explain
from pipeline.training.finish import save_model
from pipeline.training.run import TrainingRun

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN_SNAPSHOTS = 0.5

_UNITS, _IMAGES = 36, 1_000  # at most, in a snapshot

_OWN_FAULT = "The training failed because of a bug in Facette; the terminal that runs the app shows the details."


class TrainingQueue:
    """The runs that want to train, in the order in which they came; the first `at_once` of them have their turn."""

    def __init__(self, at_once: int = 1) -> None:
        self.at_once = at_once
        self.changed = threading.Condition()
        self._waiting: list[BackgroundTraining] = []

    def enter(self, who: BackgroundTraining) -> bool:
        """Add a run, unless it waits already, and tell whether it is its turn; the caller holds `changed`."""
        if who not in self._waiting:
            self._waiting.append(who)
            self.changed.notify_all()
        return self._waiting.index(who) < self.at_once

    def leave(self, who: BackgroundTraining) -> None:
        """Remove a run, so that the next one has its turn."""
        with self.changed:
            if who in self._waiting:
                self._waiting.remove(who)
                self.changed.notify_all()

    def position(self, who: BackgroundTraining) -> int:
        """Return 1 for the next run, 2 for the one after it; 0 for a run that has its turn or does not wait."""
        with self.changed:
            return max(0, self._waiting.index(who) + 1 - self.at_once) if who in self._waiting else 0


QUEUE = TrainingQueue()


@dataclass(frozen=True)
class Snapshot:
    """The network after an epoch.

    Attributes
    ----------
    epoch : int
    W : ndarray of shape (n, n_x)
        Weights of the first units of layer 1, on pixels from 0 to 1.
    confusion : ndarray of shape (n_classes, n_classes), int, or None
        Row: true class; column: predicted class; for at most 1,000 validation images. None if there are no such
        images.
    """

    epoch: int
    W: NDArray[np.floating]
    confusion: NDArray[np.int64] | None


class BackgroundTraining:
    """A run that is trained in a thread of its own, from `start` on.

    Attributes
    ----------
    stage : str
        What it is doing, in words; empty while it rests.
    epochs : int
        Number of epochs of the run; 0 until that is known.
    records : list of EpochRecord
        One for each epoch done.
    snapshot : Snapshot or None
        The latest one: at most half a second old, and that of the last epoch while the run rests.
    is_over : bool
        Whether all epochs are done, or the training diverged.
    model : Path or None
        What `at_end` returned.
    error : str
        Why it failed or ended early; empty if it did not.
    """

    def __init__(
        self,
        make: Callable[[], TrainingRun],
        *,
        at_end: Callable[[TrainingRun], Path] | None = None,
        after: Callable[[], Any] | None = None,
        queue: TrainingQueue = QUEUE,
    ) -> None:
        """Describe a run.

        Parameters
        ----------
        make : callable
            Prepares the run; called in the thread.
        at_end : callable, optional
            Called with the run after its last epoch; returns the model file. Without it the thread stays after the
            last epoch, for `ask`, until it is closed.
        after : callable, optional
            Called last, whatever happened.
        queue : TrainingQueue
        """
        self.stage, self.epochs = "Starting", 0
        self.records: list[EpochRecord] = []
        self.snapshot: Snapshot | None = None
        self.is_over = False
        self.model: Path | None = None
        self.error = ""
        self._make, self._at_end, self._after, self._queue = make, at_end, after, queue
        self._credit: float = math.inf  # epochs it may do before it rests
        self._asked: deque[tuple[Callable[[TrainingRun], Any], Future]] = deque()
        self._is_ending = self._has_ended = False
        self._is_watched = True
        self._closed = threading.Event()
        self._open = ExitStack()  # what is closed when the thread ends
        self._run: TrainingRun | None = None  # from `_prepare` on
        self._records: Generator[EpochRecord, None, None] | None = None
        self._thread = threading.Thread(target=self._work, name="training", daemon=True)

    def start(self, epochs: float = math.inf) -> BackgroundTraining:
        """Start the thread, which trains this many epochs and then rests; return at once."""
        self._credit = epochs
        _STARTED.add(self)
        self._thread.start()
        return self

    # Requests, from any thread

    def pause(self) -> None:
        """Rest after the current epoch."""
        self._set(0)

    def go_on(self, epochs: float = math.inf) -> None:
        """Train this many epochs more, then rest."""
        self._set(epochs)

    def watch(self, is_watched: bool) -> None:
        """Say whether a user watches; while none does, it rests between epochs, and does only what `ask` requests."""
        with self._queue.changed:
            self._is_watched = is_watched
            self._queue.changed.notify_all()

    def end(self) -> None:
        """Call `at_end` after the current epoch, or after the first one if there is none yet."""
        self._is_ending = True
        self._set(1)

    def close(self) -> None:
        """Stop within a batch, and keep nothing."""
        self._closed.set()
        self._set(0)

    def ask(self, job: Callable[[TrainingRun], Any]) -> Future:
        """Have a function called with the run between two epochs, when the run has its turn."""
        future: Future = Future()
        with self._queue.changed:
            if self.is_alive:
                self._asked.append((job, future))
                self._queue.changed.notify_all()
            else:
                future.cancel()
        return future

    def wait(self, seconds: float | None = None) -> None:
        """Wait until its thread has ended."""
        self._thread.join(seconds)

    def wait_for_rest(self, seconds: float | None = None) -> bool:
        """Wait until it rests or has ended, and tell whether it does; for tests."""
        with self._queue.changed:
            return self._queue.changed.wait_for(lambda: self.is_resting, seconds)

    def _set(self, credit: float) -> None:
        with self._queue.changed:
            self._credit = credit
            self._queue.changed.notify_all()

    # State

    @property
    def is_alive(self) -> bool:
        """Whether it still takes requests."""
        return self._thread.is_alive() and not self._has_ended

    @property
    def is_resting(self) -> bool:
        """Whether nothing will change before the next request."""
        return not (self.is_alive and (self.stage or self._asked or (self._credit and not self.is_over)))

    @property
    def is_ending(self) -> bool:
        """Whether `end` was requested, and it has not ended yet."""
        return self._is_ending and self.is_alive

    @property
    def position(self) -> int:
        """Position among the runs that wait for their turn; 0 if it does not wait."""
        return self._queue.position(self)

    # The thread

    def _work(self) -> None:
        try:
            with self._open:
                while self.model is None and (task := self._next_task()):
                    task()
        except _Closed:
            pass
        except USER_ERRORS as error:
            self.error = explain(error)
        except MemoryError:
            self.error = "There is not enough memory for this network; give it fewer units, or smaller batches."
        except Exception:  # a bug: one sentence for the user, all of it for the log
            _log.exception("a training run failed")
            self.error = _OWN_FAULT
        finally:
            self._run = self._records = None
            if self._after:
                self._after()
            self._queue.leave(self)
            with self._queue.changed:
                self.stage, self._has_ended = "", True
                while self._asked:
                    self._asked.popleft()[1].cancel()
                self._queue.changed.notify_all()

    def _next_task(self) -> Callable[[], None] | None:
        """Wait until there is a task and this run has its turn; return the task, or None when the run is closed."""
        with self._queue.changed:
            while not self._closed.is_set():
                task = self._wanted_task()
                if task is None:
                    self._queue.leave(self)
                    if self._at_end is None and self._run and self.records and self._is_stale:
                        return self._take_snapshot
                    if self.stage:
                        self.stage = ""
                        self._queue.changed.notify_all()
                elif self._queue.enter(self):
                    if task == self._train_epoch:
                        self.stage = "Training"
                        self._credit -= 1
                    return task
                else:
                    self.stage = "Waiting"
                self._queue.changed.wait()
        return None

    def _wanted_task(self) -> Callable[[], None] | None:
        """Return what to do next, by the first line of this table that holds; None: the run rests.

        ======================================================================== ================
        not prepared yet, and watched or something was asked                     `_prepare`
        not prepared yet                                                         None
        there is an `at_end`, and all epochs are done, or `end` after an epoch   `_finish`
        something was asked                                                      `_answer`
        watched, and there are epochs left that were requested                   `_train_epoch`
        else                                                                     None
        ======================================================================== ================
        """
        if self._run is None:
            return self._prepare if self._is_watched or self._asked else None
        if self._at_end and (self.is_over or (self._is_ending and self.records)):
            return self._finish
        if self._asked:
            return self._answer
        return self._train_epoch if self._is_watched and self._credit and not self.is_over else None

    def _prepare(self) -> None:
        self.stage = "Reading the images"
        run = self._make()
        self._open.enter_context(run.dataset)
        self._records = self._open.enter_context(closing(run.epochs(before_batch=self._stop_if_closed)))
        self.epochs = run.state.training.epochs
        self._run = run

    def _stop_if_closed(self) -> None:
        if self._closed.is_set():
            raise _Closed

    def _train_epoch(self) -> None:
        run, records = self._prepared
        try:
            record = next(records, None)
        except Diverged as error:
            if self._at_end:
                if run.state.epoch:
                    save_model(run)
                else:
                    run.discard()
                raise
            self.error, record = explain(error), None
        if record:
            self.records.append(record)
        self.is_over = record is None or run.state.is_finished
        is_due = time.monotonic() - self._snapshot_taken > _SECONDS_BETWEEN_SNAPSHOTS
        if self._at_end is None and self.records and is_due:
            self._take_snapshot()

    def _answer(self) -> None:
        self.stage = "Working"
        job, future = self._asked.popleft()
        try:
            future.set_result(job(self._prepared[0]))
        except USER_ERRORS as error:
            future.set_exception(InputError(str(error)))
        except Exception:
            _log.exception("what was asked of a training run failed")
            future.set_exception(InputError(_OWN_FAULT))

    def _finish(self) -> None:
        self.stage = "Evaluating, and writing the report"
        assert self._at_end is not None
        self.model = self._at_end(self._prepared[0])

    @property
    def _prepared(self) -> tuple[TrainingRun, Generator[EpochRecord, None, None]]:
        assert self._run is not None
        assert self._records is not None
        return self._run, self._records

    _snapshot_taken = -math.inf
    _validation: tuple[NDArray[np.uint8], NDArray[np.int64]] | None = None

    @property
    def _is_stale(self) -> bool:
        return self.snapshot is None or self.snapshot.epoch < len(self.records)

    def _take_snapshot(self) -> None:
        """Keep the weights as they are now, not the best ones so far: the user wants to see them change."""
        run, _ = self._prepared
        if self._validation is None:
            rows = run.dataset.indices("validation")[:_IMAGES]
            self._validation = run.dataset.take(rows), run.dataset.labels[rows]
        state, n_classes = replace(run.state, best=None), len(run.dataset.classes)
        classifier = ImageClassifier.from_state(state, run.preprocessor, run.dataset.classes)
        images, labels = self._validation
        confusion = None
        if len(labels):
            confusion = np.zeros((n_classes, n_classes), np.int64)
            np.add.at(confusion, (labels, classifier.probabilities(images).argmax(axis=0)), 1)
        self.snapshot = Snapshot(state.epoch, classifier.parameters[1].W[:_UNITS].copy(), confusion)
        self._snapshot_taken = time.monotonic()


_STARTED: weakref.WeakSet[BackgroundTraining] = weakref.WeakSet()

_SECONDS_TO_LEAVE = 10


@atexit.register
def _close_all() -> None:
    """Close every run before the process ends: a thread that is cut off within HDF5 would leave its lock taken."""
    trainings = list(_STARTED)
    for training in trainings:
        training.close()
    for training in trainings:
        training.wait(_SECONDS_TO_LEAVE)


class _Closed(Exception):
    """The run was closed within an epoch, which is undone."""
