"""Threads, processes, or the machines of a cluster behind one protocol: an ordered, bounded map.

`Workers.map` yields each task with its result, in the order of the tasks, and takes only a few tasks ahead of the one
that it yields: neither the tasks nor the results have to fit into memory. Only the process that calls it writes files,
so any worker may do a task, more than once, and may die while doing it.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import pickle
import signal
import tempfile
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from pipeline.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

Task = TypeVar("Task")
Result = TypeVar("Result")
_TASKS_AHEAD = 4  # for each thread; 2 for each process, because tasks are sent there
_DEATHS_IN_A_ROW = 3
_SECONDS_FOR_THE_FIRST_WORKER = 60
_SECONDS_TO_END = 5


class Workers(Protocol):
    """Something that works on tasks: threads, processes, or machines."""

    def map(
        self, function: Callable[..., Result], shared: tuple[Any, ...], tasks: Iterable[Task]
    ) -> Iterator[tuple[Task, Result]]:
        """Yield each task with ``function(*shared, task)``, in order; only a few are taken ahead.

        Parameters
        ----------
        function : callable
            At the top of a module (or a `Divisible` of such functions); may be called twice for a task.
        shared : tuple
            Sent once to each process or machine.
        tasks : iterable
            Taken in this thread. ``str(task)`` names a task in an error.

        Raises
        ------
        ChildProcessError
            If processes or machines keep dying, or processes cannot start.
        """


@dataclass(frozen=True)
class Divisible:
    """A function whose task can be divided, so that a few large tasks keep many threads busy.

    For a task of 40 photographs, `split` gives five pieces of 8; three threads decode these side by side (`do`), and
    one of them joins the five results. A process or machine does the whole task in one go, with the same result.

    Attributes
    ----------
    split : callable
        ``split(task)`` gives the pieces.
    do : callable
        ``do(*shared, piece)``
    join : callable
        ``join(*shared, task, results)`` makes the result of the task from those of its pieces, in order.
    """

    split: Callable[[Any], Iterable[Any]]
    do: Callable[..., Any]
    join: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        """Do a task, given after all that is shared."""
        *shared, task = arguments
        return self.join(*shared, task, [self.do(*shared, piece) for piece in self.split(task)])


@dataclass(frozen=True)
class Threads:
    """Work in `n` threads of this process."""

    n: int = 1

    def map(
        self, function: Callable[..., Result], shared: tuple[Any, ...], tasks: Iterable[Task]
    ) -> Iterator[tuple[Task, Result]]:
        """See `Workers`."""
        pending: deque[tuple[Task, Future[Result]]] = deque()

        def next_result() -> tuple[Task, Result]:
            task, future = pending.popleft()
            return task, future.result()

        with ThreadPoolExecutor(self.n, thread_name_prefix="work") as pool:
            try:
                for task in tasks:
                    pending.append((task, _submitted(pool, function, shared, task)))
                    while pending and (pending[0][1].done() or len(pending) > _TASKS_AHEAD * self.n):
                        yield next_result()
                while pending:
                    yield next_result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _submitted(
    pool: ThreadPoolExecutor, function: Callable[..., Result], shared: tuple[Any, ...], task: Any
) -> Future[Result]:
    if not isinstance(function, Divisible):
        return pool.submit(function, *shared, task)
    # The pieces come before what waits for them. Threads take work in this order, so a thread that waits for a piece
    # waits for one that another thread is doing already.
    pieces = [pool.submit(function.do, *shared, piece) for piece in function.split(task)]
    return pool.submit(lambda: function.join(*shared, task, [piece.result() for piece in pieces]))


@dataclass(frozen=True)
class Processes:
    """Work in `n` processes of this machine; one that is killed is replaced, and its task is done again.

    `prepare` is called in each process when it starts.
    """

    n: int
    prepare: Callable[[], None] | None = None

    def map(
        self, function: Callable[..., Result], shared: tuple[Any, ...], tasks: Iterable[Task]
    ) -> Iterator[tuple[Task, Result]]:
        """See `Workers`."""
        # What is shared goes to the processes in a file. Through their pipe, a process that dies before it has read
        # all would make Python wait for ever.
        with tempfile.TemporaryDirectory(prefix="facette-") as folder:
            path = Path(folder, "shared")
            path.write_bytes(pickle.dumps((self.prepare, function, shared)))
            yield from self._map(path, tasks)

    def _map(self, path: Path, tasks: Iterable[Task]) -> Iterator[tuple[Task, Any]]:
        from concurrent.futures.process import BrokenProcessPool

        pending: deque[Task] = deque()
        futures: deque[Future[Any]] = deque()  # those of the first of the pending tasks
        source, deaths = iter(tasks), 0
        pool, processes = self._pool(path)
        try:
            while True:
                pending.extend(itertools.islice(source, 2 * self.n - len(pending)))
                if not pending:
                    return
                try:
                    for task in itertools.islice(pending, len(futures), None):
                        futures.append(pool.submit(_do, task))
                    result = futures[0].result()
                except BrokenProcessPool:
                    pool.shutdown(wait=False)  # some versions of Python wait forever for a broken pool
                    deaths += 1
                    codes = _exit_codes(processes)
                    if any(code > 0 for code in codes):
                        raise ChildProcessError(
                            f"worker processes cannot start or go on: one ended with exit code {max(codes)}, and wrote "
                            "the reason to standard error"
                        ) from None
                    if deaths == _DEATHS_IN_A_ROW:
                        raise ChildProcessError(
                            f"worker processes were killed {deaths} times in a row, at {pending[0]} or one of the next "
                            f"files ({_why_killed(codes)})"
                        ) from None
                    pool, processes = self._pool(path)
                    futures.clear()
                    continue
                deaths = 0
                futures.popleft()
                yield pending.popleft(), result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _pool(self, path: Path) -> tuple[ProcessPoolExecutor, list[Any]]:
        """Return a pool, and the list that will hold its processes."""
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing.context import SpawnContext  # a fork copies locks that threads hold, and waits for them

        processes = []

        class Context(SpawnContext):
            def Process(self, *arguments: Any, **options: Any) -> Any:  # type: ignore[override]
                processes.append(SpawnContext.Process(*arguments, **options))
                return processes[-1]

        return ProcessPoolExecutor(self.n, Context(), initializer=_start, initargs=(str(path),)), processes


_function: Callable[[Any], Any]


def _start(path: str) -> None:
    """Make a worker process ready: it leaves Ctrl-C to its parent, and ends when its parent has ended."""
    from threadpoolctl import threadpool_limits

    global _function
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _function = _unpickled(Path(path).read_bytes())
    except Exception as error:  # told with the first task: a process that fails here seems to have been killed
        _function = functools.partial(_refuse, f"worker processes cannot start ({type(error).__name__}: {error})")


def _refuse(why: str, task: Any) -> NoReturn:
    raise ChildProcessError(why)


def _do(task: Any) -> Any:
    return _function(task)


def _exit_codes(processes: Iterable[Any]) -> set[int]:
    """Return the exit codes of processes of a broken pool, without those that the pool has ended itself."""
    for process in processes:
        process.join(_SECONDS_TO_END)
    return {process.exitcode for process in processes} - {None, 0, -signal.SIGTERM}


def _why_killed(codes: set[int]) -> str:
    """Return a guess; the system kills with SIGKILL if there is too little memory."""
    others = sorted(signal.Signals(-code).name for code in codes - {-signal.SIGKILL})
    return f"by {', '.join(others)}: a fault in a library?" if others else "too little memory?"


def _bound(
    prepare: Callable[[], None] | None, function: Callable[..., Any], shared: tuple[Any, ...]
) -> Callable[[Any], Any]:
    if prepare:
        prepare()
    return functools.partial(function, *shared)


def _end_with_parent() -> None:
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@dataclass(frozen=True)
class DaskCluster:
    """Work on the workers of a Dask cluster, all of which see the files under the same paths.

    Attributes
    ----------
    address : str
        Address of the scheduler, such as ``tcp://scheduler:8786``.
    prepare : callable, optional
        Called on each worker before its first task.
    """

    address: str
    prepare: Callable[[], None] | None = None

    def map(
        self, function: Callable[..., Result], shared: tuple[Any, ...], tasks: Iterable[Task]
    ) -> Iterator[tuple[Task, Result]]:
        """See `Workers`.

        Raises
        ------
        MissingExtra, InputError, ChildProcessError
            If Dask is not installed; if there is no scheduler or no worker; if workers keep dying, or the scheduler
            dies.
        """
        import uuid

        distributed = _distributed()
        pending: deque[tuple[Task, Any]] = deque()
        run = uuid.uuid4().hex
        with self._client(distributed.Client) as client:
            # What is shared is a task like any other: if the workers that hold it die, it is made again elsewhere.
            data = pickle.dumps((self.prepare, function, shared))
            ready = client.submit(_unpickled, data, key=f"facette-shared-{run}")
            try:
                for number, task in enumerate(tasks):
                    pending.append((task, client.submit(_called, ready, task, key=f"facette-{run}-{number}")))
                    while len(pending) > 2 * max(1, sum(client.nthreads().values())):
                        yield pending[0][0], pending[0][1].result()
                        pending.popleft()
                while pending:
                    yield pending[0][0], pending[0][1].result()
                    pending.popleft()
            except distributed.KilledWorker as error:
                raise ChildProcessError(f"workers died again and again at about {pending[0][0]} ({error})") from None
            except (OSError, CancelledError) as error:
                if client.status == "running" and not isinstance(
                    error, (distributed.comm.CommClosedError, CancelledError)
                ):
                    raise  # the task itself raised it
                raise ChildProcessError(f"the scheduler {self.address} has gone") from None
            except ModuleNotFoundError as error:
                raise InputError(f"{self.address}: its workers lack {error.name}; install facette on them") from None
            finally:
                with contextlib.suppress(Exception):  # the scheduler may be gone
                    client.cancel([future for _, future in pending])

    @contextlib.contextmanager
    def _client(self, Client: Any) -> Iterator[Any]:
        """Connect, and wait for the first worker."""
        try:
            client = Client(self.address, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(f"--dask {self.address}: there is no scheduler there ({error})") from None
        with client, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")  # it is the model, sent once
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


def _unpickled(data: bytes) -> Callable[[Any], Any]:
    return _bound(*pickle.loads(data))


def _called(function: Callable[[Any], Any], task: Any) -> Any:
    return function(task)


def choose_workers(
    threads: int, processes: int | None, address: str | None, prepare: Callable[[], None] | None = None
) -> Workers:
    """Return worker processes if their number is given, a Dask cluster if its address is given, and threads otherwise.

    `prepare` is called where tasks are done outside this process; the caller has called it for its own threads.
    """
    if processes:
        return Processes(processes, prepare)
    return DaskCluster(address, prepare) if address else Threads(threads)
