"""Folders and paths become labels, splits and groups."""

import shutil
import unicodedata

import pytest

from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.ingestion.ingest import ingest
from pipeline.ingestion.open import open_or_ingest
from pipeline.sources.labels import arrange, split_of

NFC, NFD = (unicodedata.normalize(form, "Bär") for form in ("NFC", "NFD"))


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev"])
def test_ready_made_splits_stay_as_given(face_folder, tmp_path, name):
    root = tmp_path / "given"
    for i, path in enumerate(sorted(face_folder.rglob("*.png"))):
        part = ("train", "train", name, "test")[i % 4]
        if part == "test" and path.parent.name == "other":
            part = "train"  # a class missing from one split keeps its index
        to = root / part / path.parent.name / path.name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, to)
    report = ingest(root, tmp_path / "out.h5")
    assert report.ready_made
    with Dataset.open(tmp_path / "out.h5") as data:
        assert data.classes == ("face", "other")
        for split, folder in (("train", "train"), ("validation", name), ("test", "test")):
            assert {path.split("/")[0] for path in data.paths[data.indices(split)]} == {folder}
        assert set(data.labels[data.indices("test")]) == {0}
    assert any("no test images of 'other'" in note for note in report.notes)


def test_groups_by_folder_and_by_pattern(face_folder):
    for path in sorted(face_folder.rglob("*.png")):
        path.rename(path.with_name(f"S{int(path.stem) // 8}_{path.name}"))

    def sides(group_by, key):
        with open_or_ingest(face_folder, DataConfig(group_by=group_by)) as (data, _):
            found = {}
            for path, split in zip(data.paths, data.split, strict=True):
                found.setdefault(key(path), set()).add(int(split))
        return found

    assert all(len(side) == 1 for side in sides(r"/S\d+", lambda path: path.split("_")[0].split("/")[1]).values())
    assert all(len(side) == 1 for side in sides(r"/S(\d+)_", lambda path: path.split("_")[0].split("/")[1]).values())
    for path in sorted(face_folder.rglob("*.png")):
        folder = path.with_name(path.name.split("_")[0])
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
    assert all(len(side) == 1 for side in sides("folder", lambda path: path.rpartition("/")[0]).values())


def test_groupings_that_cannot_work(face_folder, manifest, tmp_path, error_of):
    assert "all images belong to one group" in error_of(face_folder, group_by="folder")
    assert "is found in no path" in error_of(face_folder, group_by="person")
    assert "is not a pattern" in error_of(face_folder, group_by="(")
    assert "columns of the manifest: path, label" in error_of(manifest(), group_by="person")
    rows = [(f"{name}/{i:03d}.png", name, f"p{i // 9}") for name in ("face", "other") for i in range(90)]
    report = ingest(manifest(rows, ("path", "label", "person")), tmp_path / "out.h5", DataConfig(group_by="person"))
    assert report.groups == 10
    assert report.random_split_leaks > 20


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, "train") for name in ("train", "Training", "train_set", "TRAINING_SET", "train2017", "images-train")),
        *((name, "train") for name in ("trainset", "TrainData", "seg_train", "training images")),
        *((name, "validation") for name in ("val", "val_images", "validation_data", "Valid", "dev-set", "val2017")),
        *((name, "test") for name in ("test", "Testing", "test_set", "test1", "testset", "test dataset")),
        *((name, "") for name in ("cat", "trains", "tested", "values", "images", "data_set", "trainer", "contest", "")),
    ],
)
def test_names_that_mean_splits(name, split):
    assert split_of(name) == split


def found_in(*paths):
    samples, notes = arrange(paths, "photos")
    return [(sample.label, sample.split) for sample in samples], notes


def test_well_known_names_of_splits_are_no_classes():
    assert found_in("Testing/cat/1.png", "Training/cat/2.png", "val_images/dog/3.png") == (
        [("cat", "test"), ("cat", "train"), ("dog", "validation")],
        ("ready-made splits: Testing, Training, val_images",),
    )
    doubled = (
        "test_set/test_set/cat/1.png",
        "training_set/training_set/cat/2.png",
        "training_set/training_set/dog/3.png",
    )
    assert found_in(*doubled)[0] == [("cat", "test"), ("cat", "train"), ("dog", "train")]
    # A class may have the name of a split, if it is not the only one.
    assert found_in("train/train/1.png", "train/car/2.png", "val/car/3.png")[0] == [
        ("train", "train"),
        ("car", "train"),
        ("car", "validation"),
    ]


def test_classes_that_may_be_splits_get_a_note():
    labels, (note,) = found_in("prueba/cat/1.png", "prueba/dog/1.png", "ensayo/cat/2.png", "ensayo/dog/2.png")
    assert {label for label, _ in labels} == {"prueba", "ensayo"}
    assert "if 'prueba', 'ensayo' are splits and no classes, rename them train, validation and test" in note
    _, (note,) = found_in("cat/train/1.png", "cat/test/2.png", "dog/train/1.png", "dog/test/2.png")
    assert "these are not used as splits" in note
    for ordinary in (
        ("cat/a/1.png", "cat/b/1.png", "dog/a/1.png"),
        ("cat/a/1.png", "cat/b/1.png", "dog/a/1.png", "dog/b/1.png", "dog/1.png"),
        ("cat/a/1.png", "dog/a/1.png"),
        ("cat/1.png", "dog/1.png"),
        ("1.png",),
    ):
        assert found_in(*ordinary)[1] == ()


def test_one_name_in_two_unicode_forms_is_one_class(face_folder, tmp_path):
    assert found_in(f"train/{NFC}/1.png", f"test/{NFD}/1.png")[0] == [(NFC, "train"), (NFC, "test")]
    (face_folder / "face").rename(face_folder / NFD)
    (face_folder / NFC).mkdir()
    (face_folder / NFD / "000.png").rename(face_folder / NFC / "000.png")
    assert ingest(face_folder, tmp_path / "out.h5").classes == {NFC: 100, "other": 100}
