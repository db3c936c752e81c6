"""The phases of a run: what it is busy with, and how long each one took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum


class Phase(StrEnum):
    """What a run is busy with, in the order in which it happens."""

    READING = "reading images"
    AUGMENTATION = "choosing augmentation"
    EDGES = "learning edges"
    TIMING = "timing training steps"
    TRAINING = "training"
    SCORING = "scoring"
    FIGURES = "drawing figures"


Watch = Callable[[Phase], AbstractContextManager[object]]  # entered when a phase begins, left when it ends


class Stopwatch:
    """Measures the phases of a run.

    Parameters
    ----------
    watch : callable, optional
        Is told about each phase, too: ``with watch(phase):`` encloses it.

    Attributes
    ----------
    seconds : dict of str to float
        How long each phase took so far, by its name.
    """

    def __init__(self, watch: Watch | None = None, seconds: Mapping[str, float] | None = None) -> None:
        self.seconds: dict[str, float] = dict(seconds or {})
        self._watch = watch or nullcontext

    @contextmanager
    def __call__(self, phase: Phase) -> Iterator[None]:
        """Measure what happens in the block as part of a phase."""
        begin = time.monotonic()
        try:
            with self._watch(phase):
                yield
        finally:
            self.seconds[phase.value] = self.seconds.get(phase.value, 0.0) + time.monotonic() - begin
