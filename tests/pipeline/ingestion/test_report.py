"""The report of an ingestion: what is written down of rejected files, and what is noted."""

import csv
import shutil

import numpy as np
import pytest

from pipeline.data.splits import Split
from pipeline.errors import InputError
from pipeline.ingestion.ingest import ingest
from pipeline.ingestion.report import split_notes, write_rejected


def test_rejected_files_as_a_table(face_folder, tmp_path):
    (face_folder / "face" / "text, with comma.jpg").write_text("x")
    (face_folder / "=cmd.png").write_text("x")
    report = ingest(face_folder, tmp_path / "out.h5")
    write_rejected(report, tmp_path / "rejected.csv")
    with (tmp_path / "rejected.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["error_code"]) for row in rows] == [
        ("./=cmd.png", "not_an_image"),
        ("face/text, with comma.jpg", "not_an_image"),
    ]
    with pytest.raises(InputError, match="cannot be written"):
        write_rejected(report, tmp_path / "nowhere" / "rejected.csv")


def test_classes_that_a_split_lacks_are_noted():
    splits = np.array([Split.TRAIN, Split.TRAIN, Split.TEST, Split.UNLABELLED], dtype=np.uint8)
    labels = np.array([0, 1, 1, -1])
    assert split_notes(splits, labels, ["cat", "dog"]) == ["no test images of 'cat'"]
    many = [f"class {k}" for k in range(9)]
    assert split_notes(splits[:3], labels[:3], many)[1] == (
        "no test images of 'class 0', 'class 2', 'class 3', 'class 4', 'class 5' and 3 more"
    )


def test_a_class_that_a_split_lacks_because_of_its_groups_is_explained():
    splits = np.array([Split.TRAIN] * 5 + [Split.TEST] * 4 + [Split.VALIDATION], dtype=np.uint8)
    labels = np.array([0] * 3 + [1] * 2 + [0] * 1 + [1] * 3 + [0])
    groups = np.array([-1] * 3 + [7] * 2 + [-1] + [8] * 3 + [-1])
    assert split_notes(splits, labels, ["cat", "dog"], np.full(10, -1)) == ["no validation images of 'dog'"]
    (note,) = split_notes(splits, labels, ["cat", "dog"], groups)
    assert note.startswith("no validation images of 'dog': the 5 images of 'dog' are only 2 groups (near duplicates")
    assert "--no-near-duplicates" in note


def test_duplicates_and_their_labels_are_noted(face_folder, tmp_path):
    for i in range(5):
        shutil.copy(face_folder / "face" / f"{i:03d}.png", face_folder / "other" / f"copy {i}.png")
    report = ingest(face_folder, tmp_path / "out.h5")
    notes = "\n".join(report.notes)
    assert "exact duplicates of other images: 5" in notes
    assert "exact duplicates with several labels: 5 sets; face: face/000.png = other: other/copy 0.png; " in notes
    assert notes.count(" = ") == 3
    assert " and 2 more" in notes
