"""Several processes, many machines: the same result, even when some of them are killed."""

from __future__ import annotations

import contextlib
import csv
import itertools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.invocation import install_command
from pipeline.workers import DaskCluster, Divisible, Processes, Threads, choose_workers

MANY = 2000


@pytest.fixture
def many(faces, own_folder):
    files = [os.path.relpath(path) for path in sorted(faces.rglob("*.png"))]
    names = [*itertools.islice(itertools.cycle(files), MANY)]
    names[5] = "gone.png"
    Path("many.txt").write_text("\n".join(names))
    return "many.txt"


def read(path):
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def agree(one, other):
    rows, others = read(one), read(other)
    assert len(rows) == len(others)
    for row, expected in zip(rows, others, strict=True):
        a, b = row.pop("probability"), expected.pop("probability")
        assert row == expected
        assert not a if not b else float(a) == pytest.approx(float(b), abs=1e-6)


def children(pid):
    """Return the worker processes that a process has begun."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            with contextlib.suppress(FileNotFoundError):
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


@pytest.fixture
def run_and_kill(kill_when_stored):
    """Return a function that predicts, and kills processes when two chunks are stored."""
    return lambda words, victims: kill_when_stored(2, ["predict", *words, "-o", "out.csv"], victims)


@pytest.mark.slow
def test_processes_one_of_which_is_killed(run_path, many, run_and_kill):
    code, err = run_and_kill([str(run_path), many, "--workers", "2"], lambda pid: children(pid)[:1])
    assert code == 3, err
    assert "Traceback" not in err
    assert main(["predict", str(run_path), many, "-o", "local.csv"]) == 3
    agree("out.csv", "local.csv")


@pytest.mark.slow
def test_no_process_outlives_the_one_that_began(run_path, many, run_and_kill):
    workers = []

    def everything(pid):
        workers.extend(children(pid))
        return [pid]

    code, _ = run_and_kill([str(run_path), many, "--workers", "2"], everything)
    assert code == -signal.SIGKILL
    assert len(workers) == 2
    for pid in workers:  # they end by themselves; a test that hangs here has found one that does not
        while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]:
            os.sched_yield()
    assert main(["predict", str(run_path), many, "-o", "out.csv"]) == 3  # resumes
    assert len(read("out.csv")) == MANY


@pytest.mark.slow
def test_a_cluster_one_of_whose_workers_is_killed(run_path, many, cluster, run_and_kill):
    address, pids = cluster
    code, err = run_and_kill([str(run_path), many, "--dask", address], lambda _: pids[:1])
    assert code == 3, err
    assert "Traceback" not in err
    assert main(["predict", str(run_path), many, "-o", "local.csv"]) == 3
    agree("out.csv", "local.csv")


@pytest.mark.slow
def test_a_cluster_whose_scheduler_is_killed(run_path, many, cluster, run_and_kill):
    address, pids = cluster
    scheduler = int(Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()[1])  # the workers' parent
    code, err = run_and_kill([run_path, many, "--dask", address], lambda _: [scheduler])
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert code == 1, err
    assert f"the scheduler {address} has gone; what was done is kept in out.csv.parts" in err


@pytest.mark.slow
@pytest.mark.usefixtures("own_folder")
def test_a_cluster_reads_data_sets_and_resumes(run_path, cluster, capsys):
    words = ["predict", str(run_path), str(run_path / "data.h5"), "late.png", "-o", "out.csv", "--dask", cluster[0]]
    assert main(words) == 3
    assert main(words) == 3
    assert "all rows are from an earlier run" in capsys.readouterr().err


def test_options_that_cannot_work_are_named(capsys, run_path, faces, own_folder):
    image = str(next(faces.rglob("*.png")))
    assert main(["predict", str(run_path), image, "--workers", "2"]) == 2
    assert "--workers: give an output file" in capsys.readouterr().err
    pytest.importorskip("distributed")
    assert main(["predict", str(run_path), image, "-o", "out.csv", "--dask", "nonsense://x"]) == 2
    assert "--dask nonsense://x: there is no scheduler" in capsys.readouterr().err
    assert not Path("out.csv.parts").exists()


def test_a_missing_extra_is_named(capsys, run_path, faces, monkeypatch, own_folder):
    image = str(next(faces.rglob("*.png")))
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["predict", str(run_path), image, "-o", "out.csv", "--dask", "tcp://x:1"]) == 2
    assert install_command("cluster") in capsys.readouterr().err
    assert main(["predict", str(run_path), image, "-o", "out.parquet"]) == 2
    assert install_command("parquet") in capsys.readouterr().err


def squared(offset, task):
    return offset + task**2


def halves(task):
    return [task // 2, task - task // 2]


def identity(offset, piece):
    return piece


def total(offset, task, results):
    return offset + sum(results)


@pytest.mark.parametrize("workers", [Threads(1), Threads(3), pytest.param(Processes(2), marks=pytest.mark.slow)])
def test_results_come_in_order_and_few_tasks_are_taken_ahead(workers):
    taken = []

    def tasks():
        for task in range(200):
            taken.append(task)
            yield task

    for i, (task, result) in enumerate(workers.map(squared, (1000,), tasks())):
        assert (task, result) == (i, 1000 + i**2)
        assert len(taken) <= i + 1 + 5 * workers.n
    assert len(taken) == 200


@pytest.mark.parametrize("workers", [Threads(1), Threads(3), pytest.param(Processes(2), marks=pytest.mark.slow)])
def test_a_divisible_task_has_one_result_whoever_does_it(workers):
    function = Divisible(halves, identity, total)
    found = list(workers.map(function, (7,), range(100)))
    assert found == [(task, 7 + task) for task in range(100)]


def test_the_pieces_of_one_task_are_done_side_by_side():
    barrier = threading.Barrier(2)  # opens when two threads wait at it: a thread alone would wait in vain

    def wait(piece):
        barrier.wait(timeout=60)
        return piece

    function = Divisible(lambda task: [1, 2], wait, lambda task, results: results)
    assert list(Threads(2).map(function, (), ["task"])) == [("task", [1, 2])]


@pytest.mark.parametrize("workers", [Threads(2), pytest.param(Processes(2), marks=pytest.mark.slow)])
def test_an_error_comes_when_its_task_is_due(workers):
    results = workers.map(divided, (12,), [3, 2, 0, 1])
    assert next(results) == (3, 4)
    assert next(results) == (2, 6)
    with pytest.raises(ZeroDivisionError):
        next(results)


def divided(numerator, task):
    return numerator // task


def test_a_cluster_or_processes_are_chosen_if_they_are_named_and_threads_otherwise():
    assert choose_workers(3, None, None, str) == Threads(3)
    assert choose_workers(3, 2, None, str) == Processes(2, str)
    assert choose_workers(3, None, "tcp://scheduler:8786", str) == DaskCluster("tcp://scheduler:8786", str)


class Unknown:
    """Is pickled as something that no process can import."""

    def __reduce__(self):
        return __import__, ("no_such_module",)


def end(how, task):
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "fault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif how == "exit":
        os._exit(3)
    return task


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (Unknown(), r"cannot start \(ModuleNotFoundError: No module named 'no_such_module'\)"),
        pytest.param("killed", r"killed 3 times in a row, at 7 .*too little memory\?", marks=pytest.mark.slow),
        pytest.param("fault", r"killed 3 times in a row, at 7 .*by SIGSEGV", marks=pytest.mark.slow),
        pytest.param("exit", "one ended with exit code 3", marks=pytest.mark.slow),
    ],
)
def test_why_worker_processes_end_is_told(how, message):
    with pytest.raises(ChildProcessError, match=message):
        list(Processes(1).map(end, (how,), [7]))


DYING = """
import sys
from pipeline.workers import Processes

if __name__ == "__main__":
    list(Processes(2).map(max, (b"x" * 1_000_000,), [b"y"]))
else:
    sys.exit(77)  # a worker process that ends before it has read anything
"""


@pytest.mark.slow
def test_processes_that_die_at_once_are_not_waited_for(tmp_path):
    (tmp_path / "dying.py").write_text(DYING)
    done = subprocess.run([sys.executable, tmp_path / "dying.py"], capture_output=True, text=True, timeout=100)
    assert "one ended with exit code 77" in done.stderr
