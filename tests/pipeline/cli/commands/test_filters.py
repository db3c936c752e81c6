"""The command `filters`: drawings, scores, controls and an animation."""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageSequence

from model.edges.config import PretrainConfig
from pipeline.classifier import ImageClassifier
from pipeline.cli.main import main


@pytest.mark.parametrize("words", [[], ["--layer", "2"], ["--hierarchy"], ["--max-units", "5"]])
def test_filters_draws(run_path, tmp_path, capsys, words):
    assert main(["filters", str(run_path), "-o", str(tmp_path / "f.png"), *words]) == 0
    with Image.open(tmp_path / "f.png") as image:
        assert np.asarray(image.convert("L")).std() > 5
    assert "The drawing is in" in capsys.readouterr().out


def test_filters_says_how_a_layer_without_edges_gets_some(run_path, tmp_path, capsys):
    assert main(["filters", str(run_path), "-o", str(tmp_path / "f.png")]) == 0
    assert "--pretrain sparse_filtering" in capsys.readouterr().out


def test_filters_does_not_propose_what_the_model_was_made_with(run_path, tmp_path, capsys):
    classifier = ImageClassifier.load(run_path)
    training = replace(classifier.training, layer_rates=(0.1, 1.0, 1.0))
    replace(classifier, pretraining=PretrainConfig("sparse_filtering"), training=training).save(tmp_path / "model.h5")
    assert main(["filters", str(tmp_path / "model.h5"), "-o", str(tmp_path / "f.png")]) == 0
    out = capsys.readouterr().out
    assert "began with edges, learned by sparse filtering" in out
    assert "--pretrain" not in out
    assert "--layer-rates 0.03" in out


def test_filters_prints_scores(run_path, tmp_path, capsys):
    assert main(["filters", str(run_path), "-o", str(tmp_path / "f.png"), "--scores"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    assert [row["unit"] for row in rows] == [str(k) for k in range(1, 49)]
    assert all(0 <= float(row["r2"]) <= 1 for row in rows)


def test_filters_names_what_does_not_work(run_path, tmp_path, capsys):
    assert main(["filters", str(run_path), "--layer", "7"]) == 2
    assert "the network has only 3 layers" in capsys.readouterr().err
    (tmp_path / "alone").mkdir()
    ImageClassifier.load(run_path).save(tmp_path / "alone" / "model.h5")
    assert main(["filters", str(tmp_path / "alone" / "model.h5"), "--layer", "2"]) == 2
    assert "--data" in capsys.readouterr().err


@pytest.mark.slow
def test_filters_prints_controls_beside_the_scores(run_path, tmp_path, capsys):
    assert main(["filters", str(run_path), "-o", str(tmp_path / "f.png"), "--scores", "--controls"]) == 0
    found = capsys.readouterr()

    assert len(found.out.splitlines()) == 49  # a table that a machine reads, and nothing else
    assert "0%  learned from white noise" in found.err


@pytest.mark.slow
def test_filters_animates(pretrained_run, run_path, tmp_path, capsys):
    path = tmp_path / "W1.gif"
    assert main(["filters", str(pretrained_run), "--animate", str(path)]) == 0
    assert "learned again" in capsys.readouterr().out
    with Image.open(path) as image:
        frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(image)]
    assert len(frames) > 10
    assert all((one != two).mean() > 0.01 for one, two in itertools.pairwise(frames))
    assert path.stat().st_size < 1_000_000

    assert main(["filters", str(pretrained_run), "--animate", str(tmp_path / "W1.png")]) == 2
    assert ".gif" in capsys.readouterr().err
    assert main(["filters", str(pretrained_run), "--animate", str(tmp_path / "none" / "W1.gif")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["filters", str(run_path), "--animate", str(path)]) == 2
    assert "not pretrained" in capsys.readouterr().err


def test_filters_names_a_damaged_data_set(run_path, tmp_path, capsys):
    damaged = tmp_path / "data.h5"
    damaged.write_bytes((run_path / "data.h5").read_bytes()[:-2000])
    assert main(["filters", str(run_path), "--layer", "2", "--data", str(damaged)]) == 2
    assert str(damaged) in capsys.readouterr().err
