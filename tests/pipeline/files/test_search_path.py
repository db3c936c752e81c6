"""Nothing in the folder where a command is started is run: not by the command, nor by the processes that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.files.search_path import HOME

# What Facette, Python's own modules, worker processes and Streamlit import.
PLANTED = [
    *("random", "numpy", "model", "app", "sitecustomize", "usercustomize", "argparse", "typing", "pathlib", "json"),
    *("socket", "struct", "threading", "tempfile", "pickle", "signal", "queue", "sqlite3", "PIL", "h5py", "sklearn"),
    *("threadpoolctl", "multiprocessing", "concurrent", "dataclasses", "enum", "csv", "logging", "hashlib", "inspect"),
]
LAUNCHER = "import sys\nfrom pipeline.cli.main import main\nif __name__ == '__main__':\n    sys.exit(main())\n"


def run_in(folder, *words, **environment):
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": HOME, "PYTHONSAFEPATH": "", **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.fixture
def downloads(plant, tmp_path):
    """Return a folder with modules that leave a file if they are run."""
    return plant(tmp_path / "downloads", PLANTED)


@pytest.fixture
def launcher(tmp_path):
    """Return a program like that which pip installs, in a folder of programs."""
    path = tmp_path / "bin" / "facette"
    path.parent.mkdir()
    path.write_text(LAUNCHER)
    return path


def test_the_planted_modules_would_run(downloads, ran):
    assert run_in(downloads, "-c", "import random").returncode == 77
    assert ran(downloads) == ["random"]


@pytest.mark.parametrize("start", [["-m", "pipeline.cli", "predict"], ["-m", "pipeline.predict"]])
def test_python_m_runs_nothing_of_the_working_directory(start, downloads, ran, run_path, faces):
    done = run_in(downloads, *start, run_path, faces / "face" / "0000.png")
    assert done.returncode == 0, done.stderr
    assert ran(downloads) == []


@pytest.mark.slow
def test_worker_processes_run_nothing_of_the_working_directory(launcher, downloads, plant, ran, run_path, faces):
    plant(downloads, ["pipeline"])
    done = run_in(downloads, launcher, "predict", run_path, faces, "-o", "out.csv", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert ran(downloads) == []


def test_an_empty_entry_of_the_search_path_is_the_working_directory_too(launcher, plant, ran, tmp_path, run_path):
    folder = plant(tmp_path / "downloads", ["random", "numpy", "h5py", "PIL", "json"])  # not what Python starts with
    done = run_in(folder, launcher, "inspect", run_path, PYTHONPATH=f"{HOME}{os.pathsep}")
    assert done.returncode == 0, done.stderr
    assert ran(folder) == []


def test_a_command_that_is_started_where_facette_lies_still_finds_it():
    assert Path(HOME, "app.py").is_file()
    assert run_in(HOME, "-m", "pipeline.cli", "--version", PYTHONPATH="").returncode == 0
