"""Streams are cut into chunks that stay the same when other files come and go."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.prediction.chunks import split_into_chunks
from pipeline.prediction.inputs import Item


def test_a_file_more_or_less_changes_the_chunks_around_it_alone():
    def keys(names):
        return [chunk.key for chunk in split_into_chunks((Item(path, name) for name in names), 625)]

    path, names = Path("zip"), [f"{i}.jpg" for i in range(5_000)]
    before = keys(names)
    assert 12 < len(before) < 32  # about 256 files each
    for changed in ([*names[:777], "new.jpg", *names[777:]], names[1:], [*names[:2000], *names[2100:]]):
        assert len({*before} ^ {*keys(changed)}) <= 8
    assert len({*keys(names * 2)}) == len(keys(names * 2))  # the same files again are chunks of their own


def read(path):
    with open(path, newline="", encoding="utf-8") as file:  # noqa: PTH123
        return list(csv.DictReader(file))


def test_a_data_set_in_many_batches_has_the_rows_of_its_images(predict, monkeypatch, run_path):
    shutil.copy(run_path / "data.h5", "data.h5")
    classifier = ImageClassifier.load(run_path)
    with Dataset.open("data.h5") as data:
        probabilities = classifier.probabilities(data.images[:])
        expected = [
            (f"data.h5/{path}", digest.tobytes().hex(), data.classes[label], classifier.classes[k])
            for path, digest, label, k in zip(
                data.paths, data.sha256, data.labels, probabilities.argmax(axis=0), strict=True
            )
        ]
    monkeypatch.setattr("pipeline.prediction.chunks.IMAGES_IN_SLICE", (64, 64))
    monkeypatch.setattr("pipeline.classifier._MOST_IMAGES", 50)
    for name, jobs in (("one.csv", 1), ("three.csv", 3)):
        assert predict(run_path, "data.h5", "-o", name, "--jobs", jobs)[0] == 0
    assert Path("one.csv").read_bytes() == Path("three.csv").read_bytes()
    rows = read("one.csv")
    assert [(row["path"], row["sha256"], row["true_label"], row["label"]) for row in rows] == expected
    assert [float(row["probability"]) for row in rows] == pytest.approx(probabilities.max(axis=0).tolist(), abs=1e-6)
