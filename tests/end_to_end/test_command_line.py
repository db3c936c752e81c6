"""The first steps with Facette, as a person takes them in a terminal, in a new folder."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_demo_then_predict_then_evaluate(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def facette(*words):
        command = [sys.executable, "-m", "pipeline.cli", *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        return done

    demo = facette("demo", "--epochs", "3", "--pretrain", "none", "--augment", "none")
    assert demo.returncode == 0, demo.stderr
    assert "facette app runs/demo-faces/model.h5" in demo.stdout

    new = tmp_path / "new"
    new.mkdir()
    shutil.copy(next((tmp_path / "data" / "faces" / "face").iterdir()), new / "known.png")
    predict = facette("predict", "runs/demo-faces", "new", "-o", "good.csv")
    assert predict.returncode == 0, predict.stderr
    (new / "notes.jpg").write_text("some words")
    predict = facette("predict", "runs/demo-faces", "new", "-o", "all.csv")
    assert predict.returncode == 3, predict.stderr
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["path"], row["status"]) for row in rows] == [("new/known.png", "ok"), ("new/notes.jpg", "error")]
    assert rows[0]["label"] in ("face", "other")
    assert rows[:1] == list(csv.DictReader((tmp_path / "good.csv").read_text(encoding="utf-8").splitlines()))

    evaluate = facette("evaluate", "runs/demo-faces", "data/faces", "--json")
    assert evaluate.returncode == 0, evaluate.stderr
    scores = json.loads((tmp_path / "runs" / "demo-faces" / "metrics.json").read_text())["splits"]["test"]
    assert json.loads(evaluate.stdout)["accuracy"] == pytest.approx(scores["accuracy"])

    gone = facette("evaluate", "runs/gone", "data/faces")
    assert gone.returncode == 2
    assert "runs/gone" in gone.stderr
    assert len(gone.stderr.splitlines()) == 1
