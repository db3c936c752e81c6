"""From images to a prepared run: what is read, what is refused, and what is left behind."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import tomllib

import numpy as np
import pytest

from model.config import TrainingConfig
from model.errors import ConfigError
from pipeline.classifier import ImageClassifier
from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.files.toml import read_toml
from pipeline.settings import CONFIGURATIONS, config_from_flags
from pipeline.training.finish import finish
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe, RunConfig


@pytest.mark.slow
def test_stored_configuration_repeats_the_run(train_in, faces, run_path, tmp_path):
    stored = read_toml(run_path / "config.toml")
    kinds = {"data": DataConfig, "run": RunConfig, **CONFIGURATIONS}
    configs = {name: config_from_flags(kind, argparse.Namespace(), stored[name]) for name, kind in kinds.items()}
    data = configs.pop("data")

    again = train_in(tmp_path / "again", faces, data=data, recipe=Recipe(**configs)).classifier

    assert "auto" not in str(tomllib.loads((run_path / "config.toml").read_text()))
    np.testing.assert_array_equal(again.parameters.flat, ImageClassifier.load(run_path).parameters.flat)


@pytest.mark.slow
def test_same_seed_same_weights_other_seed_other_weights(train_in, faces, small, tmp_path):
    def weights(name, seed):
        training = dataclasses.replace(small.training, seed=seed, epochs=3)
        result = train_in(tmp_path / name, faces, recipe=dataclasses.replace(small, training=training))
        return result.classifier.parameters.flat

    first = weights("first", 1)
    np.testing.assert_array_equal(first, weights("again", 1))
    assert not np.array_equal(first, weights("other", 2))


def test_trains_on_a_data_set_file_in_place(train_in, run_path, small, tmp_path):
    result = train_in(tmp_path / "run", run_path / "data.h5", recipe=small)

    assert not (tmp_path / "run" / "data.h5").exists()
    np.testing.assert_array_equal(result.classifier.parameters.flat, ImageClassifier.load(run_path).parameters.flat)


@pytest.mark.slow
def test_reading_from_the_file_is_as_good_as_from_memory(train_in, faces, small, tmp_path):
    """200 images of 625 bytes are one chunk, so the window is shuffled as a whole: as random as in memory."""
    recipe = dataclasses.replace(small, run=RunConfig(memory=0.001))
    from_file = train_in(tmp_path / "run", faces, recipe=recipe)

    assert from_file.scores["test"].accuracy > 0.85


@pytest.mark.slow
def test_without_validation_images(train_in, faces, small, tmp_path):
    result = train_in(tmp_path / "run", faces, data=DataConfig(validation=0.0), recipe=small)

    assert "validation" not in result.scores
    assert all(np.isnan(record.validation_cost) for record in result.classifier.history)


def test_early_stopping_without_validation_leaves_nothing_behind(faces, tmp_path):
    recipe = Recipe(training=TrainingConfig(patience=3))
    with pytest.raises(ConfigError, match="patience"):
        prepare(faces, tmp_path / "run", data=DataConfig(validation=0.0), recipe=recipe)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_ready_made_splits_are_kept(train_in, faces, small, tmp_path):
    source = tmp_path / "photos"
    for split, numbers in (("train", range(60)), ("valid", range(60, 80)), ("test", range(80, 100))):
        for label, first in (("face", 0), ("other", 100)):
            (source / split / label).mkdir(parents=True)
            for i in numbers:
                shutil.copy(faces / label / f"{first + i:04d}.png", source / split / label)

    result = train_in(tmp_path / "run", source, recipe=small)

    assert {split: found.m for split, found in result.scores.items()} == {"train": 120, "validation": 40, "test": 40}
    with Dataset.open(tmp_path / "run" / "data.h5") as dataset:
        assert all(str(dataset.paths[i]).startswith("test/") for i in dataset.indices("test"))


def test_failure_in_the_source_leaves_nothing_behind(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        prepare(tmp_path / "empty", tmp_path / "runs" / "x")
    assert not (tmp_path / "runs" / "x").exists()


@pytest.mark.slow
def test_fine_tuning_starts_where_the_model_ended_and_remembers_its_images(faces, small, run_path, tmp_path):
    before = ImageClassifier.load(run_path)
    recipe = Recipe(training=TrainingConfig(epochs=2), run=RunConfig(start_from=str(run_path)))
    run = prepare(faces, tmp_path / "run", data=DataConfig(split_seed=5), recipe=recipe)
    with run.dataset:
        images, _ = run.dataset.read("test")
        np.testing.assert_allclose(run.classifier().probabilities(images), before.probabilities(images), atol=2e-6)
        steps = [record.learning_rate for record in run.epochs()]
        assert max(steps) < 0.2 * max(record.learning_rate for record in before.history)
        result = finish(run)

    assert result.trained_before > 0  # another split: some of its test images were trained on
    assert set(before.trained_on) <= set(result.classifier.trained_on)
    assert result.classifier.provenance["started_from"] == before.model_id
    assert "this accuracy is optimistic" in (tmp_path / "run" / "report.html").read_text()


def test_fine_tuning_on_other_classes_is_refused(faces, run_path, tmp_path):
    shutil.copytree(faces / "face", tmp_path / "photos" / "cat")
    shutil.copytree(faces / "other", tmp_path / "photos" / "dog")
    with pytest.raises(InputError, match="has the classes cat, dog; the model to start from knows face, other"):
        prepare(tmp_path / "photos", tmp_path / "run", recipe=Recipe(run=RunConfig(start_from=str(run_path))))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_overwriting_replaces_a_run_and_keeps_it_if_the_new_one_cannot_begin(
    train_in, faces, small, run_path, tmp_path
):
    shutil.copytree(run_path, tmp_path / "run")
    (tmp_path / "run" / "mine.txt").write_text("precious")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    (tmp_path / "empty").mkdir()
    for source, training in ((tmp_path / "empty", TrainingConfig()), (faces, TrainingConfig(batch_size=999))):
        with pytest.raises((InputError, ConfigError)):
            prepare(source, tmp_path / "run", recipe=Recipe(training=training), overwrite=True)
        assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before

    run = prepare(faces, tmp_path / "run", overwrite=True, recipe=small)
    run.dataset.close()

    assert {path.name for path in (tmp_path / "run").iterdir()} == {"data.h5", "config.toml", "mine.txt", ".replaced"}
    run.discard()  # a run without an epoch is taken back, and the old one is there again
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before

    train_in(tmp_path / "run", faces, overwrite=True, recipe=small)
    assert "mine.txt" in {path.name for path in (tmp_path / "run").iterdir()}
    assert ".replaced" not in {path.name for path in (tmp_path / "run").iterdir()}


def test_data_settings_are_refused_for_a_data_set(run_path, small, tmp_path):
    with pytest.raises(InputError, match=r"leave out test=0\.3, split_seed=7"):
        prepare(run_path / "data.h5", tmp_path / "run", data=DataConfig(test=0.3, split_seed=7), recipe=small)
    assert not (tmp_path / "run").exists()


def test_a_data_set_in_the_folder_of_the_run_is_never_lost(faces, run_path, small, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(run_path / "data.h5", tmp_path / "run" / "data.h5")
    for source, overwrite in ((faces, False), (tmp_path / "run" / "data.h5", True)):
        with pytest.raises(InputError, match=r"holds a run that was stopped|is in the run"):
            prepare(source, tmp_path / "run", overwrite=overwrite, recipe=small)
    assert (tmp_path / "run" / "data.h5").read_bytes() == (run_path / "data.h5").read_bytes()
