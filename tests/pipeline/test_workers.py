"""Several processes, many machines: the same result, even when some of them are killed."""

from __future__ import annotations

import contextlib
import csv
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.prediction.job import MOST

MANY = 4 * MOST + 10
COMMAND = [sys.executable, "-m", "pipeline.cli", "predict"]

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")


@pytest.fixture
def many(faces):
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


def run_and_kill(words, victims):
    """Run a prediction, and when its first part is there kill what `victims` returns for its process number."""
    with subprocess.Popen([*COMMAND, *words, "-o", "out.csv"], stderr=subprocess.PIPE, text=True) as child:
        while len([*Path("out.csv.parts").glob("*.json")]) < 2:
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(timeout=0.01)
        for pid in victims(child.pid):
            os.kill(pid, signal.SIGKILL)
        _, err = child.communicate()
    assert "Traceback" not in err
    return child.returncode, err


@pytest.mark.slow
def test_processes_one_of_which_is_killed(run_path, many):
    code, err = run_and_kill([str(run_path), many, "--workers", "2"], lambda pid: children(pid)[:1])
    assert code == 3, err
    assert main(["predict", str(run_path), many, "-o", "local.csv"]) == 3
    agree("out.csv", "local.csv")


@pytest.mark.slow
def test_no_process_outlives_the_one_that_began(run_path, many):
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
    assert main(["predict", str(run_path), many, "-o", "out.csv"]) == 3  # goes on
    assert len(read("out.csv")) == MANY


@pytest.mark.slow
def test_a_cluster_one_of_whose_workers_is_killed(run_path, many, cluster):
    address, pids = cluster
    code, err = run_and_kill([str(run_path), many, "--dask", address], lambda _: pids[:1])
    assert code == 3, err
    assert main(["predict", str(run_path), many, "-o", "local.csv"]) == 3
    agree("out.csv", "local.csv")


@pytest.mark.slow
def test_a_cluster_whose_scheduler_is_killed(run_path, many, cluster):
    address, pids = cluster
    scheduler = int(Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()[1])  # the workers' parent
    words = [*COMMAND, str(run_path), many, "--dask", address, "-o", "out.csv"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as child:
        while len([*Path("out.csv.parts").glob("*.json")]) < 2:
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(timeout=0.01)
        os.kill(scheduler, signal.SIGKILL)
        _, err = child.communicate(timeout=120)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert child.returncode == 1, err
    assert f"the scheduler {address} has gone; what was done is kept in out.csv.parts" in err


@pytest.mark.slow
def test_a_cluster_reads_data_sets_and_resumes(run_path, cluster, capsys):
    words = ["predict", str(run_path), str(run_path / "data.h5"), "late.png", "-o", "out.csv", "--dask", cluster[0]]
    assert main(words) == 3
    assert main(words) == 3
    assert "201 rows from an earlier run" in capsys.readouterr().err


def test_what_cannot_work_is_said(capsys, run_path, faces):
    image = str(next(faces.rglob("*.png")))
    assert main(["predict", str(run_path), image, "--workers", "2"]) == 2
    assert "--workers: give an output file" in capsys.readouterr().err
    assert main(["predict", str(run_path), image, "-o", "out.csv", "--workers", "0"]) == 2
    assert "give 1 or more" in capsys.readouterr().err
    pytest.importorskip("distributed")
    assert main(["predict", str(run_path), image, "-o", "out.csv", "--dask", "nonsense://x"]) == 2
    assert "--dask nonsense://x: there is no scheduler" in capsys.readouterr().err
    assert not Path("out.csv.parts").exists()


def test_a_missing_extra_is_named(capsys, run_path, faces, monkeypatch):
    image = str(next(faces.rglob("*.png")))
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["predict", str(run_path), image, "-o", "out.csv", "--dask", "tcp://x:1"]) == 2
    assert "pip install 'facette[cluster]'" in capsys.readouterr().err
    assert main(["predict", str(run_path), image, "-o", "out.parquet"]) == 2
    assert "pip install 'facette[parquet]'" in capsys.readouterr().err
