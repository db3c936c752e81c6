"""Kill ingestions and trainings with SIGKILL at moments of chance, and look at what they leave.

    python tests/fuzz/kill.py ingest --count 50
    python tests/fuzz/kill.py train --count 50

After every kill, each file under a target's name must be whole; what is started again must end with the data set, or
bit for bit with the weights, of an undisturbed run. The result is a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from model.checkpoint import load_state  # noqa: E402 (the path comes first)
from pipeline.classifier import ImageClassifier  # noqa: E402
from pipeline.dataset import Dataset  # noqa: E402

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def start(*words: object) -> subprocess.Popen:
    """Start a command of Facette."""
    command = [sys.executable, "-m", "pipeline.cli", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT)


def to_the_end(*words: object) -> float:
    """Run a command that must do what it is asked to; return the seconds it took."""
    begin = time.monotonic()
    with start(*words) as child:
        text = child.communicate()[0]
    assert child.returncode == 0, f"{words}: {child.returncode}\n{text[-2000:]}"
    return time.monotonic() - begin


def killed(seconds: float, *words: object) -> bool:
    """Run a command, and kill it after so many seconds; return whether it was still running."""
    with start(*words) as child:
        try:
            text = child.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            child.kill()
            return True
    assert child.returncode == 0, f"{words}: {child.returncode}\n{text[-2000:]}"
    return False


def pictures(folder: Path, m: int) -> Path:
    """Write two classes of parts of a photograph, m in all."""
    from sklearn.datasets import load_sample_image

    photo = Image.fromarray(load_sample_image("china.jpg"))
    for i in range(m):
        path = folder / ("left", "right")[i % 2] / f"{i:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        left, top = (i * 37) % 200 + 200 * (i % 2), (i * 61) % 150
        photo.crop((left, top, left + 240, top + 240)).save(path)
    return folder


def content(path: Path) -> list[np.ndarray]:
    """Return all that a data set holds, but where its pictures were."""
    with Dataset.open(path) as data:
        return [data.X, data.labels, data.split, data.group, data.sha256, data.sizes, data.paths, data.measures]


def kill_ingest(work: Path, count: int, m: int, rng: random.Random) -> Counter[str]:
    """Kill an ingestion, again and again."""
    source, expected, target = pictures(work / "pictures", m), work / "expected.h5", work / "target.h5"
    words = ("ingest", source, target, "--size", "24", "--jobs", "2")
    took = to_the_end("ingest", source, expected, "--size", "24", "--jobs", "2")
    good, seen = content(expected), Counter[str]()
    for _ in range(count):
        seen["killed" if killed(rng.uniform(0, took), *words) else "finished before"] += 1
        if target.exists():
            seen["target there"] += 1
        else:
            seen["target absent, temporary files left"] += any(p.name.startswith(".target") for p in work.iterdir())
            to_the_end(*words)
        for one, other in zip(good, content(target), strict=True):
            np.testing.assert_array_equal(one, other)
        target.unlink()
    return seen


def kill_train(work: Path, count: int, m: int, rng: random.Random) -> Counter[str]:
    """Kill a training, and go on with it, again and again."""
    source, runs = pictures(work / "pictures", m), work / "runs"
    settings = ("--size", "16", "--hidden", "64,32", "--epochs", "30", "--threads", "1", "--pretrain", "none")
    words = ("train", source, "--runs", runs, *settings, "--name")
    took = to_the_end(*words, "expected")
    good, seen = ImageClassifier.load(runs / "expected").parameters.flat, Counter[str]()
    folder = runs / "run"
    begin = (*words, "run", "--overwrite")
    while seen["killed"] < count:
        again = ("train", "--resume", folder) if (folder / "checkpoint.h5").exists() else begin
        seen["resumed" if again is not begin else "begun"] += 1
        was_killed = killed(rng.uniform(0, 0.7 * took), *again)
        seen["killed"] += was_killed
        check_run(folder, seen)
        if not was_killed:
            np.testing.assert_array_equal(ImageClassifier.load(folder).parameters.flat, good)
            seen["ended equal"] += 1
            (folder / "checkpoint.h5").unlink()  # the next one begins anew, over a finished run
    while not (folder / "report.html").exists() or (folder / "checkpoint.h5").exists():
        to_the_end(*(("train", "--resume", folder) if (folder / "checkpoint.h5").exists() else begin))
        np.testing.assert_array_equal(ImageClassifier.load(folder).parameters.flat, good)
        seen["ended equal"] += 1
        (folder / "checkpoint.h5").unlink()
    return seen


def check_run(folder: Path, seen: Counter[str]) -> None:
    """Read every file of a run that is there."""
    readers = {
        "data.h5": lambda path: content(path),
        "checkpoint.h5": load_state,
        "model.h5": ImageClassifier.load,
        "config.toml": lambda path: tomllib.loads(path.read_text()),
        "metrics.json": lambda path: json.loads(path.read_text()),
        "filters.png": lambda path: Image.open(path).load(),
        "history.csv": lambda path: path.read_text().splitlines()[30],
        "report.html": lambda path: path.read_text().index("</html>"),
    }
    for name, read in readers.items():
        if (folder / name).exists():
            read(folder / name)
            seen[name] += 1


def main() -> None:
    """Kill as often as asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("ingest", "train"))
    parser.add_argument("--count", type=int, default=50, help="kills")
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--seed", type=int, help="of the moments; other ones each time without")
    arguments = parser.parse_args()
    work = {"ingest": kill_ingest, "train": kill_train}[arguments.what]
    with tempfile.TemporaryDirectory() as folder:
        seen = work(Path(folder), arguments.count, arguments.pictures, random.Random(arguments.seed))
    print(json.dumps({"what": arguments.what, **seen}))


if __name__ == "__main__":
    main()
