"""Training in a thread of its own, for a front end that has to stay responsive: watched, paused, stepped and stopped.

The work is that of the command line: `pipeline.training.prepare.prepare`, `TrainingRun.epochs` and
`TrainingRun.finish`. Whoever
watches reads the attributes; each is replaced or appended to in one step, so no lock is needed. Trainings of one
process wait for one another in a `TrainingQueue`: matrix products have one number of threads for the whole
process, and two trainings at once would disturb each other.
"""

from __future__ import annotations

import atexit
import logging
import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from model.batches import Batch, BatchSource
from model.errors import Diverged
from model.training import EpochRecord
from pipeline.classifier import ImageClassifier
from pipeline.errors import USER_ERRORS, InputError
from pipeline.training.run import TrainingRun

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.5

_UNITS, _IMAGES = 36, 1_000  # at most, in a look

_OWN_FAULT = "The training failed for a reason of its own; the terminal that runs the app says more."


class TrainingQueue:
    """Those who want to train, in the order they came; the first `at_once` of them may."""

    def __init__(self, at_once: int = 1) -> None:
        self.at_once = at_once
        self.changed = threading.Condition()
        self._waiting: list[BackgroundTraining] = []

    def enter(self, who: BackgroundTraining) -> bool:
        """Stand in line, if not there already, and tell whether it is one's turn; `changed` is held."""
        if who not in self._waiting:
            self._waiting.append(who)
            self.changed.notify_all()
        return self._waiting.index(who) < self.at_once

    def leave(self, who: BackgroundTraining) -> None:
        """Make room for the next."""
        with self.changed:
            if who in self._waiting:
                self._waiting.remove(who)
                self.changed.notify_all()

    def position(self, who: BackgroundTraining) -> int:
        """Return 1 for the next in line, 2 for the one after; 0 for those whose turn it is, or who do not wait."""
        with self.changed:
            return max(0, self._waiting.index(who) + 1 - self.at_once) if who in self._waiting else 0


QUEUE = TrainingQueue()


@dataclass(frozen=True)
class Snapshot:
    """What a network is after an epoch.

    Attributes
    ----------
    epoch : int
    W : ndarray of shape (n, n_x)
        Weights of the first units of layer 1, as they look at pixels.
    confusion : ndarray of shape (n_classes, n_classes), int, or None
        Row: true class; column: answer; of at most 1,000 validation images, where there are any.
    """

    epoch: int
    W: NDArray[np.floating]
    confusion: NDArray[np.int64] | None


