"""Lines that are put together by the batch are those that the standard library writes one by one."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from pipeline.files.cells import read_label, safe_label
from pipeline.prediction.formats import OUTPUT_FORMATS
from pipeline.prediction.inputs import Inputs
from pipeline.prediction.lines import csv_header, csv_lines, json_lines
from pipeline.prediction.rows import Row, Rows, columns

AWKWARD = ["a.jpg", "a,b.jpg", 'quote".jpg', "größe.png", "back\\slash.png", "%0A.png", "x" * 300, "\x7f😀.png"]


def row(path, ranking=(), *, true="", error=("", ""), sha256=""):
    return Row(path, "error" if error[0] else "ok", ranking, true, *error, sha256, "abcdef012345")


def every_probability():
    """Single-precision numbers of every size that a probability has, and those where the digits change."""
    rng = np.random.default_rng(0)
    edges = [0, 1, 0.5, 0.1, 0.01, 0.001, 1e-4, 1e-45, *(10.0**-k for k in range(12)), *np.arange(1, 200) / 200]
    steps = [
        np.nextafter(np.float32(edge), np.float32(side)) for edge in (0.1, 0.01, 0.001, 1e-4, 1) for side in (0, 1)
    ]
    return np.concatenate([rng.random(3000), 10 ** (-8 * rng.random(3000)), edges, steps]).astype(np.float32)


def awkward_rows():
    rng = np.random.default_rng(1)
    labels = ["cat", "dog, small", 'a "quoted" one', "größe", "null"]
    rows = [
        row(AWKWARD[i % len(AWKWARD)], ((labels[i % 5], float(p)), (labels[(i + 1) % 5], float(q))), sha256=f"{i:064x}")
        for i, (p, q) in enumerate(rng.random((40, 2), np.float32))
    ]
    rows[3] = row("gone.jpg", error=("not_found", "there is no such file"), true="cat")
    rows[7] = row("bad,1.jpg", error=("corrupt", 'cannot be decoded ("x", line\n2)'), sha256="7" * 64)
    return rows


def expected_cells(row, topk):
    ranking = [cell for pair in row.ranking for cell in pair] + [None] * 2 * (topk - len(row.ranking))
    after = [row.true_label, row.error_code, row.error_message, row.sha256]
    return [row.path, row.status, *ranking, *(cell or None for cell in after), row.model_id]


@pytest.mark.parametrize("rows", [awkward_rows(), awkward_rows()[:3], awkward_rows()[3:4]], ids=["all", "good", "bad"])
def test_csv_is_that_of_the_csv_module(rows):
    text = io.StringIO()
    for cells in (expected_cells(row, 2) for row in rows):
        csv.writer(text, lineterminator="\n").writerow(f"{c:.9g}" if isinstance(c, float) else c for c in cells)
    assert csv_lines(Rows.of(rows, 2), 2).decode() == text.getvalue()


@pytest.mark.parametrize("rows", [awkward_rows(), awkward_rows()[:3], awkward_rows()[3:4]], ids=["all", "good", "bad"])
def test_json_lines_are_read_back(rows):
    lines = json_lines(Rows.of(rows, 2), 2).decode().splitlines()
    for line, row in zip(lines, rows, strict=True):
        found = json.loads(line)
        assert list(found) == columns(2)
        assert list(found.values()) == pytest.approx(expected_cells(row, 2), abs=1e-9)


def test_probabilities_have_the_nine_digits_that_printf_gives_them():
    values = every_probability()
    lines = csv_lines(Rows.of([row("x", (("a", float(p)),)) for p in values], 1), 1).decode().splitlines()
    assert [line.split(",")[3] for line in lines] == [f"{p:.9g}" for p in values.tolist()]


@pytest.mark.parametrize("label", ["=1+1", "+x", "-x", "@x", "-1+cmd|' /C calc'!A0"])
def test_no_label_is_a_formula_and_all_are_read_back(label, tmp_path):
    rows = Rows.of([row("a.jpg", ((label, 0.5),), true=label)], 1)
    (tmp_path / "out.csv").write_bytes(csv_header(1) + csv_lines(rows, 1))
    with (tmp_path / "out.csv").open(newline="") as file:
        (found,) = csv.DictReader(file)
    assert found["label"] == found["true_label"] == f"./{label}"
    assert read_label(found["label"]) == label
    (item,) = Inputs([str(tmp_path / "out.csv")])
    assert item.true_label == label
    assert json.loads(OUTPUT_FORMATS["jsonl"].lines(rows, 1))["label"] == label


@pytest.mark.parametrize("label", ["-1", "+1", "-0.5", "cat", "./here", "a-1"])
def test_other_labels_stay_what_they_are(label):
    assert safe_label(label) == read_label(label) == label
