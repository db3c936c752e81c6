"""Arrays: every image arrives with its label, and arrays that do not fit are rejected with one message."""

import re

import h5py
import numpy as np
import pytest

from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.ingestion.ingest import ingest
from pipeline.ingestion.open import open_or_ingest


def write_course(folder, images, labels, n_train):
    for name, part in (("train", slice(n_train)), ("test", slice(n_train, None))):
        with h5py.File(folder / f"{name}_catvnoncat.h5", "w") as file:
            file[f"{name}_set_x"] = images[part]
            file[f"{name}_set_y"] = labels[part]
            file["list_classes"] = np.array([b"non-cat", b"cat"])
    return folder


def test_arrays_give_their_images(tmp_path, lfw_images):
    labels = np.repeat([1, 0], 100)
    np.savez(tmp_path / "a.npz", images=lfw_images, labels=labels, classes=np.array(["no", "yes"]))
    ingest(tmp_path / "a.npz", tmp_path / "npz.h5")
    with Dataset.open(tmp_path / "npz.h5") as data:
        assert data.classes == ("no", "yes")
        assert (data.labels == labels).all()
        assert (data.images[..., 0] == lfw_images).all()
    np.save(tmp_path / "b.npy", lfw_images / np.float32(255))
    report = ingest(tmp_path / "b.npy", tmp_path / "npy.h5")
    assert report.unlabelled == 200
    with Dataset.open(tmp_path / "npy.h5") as data:
        assert (data.images[..., 0] == lfw_images).all()


@pytest.mark.parametrize(
    ("dtype", "values", "scale", "expected"),
    [
        (np.uint16, [0, 257, 65535], 0, [0, 1, 255]),
        (np.uint16, [0, 2048, 4095], 4095, [0, 128, 255]),
        (np.float64, [0, 0.5, 1.0000001], 0, [0, 128, 255]),
        (np.float16, [-0.01, 0.5, 1], 0, [0, 128, 255]),
        (np.float32, [0, 100.4, 255.001], 255, [0, 100, 255]),
        (bool, [0, 1, 1], 0, [0, 255, 255]),
        (np.int64, [0, 7, 255], 0, [0, 7, 255]),
        (np.int16, [0, 7, 255], 0, [0, 7, 255]),
        (np.uint32, [0, 300, 65535], 65535, [0, 1, 255]),
    ],
)
def test_array_values_come_to_8_bits(tmp_path, dtype, values, scale, expected):
    images = np.resize(np.array(values, dtype=dtype), (2, 3, 5))
    np.save(tmp_path / "a.npy", images)
    ingest(tmp_path / "a.npy", tmp_path / "out.h5", DataConfig(scale=scale))
    with Dataset.open(tmp_path / "out.h5") as data:
        assert (data.images[..., 0] == np.resize(expected, (2, 3, 5))).all()
        assert data.geometry.scale == scale


def test_an_image_depends_on_no_other_image(tmp_path):
    dark = np.random.default_rng(0).integers(0, 256, (6, 8, 8), np.uint16)
    bright = np.full((1, 8, 8), 60000, np.uint16)
    np.savez(
        tmp_path / "a.npz",
        x_train=np.concatenate([dark, bright]),
        y_train=[0, 1] * 3 + [0],
        x_test=dark,
        y_test=[0, 1] * 3,
    )
    report = ingest(tmp_path / "a.npz", tmp_path / "a.h5", DataConfig(validation=0))
    with Dataset.open(tmp_path / "a.h5") as data:
        assert (data.images[:6] == data.images[7:]).all()
        assert data.images[:6].max() <= 1
    (note,) = (note for note in report.notes if "white" in note)
    assert "x_test: no value is above" in note
    assert "--scale" in note


@pytest.mark.parametrize(
    ("dtype", "values", "part"),
    [
        (np.float32, [0, 255], "float32 values from 0 to 255, where 0 is black and 1 is white; .* --scale 255"),
        (np.float32, [-0.5, 1], "values from -0.5 to 1"),
        (np.int64, [0, 40000], "int64 values from 0 to 40000, .* --scale 65535"),
        (np.int16, [-1, 20], "values from -1 to 20"),
        (np.float64, [0, np.nan], "not finite"),
        (np.float64, [0, np.inf], "not finite"),
    ],
)
def test_values_that_cannot_be_pixels_are_refused(tmp_path, error_of, dtype, values, part):
    np.save(tmp_path / "a.npy", np.resize(np.array(values, dtype), (5, 6, 6)))
    assert re.search(part, error_of(tmp_path / "a.npy"))


