"""Abstaining: what it costs and gains, and how much of what is out of distribution it rejects."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from model.edges.config import PretrainConfig
from pipeline.classifier import ImageClassifier
from pipeline.cli.main import main
from pipeline.evaluation.abstention import OOD_KINDS, coverage_curve
from pipeline.evaluation.evaluate import evaluate
from pipeline.prediction.inputs import Inputs
from pipeline.prediction.predict import Settings, predict


@pytest.mark.slow
def test_reject_abstains_on_noise_and_on_few_valid_images(digits, capsys, tmp_path):
    run = digits[1]
    words = ["predict", str(run), str(run / "data.h5"), "-o", str(tmp_path / "out.csv"), "--reject", "0.05", "--json"]
    assert main(words) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert 0 < found["abstain"] / found["files"] < 0.12
    model = ImageClassifier.load(run)
    assert f"rests on {model.calibration.m} validation images" in captured.err
    noise = OOD_KINDS["noise"](model.geometry, np.random.default_rng(1))
    np.save(tmp_path / "noise.npy", noise)
    rows = list(
        predict(
            model,
            Inputs([str(tmp_path / "noise.npy")]),
            Settings(uncertainty_threshold=model.uncertainty_threshold(0.05)),
        )
    )
    assert np.mean([row.status == "abstain" for row in rows]) > 0.95


def test_evaluate_shows_what_abstaining_does(digits, capsys):
    assert main(["evaluate", str(digits[1]), str(digits[1] / "data.h5"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    abstention = found["abstention"]
    assert abstention["curve"][0] == [1.0, found["accuracy"]]
    assert abstention["curve"][-1][1] > found["accuracy"]
    assert abstention["ood_abstained"]["noise"] > 0.95
    assert main(["evaluate", str(digits[1]), str(digits[1] / "data.h5")]) == 0
    out = capsys.readouterr().out
    assert f"a threshold from {abstention['m_validation']} validation images" in out
    assert "noise" in out
    assert "the first layer was learned from" not in out


def test_photographs_that_the_first_layer_was_learned_from_are_not_called_out_of_distribution(digits, capsys, tmp_path):
    model = ImageClassifier.load(digits[1])
    pretrained = replace(model, pretraining=PretrainConfig("sparse_filtering"))
    pretrained.save(tmp_path / "model.h5")
    assert main(["evaluate", str(tmp_path / "model.h5"), str(digits[1] / "data.h5")]) == 0
    assert "the first layer was learned from these photographs" in capsys.readouterr().out
    elsewhere = replace(pretrained, provenance={**model.provenance, "pretrain_on": "photos"})
    assert evaluate(elsewhere, digits[1] / "data.h5")[0].abstention.familiar == ()


def test_coverage_curve_keeps_the_least_uncertain_first():
    uncertainty = np.array([0.9, 0.1, 0.5, 0.3] * 5)
    right = uncertainty < 0.8
    curve = dict(coverage_curve(uncertainty, right))
    assert curve[1.0] == 0.75
    assert curve[0.7] == 1
    assert curve[0.9] == pytest.approx(15 / 18)
