"""What tests of several rooms need: real images from installed packages, and one small model, trained once for all."""

from __future__ import annotations

import fcntl
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED, PretrainConfig
from pipeline.evaluation.result import TrainingResult
from pipeline.sources.demo import write_demo
from pipeline.training.finish import finish, save_model
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe

CLUSTER = """
import os, sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with cluster.get_client() as client:
            client.wait_for_workers(2)
            print(cluster.scheduler_address, *client.run(os.getpid).values(), flush=True)
        sys.stdin.read()
"""

# Runs a command until some chunks are stored, says so, and continues when it reads a line.
STOPPING = """
import sys
from pipeline.cli.main import main
from pipeline.files.store import Store
from pipeline.ingestion import resume

resume.SECONDS_NOT_WORTH_STORING = -1.0
put, stored = Store.put, []

def put_and_stop(store, key, *arguments):
    put(store, key, *arguments)
    stored.append(key)
    if len(stored) == int(sys.argv[1]):
        print("stored", flush=True)
        sys.stdin.readline()

Store.put = put_and_stop
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Return a function that makes a file or folder the first time, for all worker processes of pytest together."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def make(name: str, write: Callable[[Path], object]) -> Path:
        path = folder / "shared" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with (folder / "shared" / f"{name.replace('/', '-')}.made").open("a+") as made:
            fcntl.flock(made, fcntl.LOCK_EX)  # until the file is closed
            made.seek(0)
            if not made.read():
                write(path)
                made.write("yes")
        return path

    return make


@pytest.fixture(scope="session")
def lfw_images() -> np.ndarray:
    """100 faces, then 100 other patches, of 25x25 pixels: uint8."""
    from skimage.data import lfw_subset

    return np.rint(lfw_subset() * 255).astype(np.uint8)


@pytest.fixture(scope="session")
def face_png(lfw_images: np.ndarray) -> bytes:
    """Return a face as the bytes of a PNG file."""
    data = io.BytesIO()
    Image.fromarray(lfw_images[0]).save(data, format="png")
    return data.getvalue()


@pytest.fixture(scope="session")
def photo_image() -> Image.Image:
    """Return a colour photograph, 640x427, as an image."""
    from sklearn.datasets import load_sample_image

    return Image.fromarray(load_sample_image("china.jpg"))


@pytest.fixture(scope="session")
def photo_jpeg(photo_image: Image.Image) -> bytes:
    """Return the same photograph as the bytes of a JPEG file."""
    data = io.BytesIO()
    photo_image.save(data, format="jpeg")
    return data.getvalue()


def write_classes(root: Path, classes, ending="png"):
    for name, images in classes.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for i, image in enumerate(images):
            Image.fromarray(image).save(root / name / f"{i:03d}.{ending}")
    return root


@pytest.fixture
def face_folder(tmp_path: Path, lfw_images: np.ndarray) -> Path:
    """Return a folder that the test may change: class folders `face` and `other`, 100 PNG each."""
    return write_classes(tmp_path / "faces", {"face": lfw_images[:100], "other": lfw_images[100:]})


@pytest.fixture(scope="session")
def faces(make_once) -> Path:
    """Return a folder of 100 faces and 100 other images; tests leave it as it is."""
    return make_once("data/faces", lambda folder: write_demo("faces", folder))


@pytest.fixture(scope="session")
def small() -> Recipe:
    """Return a recipe that trains in about a second."""
    return Recipe(NetworkConfig(hidden=(48, 16)), TrainingConfig(epochs=15), NOT_PRETRAINED)


@pytest.fixture(scope="session")
def train_in() -> Callable[..., TrainingResult]:
    """Return a function that trains in a folder, to the end, and returns the result."""

    def train(folder: Path, source: Path, **options: Any) -> TrainingResult:
        run = prepare(source, folder, **options)
        with run.dataset:
            list(run.epochs())
            return finish(run)

    return train


@pytest.fixture(scope="session")
def run_path(faces: Path, small: Recipe, make_once, train_in) -> Path:
    """Return the folder of a finished run on the faces; tests leave it as it is."""
    return make_once("runs/faces", lambda folder: train_in(folder, faces, recipe=small))


@pytest.fixture
def model(face_folder: Path, tmp_path: Path) -> Path:
    """Return the model of a run of one epoch, in a folder that the test may change."""
    run = prepare(
        face_folder,
        tmp_path / "run",
        recipe=Recipe(NetworkConfig(hidden=(8,)), TrainingConfig(epochs=1), NOT_PRETRAINED),
    )
    with run.dataset:
        list(run.epochs())
        save_model(run)
    return tmp_path / "run" / "model.h5"


@pytest.fixture(scope="session")
def trained(run_path: Path) -> Path:
    """Return a folder with data/faces and runs/faces; tests leave it as it is."""
    return run_path.parents[1]


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the test's temporary folder the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[int]]]:
    """Start a scheduler and two worker processes; yield the address and the workers' process numbers."""
    pytest.importorskip("distributed")
    (tmp_path / "cluster.py").write_text(CLUSTER)
    with subprocess.Popen(
        [sys.executable, "cluster.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
    ) as child:
        assert child.stdout
        assert child.stdin
        address, *pids = child.stdout.readline().split()
        yield address, [int(pid) for pid in pids]
        child.stdin.close()
        try:
            child.wait(timeout=30)
        except subprocess.TimeoutExpired:  # it is not our cluster's end that is tested
            child.kill()


@pytest.fixture
def kill_when_stored() -> Callable[..., tuple[int, str]]:
    """Return a function that kills processes as soon as a command has stored chunks; it returns its code and stderr."""

    def run(n_chunks: int, words: list[Any], victims: Callable[[int], list[int]]) -> tuple[int, str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "-c", STOPPING, str(n_chunks), *map(str, words)]
        with subprocess.Popen(command, text=True, **pipes) as child:
            assert child.stdout
            assert child.stdout.readline() == "stored\n", child.communicate()
            for pid in victims(child.pid):
                os.kill(pid, signal.SIGKILL)
            _, err = child.communicate("continue\n")
        return child.returncode, err

    return run


@pytest.fixture(scope="session")
def pretrained_run(faces, train_in, tmp_path_factory):
    """Return the folder of a run with a pretrained first layer."""
    folder = tmp_path_factory.mktemp("runs") / "edges"
    training, pretraining = TrainingConfig(epochs=3, seed=3), PretrainConfig("sparse_filtering")
    train_in(folder, faces, recipe=Recipe(NetworkConfig(hidden=(24, 8)), training, pretraining))
    return folder


@pytest.fixture(scope="session")
def plant() -> Callable[..., Path]:
    """Return a function that puts modules of some names into a folder; each leaves a file if it is run."""

    def write(folder: Path, names: Iterable[str]) -> Path:
        folder.mkdir(exist_ok=True)
        for name in names:
            mark = str(folder / f"ran-{name}")
            (folder / f"{name}.py").write_text(f"open({mark!r}, 'w').close()\nraise SystemExit(77)\n")
        return folder

    return write


@pytest.fixture(scope="session")
def ran() -> Callable[[Path], list[str]]:
    """Return a function that names the modules of such a folder that were run."""
    return lambda folder: sorted(path.name.removeprefix("ran-") for path in folder.glob("ran-*"))
