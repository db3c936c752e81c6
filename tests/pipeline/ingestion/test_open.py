"""A data set is opened as it is; anything else is ingested into a data set that is gone afterwards."""

import h5py
import numpy as np
import pytest

from pipeline.cli.main import main
from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.images.geometry import Geometry
from pipeline.ingestion.ingest import ingest
from pipeline.ingestion.open import open_or_ingest


@pytest.fixture(scope="module")
def course(tmp_path_factory, lfw_images):
    """The two files of the course's layout, in which some images are there three times."""
    folder = tmp_path_factory.mktemp("course")
    images = np.repeat(lfw_images[..., None], 3, axis=3)
    order = np.random.default_rng(0).permutation(np.concatenate([np.arange(200), np.arange(0, 200, 4)]))
    labels = np.repeat([1, 0], 100)
    for name, rows in (("train", order[:200]), ("test", order[200:])):
        with h5py.File(folder / f"{name}_faces.h5", "w") as file:
            file[f"{name}_set_x"], file[f"{name}_set_y"] = images[rows], labels[rows]
            file["list_classes"] = np.array([b"other", b"face"])
    return folder / "train_faces.h5"


@pytest.fixture(scope="module")
def trained(course, tmp_path_factory):
    """A run whose images came from a file of the course's layout."""
    runs = tmp_path_factory.mktemp("runs")
    assert main(["train", str(course), "--runs", str(runs), "--name", "course", "--epochs", "5", "--hidden", "32"]) == 0
    return runs / "course" / "model.h5"


def test_a_data_set_is_opened_as_it_is(face_folder, tmp_path):
    ingest(face_folder, tmp_path / "faces.h5")
    with open_or_ingest(tmp_path / "faces.h5", geometry=Geometry(9, 9), split="test") as (dataset, source):
        assert source is None
        assert dataset.file.filename == str(tmp_path / "faces.h5")
        assert dataset.geometry.shape == (25, 25, 1)
    assert (tmp_path / "faces.h5").exists()


def test_a_folder_is_ingested_into_a_data_set_that_is_gone_afterwards(face_folder):
    config = DataConfig(size="12", group_by=r"(\d\d)\d\.png")
    with open_or_ingest(face_folder, config, split="test") as (dataset, source):
        assert source.kind == "folder"
        assert dataset.geometry.shape == (12, 12, 1)
        assert len(dataset.indices("test")) == 200
        assert len(set(dataset.group)) == 10
        path = dataset.file.filename
    with pytest.raises(InputError, match="there is no such file"):
        Dataset.open(path)


@pytest.mark.parametrize(
    "command",
    [
        "evaluate MODEL COURSE",
        "evaluate MODEL COURSE --random-split",
        "inspect COURSE",
        "filters MODEL --layer 2 --data COURSE -o OUT.png",
        "predict MODEL COURSE -o OUT.csv",
    ],
)
def test_every_command_takes_a_file_of_the_layout_of_the_course(course, trained, tmp_path, command):
    words = {"MODEL": str(trained), "COURSE": str(course), "OUT.png": str(tmp_path / "a.png")}
    words["OUT.csv"] = str(tmp_path / "a.csv")
    assert main([words.get(word, word) for word in command.split()]) == 0
