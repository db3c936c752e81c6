"""Work in several processes, or on many machines: other ways to work on the chunks of `pipeline.prediction.job`.

A chunk goes out as a list of items, or as a stretch of a data set, and comes back as lines; only the process that began
writes files. So it does not matter who does a chunk, how often, or who dies over it. `map` does the same for any
function that may be done twice.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeVar

from pipeline.classifier import ImageClassifier
from pipeline.errors import InputError, MissingExtra
from pipeline.prediction.chunks import ItemChunk
from pipeline.prediction.inputs import DatasetSlice
from pipeline.prediction.job import ChunkResult, classify_chunk
from pipeline.prediction.predict import Settings

Task = TypeVar("Task")
Result = TypeVar("Result")
_DEATHS_IN_A_ROW = 3
_SECONDS_FOR_THE_FIRST_WORKER = 60


@dataclass(frozen=True)
class Processes:
    """Work in `workers` processes of this machine; one that is killed is replaced, and its task done again."""

    workers: int

    def __call__(
        self, classifier: ImageClassifier, chunks: Iterable[ItemChunk], settings: Settings
    ) -> Iterator[tuple[ItemChunk, ChunkResult]]:
        """See `pipeline.prediction.job.Work`, and `map`."""
        return self.map(classify_chunk, (classifier, settings), chunks)

    def map(
        self, function: Callable[..., Result], shared: tuple[Any, ...], tasks: Iterable[Task]
    ) -> Iterator[tuple[Task, Result]]:
        """Yield each task with ``function(*shared, task)``, in order; only a few are taken ahead.

        Parameters
        ----------
        function : callable
            At the top of a module; may be called twice for a task.
        shared : tuple
            Sent to each process once.
        tasks : iterable
            ``str(task)`` says in an error what it is about.

        Raises
        ------
        ChildProcessError
            When processes keep dying.
        """
        waiting: deque[Task] = deque()
        futures: deque[Future[Result]] = deque()  # of the first tasks that wait
        source, deaths = iter(tasks), 0
        pool = self._pool(function, shared)
        try:
            while True:
                waiting.extend(itertools.islice(source, 2 * self.workers - len(waiting)))
                if not waiting:
                    return
                try:
                    for task in itertools.islice(waiting, len(futures), None):
                        futures.append(pool.submit(_do, task))
                    done = futures[0].result()
                except BrokenProcessPool:
                    pool.shutdown(wait=False)  # some versions of Python wait for ever for a broken one
                    deaths += 1
                    if deaths == _DEATHS_IN_A_ROW:
                        raise ChildProcessError(
                            f"worker processes were killed {deaths} times in a row, at {waiting[0]} and what follows "
                            "(too little memory?)"
                        ) from None
                    pool = self._pool(function, shared)
                    futures.clear()
                    continue
                deaths = 0
                futures.popleft()
                yield waiting.popleft(), done
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _pool(self, function: Callable[..., Any], shared: tuple[Any, ...]) -> ProcessPoolExecutor:
        spawn = multiprocessing.get_context("spawn")  # threads and forks do not go together
        return ProcessPoolExecutor(self.workers, spawn, initializer=_begin, initargs=(function, shared))


_here: Callable[[Any], Any]


def _begin(function: Callable[..., Any], shared: tuple[Any, ...]) -> None:
    """Make a worker process ready: it leaves Ctrl-C to its parent, and ends when that is gone."""
    from threadpoolctl import threadpool_limits

    global _here
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _here = functools.partial(function, *shared)


def _do(task: Any) -> Any:
    return _here(task)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@dataclass(frozen=True)
class Cluster:
    """Work on the workers of a Dask cluster, all of which see the files under the same paths.

    Attributes
    ----------
    address : str
        Of the scheduler, such as ``tcp://scheduler:8786``.
    """

    address: str

    def __call__(
        self, classifier: ImageClassifier, chunks: Iterable[ItemChunk], settings: Settings
    ) -> Iterator[tuple[ItemChunk, ChunkResult]]:
        """See `pipeline.prediction.job.Work`, and `map`."""
        return self.map(classify_chunk, (classifier, settings), map(_located, chunks))

    def map(
        self, function: Callable[..., Result], shared: tuple[Any, ...], tasks: Iterable[Task]
    ) -> Iterator[tuple[Task, Result]]:
        """Yield each task with ``function(*shared, task)``, in order; as `Processes.map`.

        Raises
        ------
        MissingExtra, InputError, ChildProcessError
            When Dask is not installed; when there is no scheduler or no worker; when workers keep dying, or the
            scheduler does.
        """
        distributed = _distributed()
        waiting: deque[tuple[Task, Any]] = deque()
        run = uuid.uuid4().hex
        with self._client(distributed.Client) as client:
            # What is shared is a task like any other: where the workers that hold it die, it is made again elsewhere.
            ready = client.submit(_bound, pickle.dumps((function, shared)), key=f"facette-shared-{run}")
            try:
                for number, task in enumerate(tasks):
                    waiting.append((task, client.submit(_called, ready, task, key=f"facette-{run}-{number}")))
                    while len(waiting) > 2 * max(1, sum(client.nthreads().values())):
                        yield waiting[0][0], waiting[0][1].result()
                        waiting.popleft()
                while waiting:
                    yield waiting[0][0], waiting[0][1].result()
                    waiting.popleft()
            except distributed.KilledWorker as error:
                raise ChildProcessError(f"workers died again and again at about {waiting[0][0]} ({error})") from None
            except (OSError, CancelledError) as error:
                if client.status == "running" and not isinstance(
                    error, (distributed.comm.CommClosedError, CancelledError)
                ):
                    raise  # a task's own
                raise ChildProcessError(f"the scheduler {self.address} has gone") from None
            except ModuleNotFoundError as error:
                raise InputError(f"{self.address}: its workers lack {error.name}; install facette on them") from None
            finally:
                with contextlib.suppress(Exception):  # the scheduler may be gone
                    client.cancel([future for _, future in waiting])

    @contextlib.contextmanager
    def _client(self, Client: Any) -> Iterator[Any]:
        """Connect, and wait for the first worker."""
        try:
            client = Client(self.address, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(f"--dask {self.address}: there is no scheduler there ({error})") from None
        with client, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")  # the model, and once
            try:
                client.wait_for_workers(1, timeout=_SECONDS_FOR_THE_FIRST_WORKER)
            except TimeoutError:
                raise InputError(f"--dask {self.address}: the scheduler has no workers; start some") from None
            yield client


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise MissingExtra("Work on a Dask cluster", "cluster") from None
    return distributed


def _bound(data: bytes) -> Callable[[Any], Any]:
    function, shared = pickle.loads(data)
    return functools.partial(function, *shared)


def _called(function: Callable[[Any], Any], task: Any) -> Any:
    return function(task)


def _located(chunk: ItemChunk) -> ItemChunk:
    """Return a chunk with absolute paths: a worker is in another folder."""
    items = chunk.items
    if isinstance(items, DatasetSlice):
        return chunk._replace(items=replace(items, path=_absolute(items.path)))
    return chunk._replace(items=[item._replace(path=_absolute(item.path)) for item in items])


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100
