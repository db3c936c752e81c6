"""The data set file: what is read from it, and files that are rejected."""

import json
import os
import shutil

import h5py
import numpy as np
import pytest

from model.storage.checkpoint import write_array
from model.storage.hdf5 import write_attribute
from pipeline.cli.main import main
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.ingestion.ingest import ingest


def shorten_labels(file):
    labels = file["labels"][:199]
    del file["labels"]
    file["labels"] = labels


def test_reading_a_split_gives_its_own_images(face_folder, tmp_path):
    ingest(face_folder, tmp_path / "faces.h5")
    with Dataset.open(tmp_path / "faces.h5") as data:
        images, labels = data.read("test")
        assert (data.X[:, data.indices("test")] == images.reshape(len(images), -1).T).all()
        assert (labels == data.labels[data.indices("test")]).all()
        assert np.bincount(labels).tolist() == [15, 15]
        assert (data.take(np.array([150, 3, 77, 3]))[:, :, :, 0] == data.images[:][[150, 3, 77, 3], :, :, 0]).all()


def test_foreign_damaged_and_newer_files_are_refused(face_folder, tmp_path):
    path = tmp_path / "good.h5"
    ingest(face_folder, path)

    def say(change):
        broken = tmp_path / "broken.h5"
        shutil.copy(path, broken)
        change(broken)
        with pytest.raises(InputError) as caught:
            Dataset.open(broken)
        return str(caught.value)

    def edit(action):
        def change(broken):
            with h5py.File(broken, "r+") as file:
                action(file)

        return change

    assert "there is no such file" in say(lambda broken: broken.unlink())
    assert "cut short" in say(lambda broken: os.truncate(broken, 60_000))
    assert "not an HDF5 file" in say(lambda broken: broken.write_text("hello"))
    assert "of another program" in say(edit(lambda file: file.attrs.__delitem__("format")))
    assert "is a model of Facette, not a data set" in say(
        edit(lambda file: write_attribute(file, "format", "facette-model"))
    )
    assert "version 9" in say(edit(lambda file: file.attrs.__setitem__("version", 9)))
    assert "damaged" in say(edit(lambda file: file.__delitem__("sha256")))
    assert "config is []; it should be a table" in say(edit(lambda file: write_attribute(file, "config", "[]")))
    wrong = json.dumps({"max_pixels": "many"})
    assert "max_pixels: 'many' does not work" in say(edit(lambda file: write_attribute(file, "config", wrong)))
    assert "counts[0] is 3; it should be a table" in say(edit(lambda file: write_attribute(file, "counts", "[3]")))
    assert "labels has shape (199,) and dtype int32; shape (200,) is needed" in say(edit(shorten_labels))


def test_a_file_in_the_layout_of_the_course_is_rejected_with_what_to_do(tmp_path):
    with h5py.File(tmp_path / "train_cats.h5", "w") as file:
        file["train_set_x"] = np.zeros((4, 8, 8, 3), np.uint8)
    with pytest.raises(InputError, match=r"make one with:  .*facette ingest .*train_cats\.h5 OUT\.h5"):
        Dataset.open(tmp_path / "train_cats.h5")


def test_a_split_that_does_not_exist_is_named_with_those_that_do(face_folder, tmp_path):
    ingest(face_folder, tmp_path / "faces.h5")
    with Dataset.open(tmp_path / "faces.h5") as data, pytest.raises(InputError, match="split 'dev' is unknown; choose"):
        data.indices("dev")


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [("sizes", 0, "size"), ("kind", 7, "kind"), ("measures", np.nan, "measure"), ("measures", np.inf, "measure")],
)
def test_impossible_facts_about_images_are_damage(face_folder, tmp_path, name, value, part, capsys):
    ingest(face_folder, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        values = file[name][:]
        values[3] = value
        del file[name]
        write_array(file, name, values)
    assert main(["inspect", str(tmp_path / "a.h5")]) == 2
    message = capsys.readouterr().err
    assert "damaged data set" in message
    assert part in message
