"""The report: complete, true to the figures, and safe with any name."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED
from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.evaluation.scores import split_probabilities
from pipeline.explanation.report import find_mistakes
from pipeline.training.finish import finish
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe


def test_report_states_the_figures_of_the_run(run_path):
    html = (run_path / "report.html").read_text()
    metrics = json.loads((run_path / "metrics.json").read_text())
    test = metrics["splits"]["test"]

    assert f"Accuracy {100 * test['accuracy']:.1f} % on 30 test images" in re.sub(r"\s+", " ", html)
    assert html.count("data:image/png;base64,") >= 2
    assert "http://" not in html  # everything is inside
    assert "https://" not in html
    for baseline in metrics["baselines"]:
        assert baseline["name"] in html


def test_class_names_cannot_break_the_page(faces, tmp_path):
    names = ("<script>alert(1)</script>".replace("/", "_"), 'a "quoted" & odd größe')
    for name, source in zip(names, ("face", "other"), strict=True):
        shutil.copytree(faces / source, tmp_path / "photos" / name)
    run = prepare(
        tmp_path / "photos",
        tmp_path / "run",
        recipe=Recipe(NetworkConfig(hidden=(8,)), TrainingConfig(epochs=2), NOT_PRETRAINED),
    )
    with run.dataset:
        list(run.epochs())
        finish(run)
    html = (tmp_path / "run" / "report.html").read_text()

    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "größe" in html


def test_mistakes_are_the_wrong_ones_surest_first(run_path):
    classifier = ImageClassifier.load(run_path)
    with Dataset.open(run_path / "data.h5") as dataset:
        probabilities, labels, indices = split_probabilities(classifier, dataset, "test")
        swapped = probabilities[::-1]  # so that there are plenty
        found = find_mistakes(dataset, swapped, labels, indices, limit=10)
        wrong = np.flatnonzero(swapped.argmax(axis=0) != labels)

        assert len(found) == min(10, len(wrong))
        assert [m.probability for m in found] == sorted((m.probability for m in found), reverse=True)
        assert all(m.truth != m.prediction for m in found)
        assert found[0].path in {str(dataset.paths[i]) for i in indices[wrong]}
