"""A few threads that go through a training step side by side, each with its part of the batch.

NumPy lets go of Python's lock inside matrix products and element-wise loops, so threads do run at the same time.
Parts of a batch, each with a product of its own, share the element-wise work too, and a thread that waits sleeps;
the threads inside BLAS share the products alone, and keep a busy machine busier while they wait. Limit BLAS to one
thread where there is more than one of these (``threadpoolctl``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple, TypeVar

import numpy as np

from model.activations import Array

Result = TypeVar("Result")


class Share(NamedTuple):
    """What a part of a batch has to know of the whole: its number of examples, and how to add up over the parts."""

    m: int
    total: Callable[[Array], Array]


class Team:
    """`size` threads, the caller's among them. Sums do not depend on which is faster."""

    def __init__(self, size: int = 1) -> None:
        self.size = size
        self._others = ThreadPoolExecutor(size - 1, thread_name_prefix="team") if size > 1 else None
        self._meeting = threading.Barrier(size, action=self._add_up)
        self._parts: list[Array] = [np.empty(0)] * size
        self._total: Array = np.empty(0)

    def run(self, work: Callable[[int], Result]) -> list[Result]:
        """Call ``work(k)`` for k = 0 .. size - 1 at the same time; return what they return, in this order.

        Nobody is still at work when this returns or raises; once it has raised, the team is of no more use.
        """
        if self._others is None:
            return [work(0)]
        others: list[Future[Result]] = []
        try:
            for k in range(1, self.size):
                others.append(self._others.submit(self._take_part, work, k))
            results = [self._take_part(work, 0)]
            results += [other.result() for other in others]
        except BaseException as error:  # an interrupt may come even before this thread takes its part
            self._meeting.abort()
            wait(others)
            if isinstance(error, threading.BrokenBarrierError):  # the real error is another thread's
                for other in others:
                    if not isinstance(cause := other.exception(), threading.BrokenBarrierError | None):
                        raise cause from None
            raise
        return results

    def _take_part(self, work: Callable[[int], Result], k: int) -> Result:
        try:
            return work(k)
        except BaseException:
            self._meeting.abort()  # the others would wait for this one forever
            raise

    def part(self, k: int, m: int) -> slice:
        """Return which of m examples are the part of member k."""
        return slice(m * k // self.size, m * (k + 1) // self.size)

    def total(self, k: int, part: Array) -> Array:
        """Return the sum of what all members hold; each calls this in its ``work(k)``, equally often."""
        if self.size == 1:
            return part
        self._parts[k] = part
        self._meeting.wait()
        return self._total

    def _add_up(self) -> None:
        total = self._parts[0].copy()
        for part in self._parts[1:]:
            total += part
        self._total = total
