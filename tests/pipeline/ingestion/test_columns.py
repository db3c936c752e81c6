"""The columns of a data set: what is in the file comes back, and images come to the division as they are."""

import contextlib
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

from pipeline.data.dataset import Dataset
from pipeline.data.splits import UNDIVIDED, Split
from pipeline.ingestion.columns import Columns, read_columns
from pipeline.ingestion.ingest import ingest


@pytest.fixture
def mixed(face_folder, tmp_path, photo):
    """A data set of small and of large images, in ready-made splits, some of them unlabelled."""
    root = tmp_path / "mixed"
    for i, path in enumerate(sorted(face_folder.rglob("*.png"))):
        folder = root / ("train", "train", "val", "test")[i % 4] / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    for i in range(3):
        photo.crop((90 * i, 0, 90 * i + 80, 80)).save(root / "train" / "face" / f"large {i}.jpg")
    (root / "unlabelled").mkdir()
    Image.effect_noise((25, 25), 80).save(root / "unlabelled" / "a.png")
    ingest(root, tmp_path / "mixed.h5")
    return tmp_path / "mixed.h5"


def test_columns_that_are_read_from_a_file_are_those_of_the_file(mixed, tmp_path):
    with (
        Dataset.open(mixed) as data,
        h5py.File(mixed) as file,
        contextlib.closing(Columns(tmp_path)) as columns,
    ):
        known = read_columns(file, columns)
        assert known == {(str(path), row.tobytes()) for path, row in zip(data.paths, data.sha256, strict=True)}
        for name in ("sha256", "sizes", "measures"):
            np.testing.assert_array_equal(columns.column(name), getattr(data, name))
        names = np.array(list(columns.kinds))
        assert (names[columns.column("kind")] == data.kinds).all()
        assert set(names) == {"PNG L", "JPEG RGB"}
        large, thumbnails = data.thumbnails()
        assert [str(path) for path in data.paths[large]] == [f"train/face/large {i}.jpg" for i in range(3)]
        np.testing.assert_array_equal(columns.column("thumbnail_of"), large)
        np.testing.assert_array_equal(columns.thumbnails, thumbnails)


def test_images_are_undivided_until_they_have_a_split(mixed, tmp_path):
    with (
        Dataset.open(mixed) as data,
        h5py.File(mixed) as file,
        contextlib.closing(Columns(tmp_path)) as columns,
    ):
        read_columns(file, columns)
        columns.samples[0] = columns.samples[0]._replace(split="")
        given = columns.undivided(data.labels, data.classes).given
        assert given[0] == UNDIVIDED
        np.testing.assert_array_equal(given[1:], data.split[1:])
        assert Split.UNLABELLED in given
