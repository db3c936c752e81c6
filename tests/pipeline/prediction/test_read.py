"""What is read becomes an image or an error, and says the same whatever it lies in."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.ingestion.ingest import IngestOptions, ingest
from pipeline.prediction.inputs import Inputs
from pipeline.prediction.predict import Settings, predict


@pytest.fixture(scope="module")
def classifier(run_path):
    return ImageClassifier.load(run_path)


def rows_of(classifier, *given):
    return list(predict(classifier, Inputs([str(one) for one in given], classifier.classes), Settings(topk=2)))


def test_an_archive_says_what_the_folder_says(photos, classifier):
    with zipfile.ZipFile("photos.zip", "w") as archive:
        for path in sorted(photos.rglob("*.png")):
            archive.write(path)
        archive.writestr("photos/face/bad.png", "words")
        archive.writestr("../out.png", "words")
    unpacked, packed = rows_of(classifier, "photos"), rows_of(classifier, "photos.zip")

    good = [row for row in packed if row.status == "ok"]
    assert [row.path for row in good] == [f"photos.zip/{row.path}" for row in unpacked]
    assert [row.sha256 for row in good] == [row.sha256 for row in unpacked]
    assert [row.true_label for row in good] == [row.true_label for row in unpacked]
    for row, other in zip(good, unpacked, strict=True):
        assert dict(row.ranking) == pytest.approx(dict(other.ranking), abs=1e-6)
    assert sorted(row.error_code for row in packed if row.status == "error") == ["not_an_image", "permission"]


def test_a_data_set_says_what_its_images_say(classifier, run_path, faces):
    from_files = {row.sha256: row for row in rows_of(classifier, faces)}
    rows = rows_of(classifier, run_path / "data.h5")
    with Dataset.open(run_path / "data.h5") as data:
        assert [row.path for row in rows] == [f"{run_path}/data.h5/{path}" for path in data.paths]
        assert [row.true_label for row in rows] == [data.classes[k] for k in data.labels]
    assert len(rows) == len(from_files) == 200
    for row in rows:
        assert dict(row.ranking) == pytest.approx(dict(from_files[row.sha256].ranking), abs=1e-6)


def test_arrays_are_images(classifier, tmp_path, lfw_images):
    np.savez(tmp_path / "faces.npz", images=lfw_images[90:110], labels=np.repeat([0, 1], 10))
    rows = rows_of(classifier, tmp_path / "faces.npz")
    expected = classifier.probabilities(lfw_images[90:110, :, :, None])
    assert [dict(row.ranking)["face"] for row in rows] == pytest.approx(expected[0].tolist(), abs=1e-6)


def test_a_data_set_or_archive_that_was_replaced_is_read_anew(photos, classifier, run_path):
    for kind in ("face", "other"):
        ingest(photos / kind, "new.h5", options=IngestOptions(geometry=classifier.geometry))
        shutil.move("new.h5", "data.h5")
        with zipfile.ZipFile("photos.zip", "w") as archive:
            for path in sorted((photos / kind).iterdir()):
                archive.write(path)
        for name in ("data.h5", "photos.zip"):
            digests = [row.sha256 for row in rows_of(classifier, name)]
            assert digests == [row.sha256 for row in rows_of(classifier, photos / kind)]


def test_an_archive_that_vanishes_leaves_a_row_for_each_image(photos, classifier):
    with zipfile.ZipFile("photos.zip", "w") as archive:
        for path in sorted(photos.rglob("*.png")):
            archive.write(path)
    items = list(Inputs(["photos.zip"]))
    Path("photos.zip").unlink()
    assert [row.error_code for row in predict(classifier, items)] == ["io_error"] * 10


def test_what_vanishes_or_may_not_be_read_is_a_row(photos, classifier):
    items = list(Inputs(["photos"]))
    (photos / "face" / "0000.png").unlink()
    (photos / "face" / "0001.png").unlink()
    (photos / "face" / "0001.png").mkdir()
    os.mkfifo(photos / "pipe.png")
    rows = list(predict(classifier, [*items, *Inputs(["photos/pipe.png"])]))
    assert [row.error_code for row in rows] == ["not_found", "io_error", *[""] * 8, "io_error"]


def test_two_files_with_one_base_name_are_two_rows(photos, classifier):
    Image.open(photos / "face" / "0000.png").rotate(180).save(photos / "other" / "0000.png")
    rows = [row for row in rows_of(classifier, "photos") if row.path.endswith("0000.png")]
    assert len({row.path for row in rows}) == len({row.sha256 for row in rows}) == 2
