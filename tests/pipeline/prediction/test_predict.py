"""Rows out = files in, whatever is wrong with the files."""

from __future__ import annotations

import csv
import io
import json
import shutil

import pytest
from PIL import Image

from pipeline.classifier import ImageClassifier
from pipeline.errors import InputError
from pipeline.prediction.formats import format_for, write_csv, write_jsonl
from pipeline.prediction.inputs import Inputs
from pipeline.prediction.predict import Settings, predict
from pipeline.prediction.rows import columns
from pipeline.workers import Threads


@pytest.fixture(scope="module")
def classifier(run_path):
    return ImageClassifier.load(run_path)


@pytest.fixture
def pile(faces, tmp_path):
    """A folder of good and bad files with awkward names."""
    pile = tmp_path / "pile of things"
    (pile / "face").mkdir(parents=True)
    for name in ("a.png", "mit Leerzeichen, Komma.png", 'quote".png', "zeile\nzwei.png", "=1+1.png", "größe.png"):
        shutil.copy(faces / "face" / "0001.png", pile / "face" / name)
    (pile / "text.jpg").write_text("hello")
    (pile / "empty.png").touch()
    image = Image.open(faces / "face" / "0002.png").resize((200, 200))
    image.save(pile / "whole.jpg")
    (pile / "cut.jpg").write_bytes((pile / "whole.jpg").read_bytes()[:900])
    (pile / ".hidden.png").touch()
    (pile / "Thumbs.db").touch()
    return pile


def rows_of(classifier, *inputs, jobs=2, **settings):
    items = Inputs([str(path) for path in inputs], classifier.classes)
    return list(predict(classifier, items, Settings(**settings), Threads(jobs)))


def test_one_row_per_file_bad_ones_as_errors(classifier, pile):
    rows = rows_of(classifier, pile)
    by_name = {row.path.rpartition("/")[2]: row for row in rows}

    assert len(rows) == 10
    assert {name: row.error_code for name, row in by_name.items() if row.status == "error"} == {
        "text.jpg": "not_an_image",
        "empty.png": "empty_file",
        "cut.jpg": "truncated",
    }
    assert all(row.error_message and not row.ranking for row in rows if row.status == "error")
    assert by_name["a.png"].true_label == "face"
    assert by_name["text.jpg"].true_label == ""


def test_missing_files_are_rows_too_in_the_order_given(classifier, faces, tmp_path):
    good = faces / "face" / "0005.png"
    rows = rows_of(classifier, tmp_path / "gone.jpg", good, good)

    assert [row.status for row in rows] == ["error", "ok", "ok"]
    assert rows[0].error_code == "not_found"
    assert rows[1] == rows[2]


def test_result_does_not_depend_on_the_number_of_threads(classifier, faces):
    assert rows_of(classifier, faces, jobs=1) == rows_of(classifier, faces, jobs=4)


def test_probabilities_are_those_of_the_classifier(classifier, faces):
    row = rows_of(classifier, faces / "face" / "0009.png", topk=5)[0]
    expected = classifier.classify(faces / "face" / "0009.png")

    assert [label for label, _ in row.ranking] == list(expected)
    assert [p for _, p in row.ranking] == pytest.approx(list(expected.values()), abs=1e-6)


def test_csv_reads_back_row_for_row(classifier, pile):
    text = io.StringIO()
    rows = rows_of(classifier, pile, topk=2)
    write_csv(rows, text, 2)
    back = list(csv.DictReader(io.StringIO(text.getvalue())))

    assert list(back[0]) == columns(2)
    assert [line["path"] for line in back] == [row.path for row in rows]
    assert all("\n" not in line["path"] for line in back)
    good = next(line for line in back if line["status"] == "ok")
    assert float(good["probability"]) + float(good["probability_2"]) == pytest.approx(1)
    assert next(line for line in back if line["status"] == "error")["label"] == ""


def test_jsonl_has_the_same_columns(classifier, pile):
    text = io.StringIO()
    write_jsonl(rows_of(classifier, pile), text, 1)
    lines = [json.loads(line) for line in text.getvalue().splitlines()]

    assert len(lines) == 10
    assert all(list(line) == columns(1) for line in lines)
    assert {line["status"] for line in lines} == {"ok", "error"}


def test_no_path_is_a_formula(classifier, faces, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(faces / "face" / "0001.png", tmp_path / "=cmd.png")
    row = rows_of(classifier, "=cmd.png")[0]

    assert row.path == "./=cmd.png"
    assert row.status == "ok"


def test_nothing_to_do_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no files to classify"):
        list(Inputs([str(tmp_path / "empty")]))
    with pytest.raises(InputError, match="csv, jsonl"):
        format_for("out.xlsx")
