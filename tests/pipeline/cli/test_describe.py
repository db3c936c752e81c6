"""The plain-text descriptions say what the files and results hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model.training import EpochRecord
from pipeline.classifier import ImageClassifier
from pipeline.cli.describe import (
    describe_abstention,
    describe_dataset,
    describe_epoch,
    describe_evaluation,
    describe_installation,
    describe_model,
    describe_runs,
)
from pipeline.data.dataset import Dataset
from pipeline.evaluation.abstention import Abstention
from pipeline.evaluation.evaluate import evaluate
from pipeline.training.runs import RunSummary


def test_describe_model_lists_shapes_classes_and_provenance(run_path):
    classifier = ImageClassifier.load(run_path)
    lines = describe_model(classifier).splitlines()

    assert lines[0].startswith(f"Model {classifier.model_id}: images of 25x25 gray (n_x = 625) -> 2 classes")
    assert "Classes: face, other" in lines
    assert [line.split()[:5] for line in lines if "relu" in line] == [
        ["1", "(48,", "625)", "(48,", "1)"],
        ["2", "(16,", "48)", "(16,", "1)"],
    ]
    assert any(line.split() == ["images", "train", "140,", "validation", "30,", "test", "30"] for line in lines)


def test_describe_dataset_counts_every_class_in_every_split(run_path):
    with Dataset.open(run_path / "data.h5") as dataset:
        rows = [line.split() for line in describe_dataset(dataset).splitlines()]

    assert ["class", "train", "validation", "test", "all"] in rows
    assert ["all", "140", "30", "30", "200"] in rows


def test_describe_runs_puts_the_most_accurate_first_and_names_the_best_baseline():
    good = RunSummary("good", Path("good/model.h5"), 0.0, "test", 50, 0.9, 0.8, 0.95, (("majority class", 0.5),))
    poor = replace(good, name="poor", accuracy=0.6)
    broken = RunSummary("broken", Path("broken/model.h5"), 0.0)
    lines = describe_runs([broken, poor, good]).splitlines()

    assert [line.split()[0] for line in lines[2:]] == ["good", "poor", "broken"]
    assert lines[2].endswith("majority class 50.0%")
    assert lines[4].endswith("not finished")


def test_describe_installation_names_versions():
    text = describe_installation()
    assert text.startswith("Facette ")
    assert "numpy" in text


@pytest.mark.parametrize(("validation_cost", "has_validation"), [(0.25, True), (float("nan"), False)])
def test_describe_epoch_shows_validation_only_if_there_is_any(validation_cost, has_validation):
    record = EpochRecord(3, 0.5, 0.75, validation_cost, 0.8, 0.01, 1.0, True)
    text = describe_epoch(record, 20)
    assert text.startswith("epoch  3/20  cost 0.5000  accuracy 75.0%")
    assert text.endswith("best")
    assert ("validation 0.2500 80.0%" in text) == has_validation


def test_describe_evaluation_has_a_row_for_each_class(run_path):
    found, _ = evaluate(ImageClassifier.load(run_path), run_path / "data.h5")
    lines = describe_evaluation(found).splitlines()
    assert lines[0].startswith(f"Accuracy {100 * found.accuracy:.1f}% on 30 images (95% interval")
    assert [line.split()[:2] for line in lines[2:]] == [["face", "15"], ["other", "15"]]


def test_describe_abstention_says_what_it_costs_and_what_it_rejects():
    found = Abstention(
        0.05, 1234, 0.061, ((1.0, 0.9), (0.5, 0.99)), {"noise": 1.0, "photographs": 0.4}, ("photographs",)
    )
    assert describe_abstention(found).splitlines() == [
        "Accuracy on the least uncertain share of the images: 100%: 90.0%  50%: 99.0%",
        "With --reject 0.05 (a threshold from 1,234 validation images), the model abstains on 6.1% of these images, "
        "and on out-of-distribution images: noise 100%, photographs 40%",
        "Note: the first layer was learned from these photographs",
    ]
