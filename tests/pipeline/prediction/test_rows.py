"""Rows and their totals."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.classifier import ImageClassifier
from pipeline.ingestion.ingest import IngestOptions, ingest


def read(path):
    with open(path, newline="", encoding="utf-8") as file:  # noqa: PTH123
        return list(csv.DictReader(file))


def test_totals_add_up(predict, run_path, photos):
    (photos / "bad.jpg").write_text("words")
    _, out, err = predict(run_path, photos, "-o", "out.csv", "--threshold", "0.95", "--json")
    found = json.loads(out)
    rows = read("out.csv")
    assert found["files"] == len(rows) == found["ok"] + found["abstain"] + found["error"] == 11
    assert found["errors"] == {"not_an_image": 1}
    for row in rows:
        if row["status"] != "error":
            assert (row["status"] == "abstain") == (float(row["probability"]) < 0.95)
    assert found["abstain"]
    assert f"{found['abstain']} abstain" in err
    labelled = [row for row in rows if row["true_label"]]
    assert found["accuracy"] == pytest.approx(np.mean([row["label"] == row["true_label"] for row in labelled]))


def test_classes_that_the_model_does_not_know_are_not_held_against_it(predict, run_path, photos):
    (photos / "face").rename(photos / "car")
    ingest(photos, "data.h5", options=IngestOptions(geometry=ImageClassifier.load(run_path).geometry))
    Path("table.csv").write_text("path,label\nphotos/car/0001.png,face\nphotos/car/0002.png,boat\n")
    _, out, _ = predict(run_path, "data.h5", "table.csv", "-o", "out.csv", "--json")
    rows = read("out.csv")
    assert [row["true_label"] for row in rows] == ["car"] * 5 + ["other"] * 5 + ["face", "boat"]
    known = [row for row in rows if row["true_label"] in ("face", "other")]
    found = json.loads(out)
    assert found["labelled"] == len(known) == 6
    assert found["accuracy"] == pytest.approx(np.mean([row["label"] == row["true_label"] for row in known]))


def test_only_one_class_is_written_and_all_are_counted(predict, run_path, photos):
    _, out, err = predict(run_path, photos, "-o", "out.csv", "--only", "face", "--json")
    found = json.loads(out)
    rows = read("out.csv")
    assert f"; {len(rows)} rows written to out.csv" in err
    assert found["files"] == 10
    assert {row["label"] for row in rows} == {"face"}
    assert len(rows) == found["labels"]["face"] < 10
    _, out, _ = predict(run_path, photos, "--only", "face")
    assert len(list(csv.DictReader(io.StringIO(out)))) == len(rows)
    code, _, err = predict(run_path, photos, "--only", "cat")
    assert code == 2
    assert "the model knows face, other" in err


@pytest.mark.parametrize("flags", [("--topk", "0"), ("--jobs", "0")])
def test_numbers_that_are_not_positive_are_wrong_usage(predict, run_path, photos, flags, capsys):
    with pytest.raises(SystemExit) as ended:
        predict(run_path, photos, "-o", "out.csv", *flags)
    assert ended.value.code == 2
    assert f"{flags[0]}: '0' does not work" in capsys.readouterr().err
    assert not Path("out.csv.parts").exists()


@pytest.mark.parametrize("flags", [("--threshold", "2"), ("--reject", "0")])
def test_options_that_cannot_work_are_refused_before_anything_is_written(predict, run_path, photos, flags):
    code, _, err = predict(run_path, photos, "-o", "out.csv", *flags)
    assert code == 2
    assert flags[0] in err
    assert not Path("out.csv.parts").exists()
