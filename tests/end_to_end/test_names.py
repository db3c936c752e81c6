"""Names that are not UTF-8, from the folder of images to everything that is written."""

from __future__ import annotations

import os
import shutil

import pytest

from pipeline.classifier import ImageClassifier
from pipeline.cli.main import main
from pipeline.evaluation.held_out import data_of
from pipeline.training.runs import list_runs

QUICK = ("--hidden", "8", "--epochs", "1", "--pretrain", "none", "--augment", "none")


@pytest.mark.slow
def test_a_run_on_a_folder_whose_name_is_not_utf_8(faces, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    source = os.fsdecode(b"photos-\xff")
    shutil.copytree(faces, tmp_path / source)

    assert main(["train", source, *QUICK]) == 0

    assert "The run is in runs/photos-%FF:" in capsys.readouterr().out
    report = (tmp_path / "runs" / "photos-%FF" / "report.html").read_text(encoding="utf-8")
    assert "<h1>photos-%FF</h1>" in report
    assert ImageClassifier.load("runs/photos-%FF").provenance["source"] == "photos-%FF"
    assert main(["train", source, "--config", "runs/photos-%FF/config.toml"]) == 0
    assert {run.name for run in list_runs("runs")} == {"photos-%FF", "photos-%FF-2"}


@pytest.mark.slow
def test_a_folder_of_runs_and_a_data_set_whose_names_are_not_utf_8(run_path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runs, data = os.fsdecode(b"runs-\xff"), os.fsdecode(b"data-\xff.h5")
    shutil.copy(run_path / "data.h5", tmp_path / data)

    assert main(["train", data, "--runs", runs, *QUICK]) == 0

    assert "The run is in runs-%FF/data-%FF:" in capsys.readouterr().out
    model = tmp_path / runs / "data-%FF"
    assert data_of(model / "model.h5", ImageClassifier.load(model)) is not None
    assert main(["inspect", str(model)]) == 0
    assert main(["inspect", runs, "--json"]) == 0
    assert main(["filters", str(model), "-o", os.fsdecode(b"W-\xff.png")]) == 0
    assert "The drawing is in W-%FF.png" in capsys.readouterr().out
