"""Places where nothing can be written: a disk that is full, a folder that is read-only, a limit that is reached."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.main import main

ROOM = 20_000  # bytes of a file: less than a data set, a checkpoint, a model or a figure of these tests
# Root may write everywhere; without this capability it may not.
BOUND = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@contextlib.contextmanager
def limited_files(n_bytes):
    """Let no file grow beyond so many bytes, in a block: to a program, this is like a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def places(tmp_path, faces, run_path, monkeypatch):
    """Return the names of a folder of images and of a run that may be changed, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run_path, tmp_path / "run")
    return {"faces": faces, "run": "run"}


COMMANDS = [
    (
        "config.toml",
        ["train", "{run}/data.h5", "--name", "new", "--hidden", "64", "--epochs", "1", "--augment", "none"],
    ),
    ("checkpoint.h5", ["train", "--resume", "{run}"]),
    ("new.h5", ["ingest", "{faces}", "new.h5"]),
    ("new.csv", ["predict", "{run}", "{faces}", "-o", "new.csv"]),
    ("new.png", ["filters", "{run}", "-o", "new.png"]),
    ("new.html", ["inspect", "{run}/data.h5", "--html", "new.html"]),
    ("new.png", ["inspect", "{run}/data.h5", "--contact-sheet", "new.png"]),
]


@pytest.mark.parametrize(("name", "words"), COMMANDS[1:])
@pytest.mark.parametrize("room", [ROOM // 10, ROOM])
def test_a_full_disk_is_one_message_and_exit_code_1(name, words, room, places, capfd):
    with limited_files(room):
        code = main([word.format(**places) for word in words])
    out, err = capfd.readouterr()
    assert code == 1, err
    lines = err.strip().splitlines()
    assert name in lines[-1]
    assert any(why in lines[-1] for why in ("File too large", "disk I/O error", "disk is full"))
    assert "Errno" not in err
    assert "Exception ignored" not in out + err
    assert "Traceback" not in out + err


def test_a_full_disk_leaves_the_checkpoint_of_before(places, capfd, tmp_path):
    before = (tmp_path / "run" / "checkpoint.h5").read_bytes()
    with limited_files(ROOM):
        assert main(["train", "--resume", "run"]) == 1
    assert (tmp_path / "run" / "checkpoint.h5").read_bytes() == before
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    assert main(["train", "--resume", "run"]) == 0


@pytest.mark.skipif(BOUND != [] and shutil.which("setpriv") is None, reason="root may write everywhere")
@pytest.mark.parametrize(
    ("name", "words"), [COMMANDS[0], *(pytest.param(*c, marks=pytest.mark.slow) for c in COMMANDS[1:])]
)
def test_a_read_only_folder_is_one_message(name, words, places, tmp_path):
    for path in (tmp_path, tmp_path / "run"):
        path.chmod(0o555)
    command = [*BOUND, sys.executable, "-m", "pipeline.cli", *(word.format(**places) for word in words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    message = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2, done.stderr
    assert name in message or "runs" in message
    assert "cannot be written (" in message or "may not be written by this user" in message
    assert "Errno" not in done.stderr
    assert "Traceback" not in done.stderr


POWER_CUT = [
    "checkpoint.h5",
    *(pytest.param(n, marks=pytest.mark.slow) for n in ("model.h5", "data.h5", "metrics.json")),
]


@pytest.mark.parametrize("empty", POWER_CUT)
def test_an_empty_file_after_a_power_cut_is_one_message_or_none(empty, places, capsys):
    shutil.copy("run/model.h5", "model.h5")
    Path("run", empty).write_bytes(b"")
    for words in (["inspect", "run"], ["inspect", "."], ["train", "--resume", "run"], ["predict", "model.h5", "run"]):
        code = main(words)
        out, err = capsys.readouterr()
        assert code in (0, 2, 3), err
        assert "Traceback" not in out + err
        assert code != 2 or empty in err or "is the folder of a run" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"HOME": ""},
        {"HOME": "/nonexistent", "PYTHONOPTIMIZE": "2"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_other_environments_change_nothing(environment, places, tmp_path, faces):
    image = tmp_path / "gr\u00f6\u00dfe.png"
    shutil.copy(faces / "face" / "0000.png", image)
    variables = {name: value for name, value in (os.environ | environment).items() if value}
    for words in (["inspect", "run"], ["predict", "run", str(image), "-o", "out.csv"], ["train", "--resume", "run"]):
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.cli", *words], env=variables, capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
    assert "größe.png" in (tmp_path / "out.csv").read_text(encoding="utf-8")


def test_other_users_may_not_read_what_the_umask_forbids(places, tmp_path):
    before = os.umask(0o077)
    try:
        assert main(["train", "--resume", "run"]) == 0
        assert main(["predict", "run", "run/data.h5", "-o", "out.csv"]) == 0
    finally:
        os.umask(before)
    written = ("out.csv", "run/model.h5", "run/report.html", "run/filters.png", "run/metrics.json")
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in written} == {0o600}
