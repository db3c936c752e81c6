"""Kill ingestions and training runs with SIGKILL at random moments, and look at what they leave.

    python tests/fuzz/kill.py ingest --count 50 --images 3000
    python tests/fuzz/kill.py train --count 50

After every kill, each file under a target's name must be whole; if it is started again, it must end with the data set,
or bit for bit with the weights, of an undisturbed run. An ingestion of over two seconds stores what it has done so far,
and resumes from there. The result is a line of JSON: what was seen after the kills, and how often.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from model.storage.checkpoint import load_state  # noqa: E402 (the path comes first)
from pipeline.classifier import ImageClassifier  # noqa: E402
from pipeline.data.dataset import Dataset  # noqa: E402
from pipeline.files.store import store_path  # noqa: E402

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
EPOCHS = 200


def start(*words: object) -> subprocess.Popen:
    """Start a command of Facette."""
    command = [sys.executable, "-m", "pipeline.cli", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT)


def to_the_end(*words: object) -> float:
    """Run a command that must succeed; return the seconds it took."""
    begin = time.monotonic()
    with start(*words) as child:
        text = child.communicate()[0]
    assert child.returncode == 0, f"{words}: {child.returncode}\n{text[-2000:]}"
    return time.monotonic() - begin


def killed(seconds: float, *words: object) -> bool:
    """Run a command, and kill it after some seconds; return whether it was still running."""
    with start(*words) as child:
        try:
            text = child.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            child.kill()
            return True
    assert child.returncode == 0, f"{words}: {child.returncode}\n{text[-2000:]}"
    return False


def images(folder: Path, m: int) -> Path:
    """Write m crops of a photograph, in two classes."""
    from sklearn.datasets import load_sample_image

    photo = Image.fromarray(load_sample_image("china.jpg"))
    for i in range(m):
        path = folder / ("left", "right")[i % 2] / f"{i:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        left, top = (i * 37) % 200 + 200 * (i % 2), (i * 61) % 150
        photo.crop((left, top, left + 240, top + 240)).save(path)
    return folder


def content(path: Path) -> list[np.ndarray]:
    """Return all that a data set holds, except the paths of its files."""
    with Dataset.open(path) as data:
        return [data.X, data.labels, data.split, data.group, data.sha256, data.sizes, data.paths, data.measures]


def kill_often(
    count: int,
    rng: random.Random,
    took: float,
    command: Callable[[], Sequence[object]],
    check: Callable[[Counter[str]], None],
    compare: Callable[[], None],
) -> Counter[str]:
    """Kill a command `count` times; undisturbed, it takes `took` seconds. See `kill_ingest` for the rest.

    Half of the commands that resume after a kill are killed, too, within the time that they still need.
    """
    seen: Counter[str] = Counter()
    while seen["killed"] < count:
        left, again = took, True
        while again:
            moment = rng.uniform(0, left)
            seen["killed" if killed(moment, *command()) else "finished before"] += 1
            check(seen)
            left -= moment
            again = rng.random() < 0.5 and seen["killed"] < count
        to_the_end(*command())
        compare()
        seen["ended equal"] += 1
    return seen


def kill_ingest(work: Path, count: int, m: int, rng: random.Random) -> Counter[str]:
    """Kill an ingestion, again and again: its target must be absent or equal to that of an undisturbed one."""
    source, expected, target = images(work / "images", m), work / "expected.h5", work / "target.h5"
    settings = ("--size", "24", "--exact", "--jobs", "1", "--overwrite")
    took = to_the_end("ingest", source, expected, *settings)
    good = content(expected)

    def check(seen: Counter[str]) -> None:
        seen["chunks stored"] += store_path(target).exists()
        seen["temporary file left"] += any(work.glob(".target.h5.*.part"))
        if target.exists():
            seen["target there"] += 1
            for one, other in zip(good, content(target), strict=True):
                np.testing.assert_array_equal(one, other)

    def compare() -> None:
        check(Counter())
        target.unlink()
        assert not any(work.glob("*target.h5*"))  # and nothing is left

    return kill_often(count, rng, took, lambda: ("ingest", source, target, *settings), check, compare)


def kill_train(work: Path, count: int, m: int, rng: random.Random) -> Counter[str]:
    """Kill a training run, again and again: each of its files must be absent or whole, and the last weights equal.

    Half of the runs start over a run that is there already.
    """
    source, runs = images(work / "images", m), work / "runs"
    settings = ("--size", "16", "--hidden", "64,32", "--epochs", EPOCHS, "--threads", "1", "--pretrain", "none")
    words = ("train", source, "--runs", runs, *settings, "--name")
    took = to_the_end(*words, "expected")
    good = ImageClassifier.load(runs / "expected").parameters.flat
    folder = runs / "run"

    def command() -> Sequence[object]:
        resumes = (folder / "checkpoint.h5").exists()
        return ("train", "--resume", folder) if resumes else (*words, "run", "--overwrite")

    def compare() -> None:
        seen: Counter[str] = Counter()
        check_run(folder, seen)
        assert len(seen) == len(READERS)
        np.testing.assert_array_equal(ImageClassifier.load(folder).parameters.flat, good)
        (folder / "checkpoint.h5").unlink()
        if rng.random() < 0.5:
            shutil.rmtree(folder)

    return kill_often(count, rng, took, command, partial(check_run, folder), compare)


READERS: dict[str, Callable[[Path], object]] = {
    "data.h5": content,
    "checkpoint.h5": load_state,
    "model.h5": ImageClassifier.load,
    "config.toml": lambda path: tomllib.loads(path.read_text()),
    "metrics.json": lambda path: json.loads(path.read_text()),
    "filters.png": lambda path: Image.open(path).load(),
    "history.csv": lambda path: path.read_text().splitlines()[EPOCHS],
    "report.html": lambda path: path.read_text().index("</html>"),
}


def check_run(folder: Path, seen: Counter[str]) -> None:
    """Read every file that a run has."""
    for name, read in READERS.items():
        if (folder / name).exists():
            read(folder / name)
            seen[name] += 1


def main() -> None:
    """Kill as often as asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("ingest", "train"))
    parser.add_argument("--count", type=int, default=50, help="kills")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments, and of the choice to kill again")
    arguments = parser.parse_args()
    work = {"ingest": kill_ingest, "train": kill_train}[arguments.what]
    with tempfile.TemporaryDirectory() as folder:
        seen = work(Path(folder), arguments.count, arguments.images, random.Random(arguments.seed))
    print(json.dumps({"what": arguments.what, **seen}))


if __name__ == "__main__":
    main()
