"""What a person put right can be read by the command line, and nothing else has changed."""

import csv
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from pipeline.audit.corrections import REMOVE, corrected_archive, corrected_manifest, image_folder
from pipeline.cli.main import main
from pipeline.data.dataset import Dataset
from pipeline.ingestion.ingest import ingest
from pipeline.sources.demo import write_demo


@pytest.fixture
def data(tmp_path):
    ingest(write_demo("faces", tmp_path / "faces"), tmp_path / "faces.h5")
    return tmp_path / "faces.h5"


def correct(path):
    """Correct the first test image and remove the first training image; return (data set before, text, zip)."""
    with Dataset.open(path) as dataset:
        moved, removed = int(dataset.indices("test")[0]), int(dataset.indices("train")[0])
        other = dataset.classes[1 - dataset.labels[moved]]
        corrections = {moved: other, removed: REMOVE}
        folder = image_folder(dataset)
        text = corrected_manifest(dataset, corrections, folder) if folder else ""
        labels = {str(p): dataset.classes[k] for p, k in zip(dataset.paths, dataset.labels, strict=True)}
        splits = dict(zip(dataset.paths.tolist(), dataset.split.tolist(), strict=True))
        paths = str(dataset.paths[moved]), str(dataset.paths[removed])
        return labels, splits, paths, other, text, corrected_archive(dataset, corrections)


def test_the_manifest_is_ingested_from_anywhere_with_the_same_splits(data, tmp_path):
    labels, splits, (moved, removed), other, text, _ = correct(data)
    table = tmp_path / "elsewhere" / "manifest.csv"
    table.parent.mkdir()
    table.write_text(text, encoding="utf-8")
    assert main(["ingest", str(table), str(tmp_path / "new.h5")]) == 0
    expected = labels | {moved: other}
    del expected[removed]
    with Dataset.open(tmp_path / "new.h5") as new:
        names = [path.partition("faces/")[2] for path in new.paths]
        assert dict(zip(names, (new.classes[k] for k in new.labels), strict=True)) == expected
        assert dict(zip(names, new.split.tolist(), strict=True)) == {n: splits[n] for n in expected}


def test_the_archive_holds_the_same_pixels(data, tmp_path):
    _, _, (moved, removed), other, _, archive = correct(data)
    (tmp_path / "corrected.zip").write_bytes(archive)
    shutil.rmtree(tmp_path / "faces")
    assert main(["ingest", str(tmp_path / "corrected.zip"), str(tmp_path / "new.h5")]) == 0
    with Dataset.open(data) as old, Dataset.open(tmp_path / "new.h5") as new:
        assert image_folder(old) is None
        kept = [i for i, path in enumerate(old.paths) if path != removed]
        np.testing.assert_array_equal(new.images[:], old.images[:][kept])
        changed = new.labels != old.labels[kept]
        assert [str(old.paths[kept[i]]) for i in np.flatnonzero(changed)] == [moved]
        assert new.classes[new.labels[changed][0]] == other
        np.testing.assert_array_equal(new.split, old.split[kept])


def test_groups_stay_together(tmp_path):
    folder = write_demo("faces", tmp_path / "faces")
    ingest_arguments = ["ingest", str(folder), str(tmp_path / "faces.h5"), "--group-by", r"\d\d\d(?=\d)"]
    assert main(ingest_arguments) == 0
    text = correct(tmp_path / "faces.h5")[4]
    rows = list(csv.DictReader(text.splitlines()))
    assert {row["path"][-8:-5] for row in rows if row["group"] == "003"} == {"003"}


def test_a_clock_that_was_set_back_and_hostile_names_do_no_harm(tmp_path, monkeypatch, lfw_images):
    images = [Image.fromarray(image) for image in lfw_images[:20]]
    for k, image in enumerate(images):
        folder = tmp_path / "faces" / ("=cmd()", "+1+1")[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{k}.png")
    ingest(tmp_path / "faces", tmp_path / "faces.h5")
    monkeypatch.setattr(time, "time", lambda: 0.0)  # 1970, before a zip archive can begin
    with Dataset.open(tmp_path / "faces.h5") as dataset:
        (tmp_path / "corrected.zip").write_bytes(corrected_archive(dataset, {}))
        text = corrected_manifest(dataset, {}, tmp_path / "faces")
    assert {row["label"] for row in csv.DictReader(text.splitlines())} == {"./=cmd()", "./+1+1"}
    monkeypatch.undo()
    assert main(["ingest", str(tmp_path / "corrected.zip"), str(tmp_path / "new.h5")]) == 0
    with Dataset.open(tmp_path / "new.h5") as new:
        assert set(new.classes) == {"=cmd()", "+1+1"}
