"""Real images from installed packages, as the files a person would have."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.config import NetworkConfig, TrainingConfig
from pipeline.sources.demo import write_demo
from pipeline.training.prepare import prepare


@pytest.fixture(scope="session")
def lfw_images():
    """100 faces, then 100 other patches, of 25x25 pixels: uint8."""
    from skimage.data import lfw_subset

    return np.rint(lfw_subset() * 255).astype(np.uint8)


@pytest.fixture
def face_folder(tmp_path, lfw_images):
    """Class folders `face` and `other`, 100 PNG each."""
    return write_classes(tmp_path / "faces", {"face": lfw_images[:100], "other": lfw_images[100:]})


@pytest.fixture(scope="session")
def photo():
    """A colour photograph, 640x427, as an image."""
    from sklearn.datasets import load_sample_image

    return Image.fromarray(load_sample_image("china.jpg"))


def write_classes(root: Path, classes, ending="png"):
    for name, images in classes.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for i, image in enumerate(images):
            Image.fromarray(image).save(root / name / f"{i:03d}.{ending}")
    return root


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 100 faces and 100 other images; tests leave it as it is."""
    return write_demo("faces", tmp_path_factory.mktemp("data") / "faces")


@pytest.fixture(scope="session")
def small() -> dict:
    """Return configurations that train in about a second."""
    return {"network": NetworkConfig(hidden=(48, 16)), "training": TrainingConfig(epochs=15, pretrain="none")}


@pytest.fixture(scope="session")
def run_path(faces: Path, small: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run on the faces; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("runs") / "faces"
    run = prepare(faces, folder, **small)
    with run.dataset:
        list(run.epochs())
        run.finish()
    return folder


@pytest.fixture(scope="session")
def pretrained_run(faces, tmp_path_factory):
    """Return the folder of a run with a pretrained first layer."""
    folder = tmp_path_factory.mktemp("runs") / "edges"
    training = TrainingConfig(epochs=3, pretrain="sparse_filtering", seed=3)
    run = prepare(faces, folder, network=NetworkConfig(hidden=(24, 8)), training=training)
    with run.dataset:
        list(run.epochs())
        run.finish()
    return folder
