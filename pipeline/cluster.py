"""Classify in several processes, or on many machines: other ways to work on the chunks of `pipeline.batch`.

A chunk goes out as a list of items and comes back as rows; only the process that began writes files. So it does not
matter who does a chunk, how often, or who dies over it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import uuid
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from pipeline.batch import Chunk, classify_chunk
from pipeline.classifier import ImageClassifier
from pipeline.errors import InputError, MissingExtra
from pipeline.inputs import Item
from pipeline.predict import Classified, Settings

_DEATHS_IN_A_ROW = 3
_SECONDS_FOR_THE_FIRST_WORKER = 60


@dataclass(frozen=True)
class Processes:
    """Classify in `workers` processes of this machine; one that is killed is replaced, and its chunk done again."""

    workers: int

    def __call__(
        self, classifier: ImageClassifier, chunks: Iterable[Chunk], settings: Settings
    ) -> Iterator[tuple[Chunk, Classified]]:
        """See `pipeline.batch.Work`.

        Raises
        ------
        ChildProcessError
            When processes keep dying.
        """
        waiting: deque[Chunk] = deque()
        futures: dict[int, Future[Classified]] = {}
        source, deaths = iter(chunks), 0
        pool = self._pool(classifier, settings)
        try:
            while True:
                while len(waiting) < 2 * self.workers and (chunk := next(source, None)):
                    waiting.append(chunk)
                if not waiting:
                    return
                try:
                    for chunk in waiting:
                        if chunk.number not in futures:
                            futures[chunk.number] = pool.submit(_classify_here, chunk.items)
                    done = futures[waiting[0].number].result()
                except BrokenProcessPool:
                    deaths += 1
                    if deaths == _DEATHS_IN_A_ROW:
                        raise ChildProcessError(
                            f"worker processes were killed {deaths} times in a row, while classifying "
                            f"{waiting[0].items[0].name} and what follows (too little memory?)"
                        ) from None
                    pool.shutdown(wait=False)  # some versions of Python wait for ever for a broken one
                    pool = self._pool(classifier, settings)
                    futures.clear()
                    continue
                deaths = 0
                del futures[waiting[0].number]
                yield waiting.popleft(), done
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _pool(self, classifier: ImageClassifier, settings: Settings) -> ProcessPoolExecutor:
        spawn = multiprocessing.get_context("spawn")  # threads and forks do not go together
        return ProcessPoolExecutor(self.workers, spawn, initializer=_begin, initargs=(classifier, settings))


_here: tuple[ImageClassifier, Settings]


def _begin(classifier: ImageClassifier, settings: Settings) -> None:
    """Make a worker process ready: it leaves Ctrl-C to its parent, and ends when that is gone."""
    from threadpoolctl import threadpool_limits

    global _here
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _here = classifier, settings


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _classify_here(items: list[Item]) -> Classified:
    classifier, settings = _here
    return classify_chunk(classifier, items, settings)


@dataclass(frozen=True)
class Cluster:
    """Classify on the workers of a Dask cluster, all of which see the files under the same paths.

    Attributes
    ----------
    address : str
        Of the scheduler, such as ``tcp://scheduler:8786``.
    """

    address: str

    def __call__(
        self, classifier: ImageClassifier, chunks: Iterable[Chunk], settings: Settings
    ) -> Iterator[tuple[Chunk, Classified]]:
        """See `pipeline.batch.Work`.

        Raises
        ------
        MissingExtra, InputError, ChildProcessError
            When Dask is not installed; when there is no scheduler or no worker; when workers keep dying.
        """
        distributed = _distributed()
        waiting: deque[tuple[Chunk, Any]] = deque()
        run = uuid.uuid4().hex
        with self._client(distributed.Client) as client:
            # The model is a task like any other: where the workers that hold it die, it is made again elsewhere.
            model = client.submit(pickle.loads, pickle.dumps(classifier), key=f"facette-model-{run}")
            try:
                for chunk in chunks:
                    key = f"facette-{run}-{chunk.number}"
                    waiting.append((chunk, client.submit(classify_chunk, model, _located(chunk), settings, key=key)))
                    while len(waiting) > 2 * max(1, sum(client.nthreads().values())):
                        yield waiting[0][0], waiting[0][1].result()
                        waiting.popleft()
                while waiting:
                    yield waiting[0][0], waiting[0][1].result()
                    waiting.popleft()
            except distributed.KilledWorker as error:
                raise ChildProcessError(
                    f"workers died again and again while classifying about {waiting[0][0].items[0].name} ({error})"
                ) from None
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


def _located(chunk: Chunk) -> list[Item]:
    """Return a chunk's items with absolute paths: a worker is in another folder."""
    return [item._replace(path=Path(os.path.abspath(item.path))) for item in chunk.items]  # noqa: PTH100