class BackgroundTraining:
    """A training in a thread of its own, begun by `start`.

    Attributes
    ----------
    stage : str
        What it is doing besides epochs, in words; empty while there is nothing of the kind.
    epochs : int
        How many there will be; 0 until that is known.
    records : list of EpochRecord
        Of the epochs done.
    snapshot : Look or None
        The latest, at most half a second old, and exact whenever the training rests.
    is_over : bool
        All epochs are done, or it diverged.
    model : Path or None
        What `at_end` returned.
    error : str
        Why it failed, or ended early; empty while it has not.
    """

    def __init__(
        self,
        make: Callable[[], TrainingRun],
        *,
        at_end: Callable[[TrainingRun], Path] | None = None,
        after: Callable[[], Any] | None = None,
        queue: TrainingQueue = QUEUE,
    ) -> None:
        """Take what prepares the run, what is done with it when all its epochs are, and what tidies up after all.

        Without `at_end` the thread stays after the last epoch, for `ask`, until it is closed.
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
        self._thread = threading.Thread(target=self._work, name="training", daemon=True)

    def start(self, epochs: float = math.inf) -> BackgroundTraining:
        """Begin, do this many epochs before resting, and return at once."""
        self._credit = epochs
        _STARTED.add(self)
        self._thread.start()
        return self

    # What may be asked of it, from any thread

    def pause(self) -> None:
        """Rest after the epoch it is in."""
        self._set(0)

    def go_on(self, epochs: float = math.inf) -> None:
        """Do this many epochs more, then rest."""
        self._set(epochs)

    def watch(self, is_watched: bool) -> None:
        """Say whether anybody watches; while nobody does, it rests between epochs, and does only what was asked."""
        with self._queue.changed:
            self._is_watched = is_watched
            self._queue.changed.notify_all()

    def end(self) -> None:
        """Do what is done at the end, after the epoch it is in (the first one, at least)."""
        self._is_ending = True
        self._set(1)

    def close(self) -> None:
        """Stop at once, within a batch, and keep nothing."""
        self._closed.set()
        self._set(0)

    def ask(self, job: Callable[[TrainingRun], Any]) -> Future:
        """Have something done with the run between two epochs, when it is this training's turn."""
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
        """Wait until it rests or has ended, and tell whether it does."""
        with self._queue.changed:
            return self._queue.changed.wait_for(lambda: self.is_resting, seconds)

    def _set(self, credit: float) -> None:
        with self._queue.changed:
            self._credit = credit
            self._queue.changed.notify_all()

    # What it is

    @property
    def is_alive(self) -> bool:
        """Whether it can still be asked anything."""
        return self._thread.is_alive() and not self._has_ended

    @property
    def is_resting(self) -> bool:
        """Whether nothing will change until something is asked of it."""
        return not (self.is_alive and (self.stage or self._asked or (self._credit and not self.is_over)))

    @property
    def is_pausing(self) -> bool:
        """Whether it was asked to rest, and is still in an epoch."""
        return bool(self.stage == "Training" and not self._credit)

    @property
    def is_ending(self) -> bool:
        """Whether it was asked to end, and has not yet."""
        return self._is_ending and self.is_alive

    @property
    def position(self) -> int:
        """Place in the line of those who wait for their turn; 0 where it does not wait."""
        return self._queue.position(self)

    # The thread

    def _work(self) -> None:
        try:
            if self._next_task(preparing=True):
                self.stage = "Reading the images"
                run = self._make()
                with run.dataset:
                    self._drive(run)
        except _Closed:
            pass
        except USER_ERRORS as error:
            self.error = str(error)
        except MemoryError:
            self.error = "There is not enough memory for this network; give it fewer units, or smaller batches."
        except Exception:  # a mistake of the program: one sentence for the person, all of it for the log
            _log.exception("a training failed")
            self.error = _OWN_FAULT
        finally:
            if self._after:
                self._after()
            self._queue.leave(self)
            with self._queue.changed:
                self.stage, self._has_ended = "", True
                while self._asked:
                    self._asked.popleft()[1].cancel()
                self._queue.changed.notify_all()

    def _drive(self, run: TrainingRun) -> None:
        run.train_source = _Watched(run.train_source, self._closed)
        self.epochs = int(run.state.training.epochs)
        records = cast("Generator[EpochRecord, None, None]", run.epochs())
        with closing(records):
            while self.model is None and (task := self._next_task()):
                task(run, records)

    def _next_task(self, *, preparing: bool = False) -> Callable[[TrainingRun, Iterator[EpochRecord]], None] | None:
        """Wait for something to do, and for one's turn to do it; None: it is to close."""
        with self._queue.changed:
            while not self._closed.is_set():
                ending = bool(self._at_end) and (self.is_over or (self._is_ending and bool(self.records)))
                wanted = self._is_watched and (preparing or (self._credit and not self.is_over))
                if wanted or ending or self._asked:
                    if self._queue.enter(self):
                        if preparing or ending or self._asked:
                            return self._finish if ending else self._job
                        self.stage = "Training"
                        self._credit -= 1
                        return self._epoch
                    self.stage = "Waiting"
                else:
                    self._queue.leave(self)
                    if self._at_end is None and self.records and self._is_stale:
                        return self._take_snapshot
                    if self.stage:
                        self.stage = ""
                        self._queue.changed.notify_all()
                self._queue.changed.wait()
        return None

    def _epoch(self, run: TrainingRun, records: Iterator[EpochRecord]) -> None:
        try:
            record = next(records, None)
        except Diverged as error:
            if self._at_end:
                if run.state.epoch:
                    run.save_model()
                else:
                    run.discard()
                raise
            self.error, record = str(error), None
        if record:
            self.records.append(record)
        self.is_over = record is None or run.state.is_finished
        if self._at_end is None and self.records and time.monotonic() - self._snapshot_taken > _SECONDS_BETWEEN_LOOKS:
            self._take_snapshot(run, records)

    def _job(self, run: TrainingRun, records: Iterator[EpochRecord]) -> None:
        self.stage = "Working"
        job, future = self._asked.popleft()
        try:
            future.set_result(job(run))
        except USER_ERRORS as error:
            future.set_exception(InputError(str(error)))
        except Exception:
            _log.exception("what was asked of a training failed")
            future.set_exception(InputError(_OWN_FAULT))

    def _finish(self, run: TrainingRun, records: Iterator[EpochRecord]) -> None:
        self.stage = "Evaluating, and writing the report"
        assert self._at_end is not None
        self.model = self._at_end(run)

    _snapshot_taken = -math.inf
    _validation: tuple[NDArray[np.uint8], NDArray[np.int64]] | None = None

    @property
    def _is_stale(self) -> bool:
        return self.snapshot is None or self.snapshot.epoch < len(self.records)

    def _take_snapshot(self, run: TrainingRun, records: Iterator[EpochRecord]) -> None:
        """Look at the weights as they are now, not at the best ones so far: what moves is to be seen."""
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
    """Close every training before the process ends: one that is cut off within HDF5 would leave its lock taken."""
    trainings = list(_STARTED)
    for training in trainings:
        training.close()
    for training in trainings:
        training.wait(_SECONDS_TO_LEAVE)


class _Closed(Exception):
    """The training was closed within an epoch, which is undone."""


class _Watched:
    """A batch source that stops between two batches when it is told to."""

    def __init__(self, source: BatchSource, closed: threading.Event) -> None:
        self._source, self._closed = source, closed
        self.n_x, self.labels = source.n_x, source.labels

    def batches(self, batch_size: int, order: Sequence[int] | None) -> Iterator[Batch]:
        for batch in self._source.batches(batch_size, order):
            if self._closed.is_set():
                raise _Closed
            yield batch
