"""A model trained for a moment on real images, in a run folder as `facette train` leaves it."""

import io

import numpy as np
import pytest
from PIL import Image

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED
from pipeline.sources.demo import write_demo
from pipeline.training.finish import finish
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe

SMALL = Recipe(NetworkConfig(hidden=(32,)), TrainingConfig(epochs=4, batch_size=32), NOT_PRETRAINED)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with data/faces and runs/faces; not to be changed."""
    root = tmp_path_factory.mktemp("trained")
    source = write_demo("faces", root / "data" / "faces")
    run = prepare(source, root / "runs" / "faces", recipe=SMALL)
    with run.dataset:
        list(run.epochs())
        finish(run)
    return root


@pytest.fixture(scope="session")
def photo():
    """The bytes of a wide colour photograph, as JPEG."""
    from sklearn.datasets import load_sample_image

    data = io.BytesIO()
    Image.fromarray(load_sample_image("china.jpg")).save(data, format="jpeg")
    return data.getvalue()


@pytest.fixture(scope="session")
def face():
    """The bytes of a face, as PNG."""
    from skimage.data import lfw_subset

    data = io.BytesIO()
    Image.fromarray(np.rint(lfw_subset()[0] * 255).astype(np.uint8)).save(data, format="png")
    return data.getvalue()
