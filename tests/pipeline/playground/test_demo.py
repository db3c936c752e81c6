"""A demo that is trained in the background leaves a run as `facette demo` does."""

from __future__ import annotations

import pytest

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED
from pipeline.classifier import ImageClassifier
from pipeline.playground.demo import train_demo
from pipeline.training.recipe import Recipe
from pipeline.training.runs import list_runs


def demo(tmp_path, epochs, name="faces"):
    recipe = Recipe(NetworkConfig(hidden=(8,)), TrainingConfig(epochs=epochs), NOT_PRETRAINED)
    return train_demo(name, tmp_path / "runs", tmp_path / "data", recipe=recipe)


def test_a_training_ends_with_a_run_like_any_other(tmp_path):
    training = demo(tmp_path, 3).start()
    training.wait(60)
    assert training.error == ""
    assert [record.epoch for record in training.records] == [1, 2, 3]
    assert training.epochs == 3
    (run,) = list_runs(tmp_path / "runs")
    assert run.model == training.model
    assert run.evaluated_on == "test"
    assert run.m == 30
    accuracy = ImageClassifier.load(run.model).provenance["accuracy"]["test"]
    assert run.accuracy == pytest.approx(accuracy)
    assert run.low <= run.accuracy <= run.high


@pytest.mark.slow
def test_ending_early_keeps_what_was_trained(tmp_path):
    training = demo(tmp_path, 100_000).start()
    training.end()
    training.wait(60)
    assert not training.is_alive
    assert 1 <= len(training.records) < 100_000
    assert ImageClassifier.load(training.model).classes == ("face", "other")


@pytest.mark.slow
def test_a_second_training_leaves_the_first_alone(tmp_path):
    models = []
    for _ in range(2):
        training = demo(tmp_path, 1).start()
        training.wait(60)
        models.append(training.model)
    assert [model.parent.name for model in models] == ["demo-faces", "demo-faces-2"]


@pytest.mark.parametrize("name", ["faces", "nonsense"])
def test_what_goes_wrong_is_one_message_and_leaves_no_run(name, tmp_path):
    (tmp_path / "data").write_text("in the way")
    training = demo(tmp_path, 1, name).start()
    training.wait(60)
    assert training.model is None
    assert ("data" if name == "faces" else "nonsense") in training.error
    assert list_runs(tmp_path / "runs") == []
