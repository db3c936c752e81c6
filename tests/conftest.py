"""Real images from installed packages, as the files a person would have."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED
from pipeline.sources.demo import write_demo
from pipeline.training.finish import finish
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe


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
def small() -> Recipe:
    """Return a recipe that trains in about a second."""
    return Recipe(NetworkConfig(hidden=(48, 16)), TrainingConfig(epochs=15), NOT_PRETRAINED)


@pytest.fixture(scope="session")
def run_path(faces: Path, small: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run on the faces; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("runs") / "faces"
    run = prepare(faces, folder, recipe=small)
    with run.dataset:
        list(run.epochs())
        finish(run)
    return folder