@pytest.mark.parametrize(
    ("shape", "part"),
    [
        ((24, 24, 3), r"may be one image in colour; give \(1, height, width, 3\)"),
        ((3, 24, 24), "may be one image in colour"),
        ((24, 20, 4), "may be one image in colour"),
        ((7, 3, 24, 20), "its channels come first"),
        ((24, 24), "has shape"),
    ],
)
def test_one_image_is_not_taken_for_many(tmp_path, error_of, shape, part):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    assert re.search(part, error_of(tmp_path / "a.npy"))


def test_one_image_is_read_if_its_shape_says_so(tmp_path):
    np.save(tmp_path / "a.npy", np.full((1, 24, 20, 3), 7, np.uint8))
    assert ingest(tmp_path / "a.npy", tmp_path / "a.h5").ingested == 1


def test_bad_arrays(tmp_path, lfw_images, error_of):
    def npz(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return error_of(tmp_path / "a.npz")

    assert "200 images and 199 labels" in npz(images=lfw_images, labels=np.zeros(199))
    assert "Python objects" in npz(images=np.array([lfw_images, None], dtype=object), labels=np.zeros(2))
    assert "no images under a known name; found: photos" in npz(photos=lfw_images)
    assert "has shape (200, 625)" in npz(images=lfw_images.reshape(200, -1))
    assert "label 3 has no class name" in npz(images=lfw_images, labels=np.full(200, 3), classes=np.array(["a", "b"]))
    assert "not whole numbers" in npz(images=lfw_images, labels=np.full(200, 0.5))
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(data[:100])
    assert "cannot be read" in error_of(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_text("hello")
    assert "cannot be read" in error_of(tmp_path / "a.npz")


def test_the_layout_of_the_course(tmp_path, lfw_images, error_of):
    images = np.repeat(lfw_images[..., None], 3, axis=3)
    labels = np.tile([0, 1], 100)
    (tmp_path / "cats").mkdir()
    folder = write_course(tmp_path / "cats", images, labels, 160)
    for i, location in enumerate((folder, folder / "train_catvnoncat.h5", folder / "test_catvnoncat.h5")):
        report = ingest(location, tmp_path / f"{i}.h5")
        assert report.splits == {"train": 136, "validation": 24, "test": 40, "unlabelled": 0, "dropped": 0}
        with Dataset.open(tmp_path / f"{i}.h5") as data:
            assert data.classes == ("non-cat", "cat")
            assert (data.labels == labels).all()
            assert (data.images[..., 0] == lfw_images).all()
            assert (data.split[160:] == 2).all()
    with (
        open_or_ingest(folder / "train_catvnoncat.h5") as (course, _),
        Dataset.open(tmp_path / "0.h5") as data,
    ):
        assert course.fingerprint == data.fingerprint
        assert (course.X == data.X).all()
    with pytest.raises(InputError, match=r"is not a data set; make one with:  .*facette ingest .*train_catvnoncat"):
        Dataset.open(folder / "train_catvnoncat.h5")
    with h5py.File(folder / "test_catvnoncat.h5", "r+") as file:
        del file["test_set_y"]
        file["test_set_y"] = np.zeros(3)
    assert "40 images and 3 labels" in error_of(folder)
    (folder / "test_catvnoncat.h5").unlink()
    assert ingest(folder, tmp_path / "one.h5").splits["test"] == 24  # only a training set: divided as usual


def test_a_data_set_is_a_source_too(face_folder, tmp_path):
    ingest(face_folder, tmp_path / "one.h5")
    report = ingest(tmp_path / "one.h5", tmp_path / "small.h5", DataConfig(size="12"))
    assert (report.geometry.height, report.geometry.width) == (12, 12)
    with Dataset.open(tmp_path / "one.h5") as one, Dataset.open(tmp_path / "small.h5") as small:
        assert (one.split == small.split).all()
        assert (one.labels == small.labels).all()
        assert (one.paths == small.paths).all()
