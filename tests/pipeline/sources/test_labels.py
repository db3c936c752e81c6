"""Folders and paths become labels, splits and groups."""

import shutil

import pytest

from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.ingestion.ingest import ingest
from pipeline.ingestion.open import open_or_ingest


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
