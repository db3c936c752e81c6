import pytest

from model.config import NetworkConfig, TrainingConfig
from pipeline.background import DemoTraining
from pipeline.classifier import ImageClassifier
from pipeline.runs import list_runs, summarize

SMALL = NetworkConfig(hidden=(8,))


def test_a_training_ends_with_a_run_like_any_other(tmp_path):
    training = DemoTraining(
        "faces", tmp_path / "runs", tmp_path / "data", network=SMALL, training=TrainingConfig(epochs=3, pretrain="none")
    ).start()
    training.wait(60)
    assert training.error == ""
    assert [record.epoch for record in training.records] == [1, 2, 3]
    assert training.epochs == 3
    (run,) = list_runs(tmp_path / "runs")
    assert run.model == training.model
    assert run.judged_on == "test"
    assert run.m == 30
    accuracy = ImageClassifier.load(run.model).provenance["accuracy"]["test"]
    assert run.accuracy == pytest.approx(accuracy)
    assert run.low <= run.accuracy <= run.high


def test_stopping_keeps_what_was_trained(tmp_path):
    training = DemoTraining(
        "faces",
        tmp_path / "runs",
        tmp_path / "data",
        network=SMALL,
        training=TrainingConfig(epochs=100_000, pretrain="none"),
    )
    training.stop()
    training.start().wait(60)
    assert not training.is_running
    assert len(training.records) == 1
    assert ImageClassifier.load(training.model).classes == ("face", "not-face")


def test_a_second_training_leaves_the_first_alone(tmp_path):
    models = []
    for _ in range(2):
        training = DemoTraining(
            "faces",
            tmp_path / "runs",
            tmp_path / "data",
            network=SMALL,
            training=TrainingConfig(epochs=1, pretrain="none"),
        ).start()
        training.wait(60)
        models.append(training.model)
    assert [model.parent.name for model in models] == ["demo-faces", "demo-faces-2"]


@pytest.mark.parametrize("demo", ["faces", "nonsense"])
def test_what_goes_wrong_is_said_and_leaves_no_run(demo, tmp_path):
    (tmp_path / "data").write_text("in the way")
    training = DemoTraining(demo, tmp_path / "runs", tmp_path / "data").start()
    training.wait(60)
    assert training.model is None
    assert ("data" if demo == "faces" else "nonsense") in training.error
    assert list_runs(tmp_path / "runs") == []


def test_there_is_no_summary_of_what_is_not_there(tmp_path):
    assert summarize(tmp_path / "model.h5") is None
    assert list_runs(tmp_path / "missing") == []
    (tmp_path / "empty").mkdir()
    assert list_runs(tmp_path) == []
