"""Every group is in one split, and what a random split (ignoring groups) would leak is counted."""

import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.data.division import Undivided, divide
from pipeline.data.splits import UNDIVIDED, Split
from pipeline.errors import InputError
from pipeline.ingestion.ingest import ingest


def test_exact_duplicates_are_in_one_split_and_conflicting_labels_are_named(face_folder, tmp_path):
    for i in range(40):
        shutil.copy(face_folder / "face" / f"{i:03d}.png", face_folder / "face" / f"copy {i}.png")
    shutil.copy(face_folder / "face" / "050.png", face_folder / "other" / "face.png")
    # the same pixels in another file format are a copy as well
    Image.open(face_folder / "other" / "001.png").save(face_folder / "other" / "again.bmp")
    report = ingest(face_folder, tmp_path / "out.h5")
    assert report.duplicates == 42
    assert report.conflicts == (("face: face/050.png", "other: other/face.png"),)
    assert report.random_split_leaks > 0
    with Dataset.open(tmp_path / "out.h5") as data:
        split = dict(zip(data.paths, data.split, strict=True))
    for i in range(40):
        assert split[f"face/{i:03d}.png"] == split[f"face/copy {i}.png"]
    assert split["face/050.png"] == split["other/face.png"]
    assert split["other/001.png"] == split["other/again.bmp"]


def test_a_random_split_leaks_what_grouping_prevents(face_folder, tmp_path):
    for i in range(60):
        shutil.copy(face_folder / "face" / f"{i:03d}.png", face_folder / "face" / f"copy {i}.png")
    report = ingest(face_folder, tmp_path / "out.h5", DataConfig(validation=0.2, test=0.2))
    with Dataset.open(tmp_path / "out.h5") as data:
        ignoring = data.random_split()
        assert np.bincount(ignoring).tolist() == [156, 52, 52]

        def shared(split):
            trained = set(data.group[split == 0]) - {-1}
            return sum(group in trained for group in data.group[(split == 1) | (split == 2)])

        assert shared(ignoring) == report.random_split_leaks > 10
        assert shared(data.split) == 0


def images_of(labels, given, keys):
    """Return small images, all different, as `divide` takes them."""
    m = len(labels)
    digests = np.arange(m * 16, dtype=np.uint8).reshape(m, 16)
    nothing = np.empty(0, int)
    return Undivided(np.array(labels), ["a", "b"], np.array(given, np.uint8), keys, digests, nothing, nothing)


def test_groups_spread_over_a_ready_made_split_are_reported_training_first():
    given = [Split.TEST, Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.DROPPED, Split.TRAIN]
    images = images_of([0, 0, 1, 1, 0, 0], given, ["p", "p", "", "q", "q", "r"])
    division = divide(images, DataConfig())
    assert [rows.tolist() for rows in division.leaks] == [[1, 0]]
    assert division.split.tolist() == given
    dropped = divide(images, DataConfig(drop_leaks=True)).split
    assert dropped.tolist() == [Split.TEST, Split.DROPPED, *given[2:]]


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("validation", [Split.VALIDATION, Split.VALIDATION, Split.UNLABELLED]),
        ("given", [Split.TEST, Split.TRAIN, Split.UNLABELLED]),
    ],
)
def test_images_are_put_into_one_split_or_left_in_their_own(split, expected):
    images = images_of([0, 0, -1], [Split.TEST, UNDIVIDED, Split.TEST], ["", "", ""])
    assert divide(images, DataConfig(), split=split).split.tolist() == expected


def test_a_small_class_is_accepted_only_where_images_are_added():
    images = images_of([0, 0, 0, 1], [Split.TRAIN, Split.TEST, UNDIVIDED, UNDIVIDED], [""] * 4)
    assert divide(images, DataConfig(), allow_small_classes=True).split[:2].tolist() == [Split.TRAIN, Split.TEST]
    with pytest.raises(InputError, match="class 'b': one image only"):
        divide(images_of([0, 0, 0, 1], [UNDIVIDED] * 4, [""] * 4), DataConfig())
