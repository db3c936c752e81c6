"""A long prediction: what is done stays done, whatever stops it, and the result is always the same, byte for byte."""

from __future__ import annotations

import csv
import itertools
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def read(path):
    with open(path, newline="", encoding="utf-8") as file:  # noqa: PTH123
        return list(csv.DictReader(file))


COMMAND = [sys.executable, "-m", "pipeline.cli", "predict"]
MANY = 1500


@pytest.fixture
def many(faces, own_folder):
    """Name 200 images over and over in a list, with two names of files that do not exist: some chunks."""
    files = sorted(map(str, faces.rglob("*.png")))
    names = [*itertools.islice(itertools.cycle(files), MANY)]
    names[70] = names[MANY - 100] = "gone.png"
    Path("many.txt").write_text("\n".join(names))
    return "many.txt"


# Runs `facette predict`, and counts what happens: chunks that are stored, files that are opened or renamed, or steps of
# SQLite, also within a transaction. At the n-th of these it kills itself, or interrupts itself as Ctrl-C does; if it
# gets to the end before, it writes the count.
COUNTED = """
import itertools, os, signal, sqlite3, sys
from pipeline.cli.main import main
from pipeline.files.store import Store

moment, n, number = sys.argv[1], int(sys.argv[2]), signal.Signals[sys.argv[3]]
counter = itertools.count(1)
count = 0

def happened():
    global count
    count = next(counter)
    if count == n:
        os.kill(os.getpid(), number)

def after(function, then):
    def call(*arguments, **options):
        result = function(*arguments, **options)
        then(result)
        return result
    return call

if moment == "chunks":
    Store.put = after(Store.put, lambda _: happened())
elif moment == "files":
    events = ("open", "os.rename", "os.remove")
    sys.addaudithook(lambda event, _: happened() if event in events else None)
else:
    sqlite3.connect = after(sqlite3.connect, lambda found: found.set_progress_handler(happened, 1))
code = main(["predict", *sys.argv[4:]])
print("count", count, file=sys.stderr)
sys.exit(code)
"""


def counted(moment, n, *words, number="SIGKILL"):
    command = [sys.executable, "-c", COUNTED, moment, str(n), number, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("moment", ["chunks", "files", "steps of SQLite"])
def test_killed_at_any_moment_it_ends_with_the_same_bytes(run_path, many, moment, seed):
    words = [run_path, many, "--jobs", "1", "-o"]
    undisturbed = counted(moment, 0, *words, "whole.csv")
    assert undisturbed.returncode == 3, undisturbed.stderr
    total = int(undisturbed.stderr.split()[-1])
    expected = Path("whole.csv").read_bytes()
    assert len(expected.splitlines()) == MANY + 1
    rng, codes = np.random.default_rng(seed), []
    while codes[-1:] != [3]:
        codes.append(counted(moment, rng.integers(1, total, endpoint=True), *words, "cut.csv").returncode)
        assert codes[-1] in (-signal.SIGKILL, 3)
        assert not Path("cut.csv").exists() or Path("cut.csv").read_bytes() == expected
    assert len(codes) > 1
    assert Path("cut.csv").read_bytes() == expected


@pytest.mark.slow
@pytest.mark.parametrize("limit", [40_000, 250_000])  # nothing fits; some chunks do
def test_disk_full_is_one_message_and_the_next_run_resumes(run_path, many, limit):
    words = [*COMMAND, str(run_path), many, "--jobs", "1", "-o", "out.csv"]
    full = subprocess.run(
        words,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert full.returncode in (1, 2)
    assert "out.csv" in full.stderr
    assert "disk" in full.stderr
    assert ("what was done is kept in out.csv.parts" in full.stderr) == (limit == 250_000)
    assert "Traceback" not in full.stderr
    assert not Path("out.csv").exists()

    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 3
    assert ("earlier run" in again.stderr) == (limit == 250_000)
    subprocess.run([*words[:-1], "whole.csv"], check=False, capture_output=True)
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_done(run_path, many):
    words = [run_path, many, "--jobs", "1", "-o", "out.csv"]
    stopped = counted("chunks", 2, *words, number="SIGINT")
    assert stopped.returncode == 130
    assert "kept in out.csv.parts: the same command resumes" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    again = subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True)
    assert "rows from an earlier run" in again.stderr
    assert len(read("out.csv")) == MANY


@pytest.mark.slow
def test_a_folder_of_ten_thousand_files(predict, faces, run_path, own_folder):
    source = sorted((faces / "face").iterdir())
    (own_folder / "big").mkdir()
    for i in range(10_000):
        os.link(source[i % len(source)], own_folder / "big" / f"{i}.png")
    code, _, err = predict(run_path, "big", "-o", "out.csv")
    assert code == 0
    assert "10,000 files: 10,000 ok" in err
    assert {row["path"] for row in read("out.csv")} == {f"big/{i}.png" for i in range(10_000)}


def test_output_among_the_images_is_no_image(photos, predict, run_path, monkeypatch):
    monkeypatch.chdir(photos)
    broken = Path("face", "broken.jpg")
    broken.write_text("no image")
    for output in ("rows.csv", "rows"):
        for _ in range(3):  # the broken image keeps the store of results beside the output
            code, _, err = predict(run_path, ".", "-o", output, "--format", "csv", "--copy-to", "../sorted")
            assert (code, err.splitlines()[0].split(";")[0]) == (3, "11 files: 10 ok, 1 error (1 not_an_image)")
        assert Path(f"{output}.parts").exists()
    broken.unlink()
    code, _, err = predict(run_path, ".", "-o", "rows", "--format", "csv", "--copy-to", "../sorted")
    assert code == 0
    assert "10 files: 10 ok, 0 error" in err
    assert "2 not an image" in err
    assert "2 output of this command" in err
