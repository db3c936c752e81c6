"""All formats say the same."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest


def read(path):
    with open(path, newline="", encoding="utf-8") as file:  # noqa: PTH123
        return list(csv.DictReader(file))


def test_formats_say_the_same(predict, run_path, photos):
    pq = pytest.importorskip("pyarrow.parquet")
    (photos / "bad.jpg").write_text("words")
    for name in ("out.csv", "out.jsonl", "out.parquet"):
        assert predict(run_path, photos, "-o", name, "--topk", "2")[0] == 3
    from_csv = read("out.csv")
    from_json = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    from_parquet = pq.read_table("out.parquet").to_pylist()
    assert from_json == from_parquet
    assert [list(row) for row in from_json] == [list(row) for row in from_csv]
    for row, other in zip(from_csv, from_json, strict=True):
        for name, cell in row.items():
            if name.startswith("probability") and cell:
                assert float(cell) == pytest.approx(other[name], abs=1e-7)
            else:
                assert cell == (other[name] or "")


def test_format_goes_before_the_ending(predict, run_path, photos):
    predict(run_path, photos, "-o", "out.txt", "--format", "jsonl")
    assert json.loads(Path("out.txt").read_text().splitlines()[0])["status"] == "ok"


def test_parquet_has_no_standard_output(predict, run_path, photos):
    code, _, err = predict(run_path, photos, "--format", "parquet")
    assert code == 2
    assert "give a file with -o" in err
