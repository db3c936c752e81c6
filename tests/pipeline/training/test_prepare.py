"""The training script, on real images."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import tomllib

import numpy as np
import pytest
from PIL import Image

from model.config import ConfigError, NetworkConfig, TrainingConfig, resolve
from pipeline.classifier import ImageClassifier
from pipeline.cli.describe import describe_plan
from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.files.toml import read_toml
from pipeline.images.augment import AugmentConfig
from pipeline.images.geometry import Geometry
from pipeline.settings import config_from_flags
from pipeline.training.prepare import prepare
from pipeline.training.pretrain import resolve_pretraining
from pipeline.training.resume import resume
from pipeline.training.run_folder import run_folder


def train_in(folder, source, **options):
    run = prepare(source, folder, **options)
    with run.dataset:
        list(run.epochs())
        return run.finish()


def test_beats_majority_and_chance_on_held_out_faces(faces, tmp_path):
    result = train_in(tmp_path / "run", faces)

    assert result.evaluated_on == "test"
    assert result.scores["test"].accuracy > 0.85
    majority = next(b for b in result.baselines if b.name == "majority class")
    assert majority.accuracy == pytest.approx(0.5, abs=0.1)
    assert result.scores["test"].low > majority.accuracy


def test_run_folder_holds_what_is_promised(run_path):
    assert {"model.h5", "checkpoint.h5", "data.h5", "config.toml", "history.csv", "metrics.json", "report.html",
            "filters.png"} <= {path.name for path in run_path.iterdir()}  # fmt: skip
    metrics = json.loads((run_path / "metrics.json").read_text())
    with (run_path / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert len(history) == 15
    assert metrics["splits"]["test"]["m"] == 30
    with Image.open(run_path / "filters.png") as image:
        assert np.asarray(image.convert("L")).std() > 5  # something is drawn
    assert not [path for path in run_path.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_same_seed_same_weights_other_seed_other_weights(faces, small, tmp_path):
    def weights(name, seed):
        training = dataclasses.replace(small["training"], seed=seed, epochs=3)
        result = train_in(tmp_path / name, faces, network=small["network"], training=training)
        return result.classifier.parameters.flat

    first = weights("first", 1)
    np.testing.assert_array_equal(first, weights("again", 1))
    assert not np.array_equal(first, weights("other", 2))


def test_stored_configuration_repeats_the_run(faces, run_path, tmp_path):
    stored = read_toml(run_path / "config.toml")
    nothing = __import__("argparse").Namespace()
    kinds = {"data": DataConfig, "network": NetworkConfig, "training": TrainingConfig}
    configs = {name: config_from_flags(kind, nothing, stored[name]) for name, kind in kinds.items()}

    again = train_in(tmp_path / "again", faces, **configs).classifier

    assert "auto" not in str(tomllib.loads((run_path / "config.toml").read_text()))
    np.testing.assert_array_equal(again.parameters.flat, ImageClassifier.load(run_path).parameters.flat)


def test_resumed_run_ends_like_an_undisturbed_one(faces, run_path, small, tmp_path):
    run = prepare(faces, tmp_path / "run", **small)
    with run.dataset:
        for record in run.epochs():
            if record.epoch == 6:
                break
    resumed = resume(tmp_path / "run")
    with resumed.dataset:
        assert resumed.state.epoch == 6
        list(resumed.epochs())
        found = resumed.finish().classifier

    np.testing.assert_array_equal(found.parameters.flat, ImageClassifier.load(run_path).parameters.flat)


def test_resume_refuses_other_data(faces, small, tmp_path):
    run = prepare(faces, tmp_path / "run", **small)
    with run.dataset:
        next(run.epochs())
        run.save_checkpoint()
    (tmp_path / "run" / "data.h5").unlink()
    other = prepare(faces, tmp_path / "other", data=DataConfig(split_seed=9), **small)
    other.dataset.close()
    shutil.copy(tmp_path / "other" / "data.h5", tmp_path / "run" / "data.h5")

    with pytest.raises(InputError, match="has changed since"):
        resume(tmp_path / "run")


def test_trains_on_a_data_set_file_in_place(run_path, small, tmp_path):
    result = train_in(tmp_path / "run", run_path / "data.h5", **small)

    assert not (tmp_path / "run" / "data.h5").exists()
    np.testing.assert_array_equal(result.classifier.parameters.flat, ImageClassifier.load(run_path).parameters.flat)


def test_reading_from_the_file_is_as_good_as_from_memory(faces, small, tmp_path):
    """200 images of 625 bytes are one chunk, so the window is shuffled as a whole: as random as in memory."""
    from_file = train_in(tmp_path / "run", faces, memory=1000, **small)

    assert from_file.scores["test"].accuracy > 0.85


def test_without_validation_images(faces, small, tmp_path):
    result = train_in(tmp_path / "run", faces, data=DataConfig(validation=0.0), **small)

    assert "validation" not in result.scores
    assert all(np.isnan(record.validation_cost) for record in result.classifier.history)


def test_early_stopping_without_validation_leaves_nothing_behind(faces, tmp_path):
    with pytest.raises(ConfigError, match="patience"):
        prepare(faces, tmp_path / "run", data=DataConfig(validation=0.0), training=TrainingConfig(patience=3))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_first_layer_learns_edges_from_photographs_and_keeps_them(faces, tmp_path):
    training = TrainingConfig(epochs=30)
    result = train_in(tmp_path / "run", faces, network=NetworkConfig(hidden=(64, 16)), training=training)
    plain = train_in(tmp_path / "plain", faces, network=NetworkConfig(hidden=(64, 16)),
                     training=dataclasses.replace(training, pretrain="none"))  # fmt: skip

    assert result.first_layer.edge.mean() > 0.9
    assert 0 < result.first_layer_change < 1
    assert plain.first_layer.edge.mean() < 0.05
    assert plain.first_layer_change is None
    assert result.scores["test"].accuracy > 0.85
    assert result.first_layer.sentence() in (tmp_path / "run" / "report.html").read_text()


@pytest.fixture(scope="module")
def two_layers(faces, tmp_path_factory):
    """A run whose layers 1 and 2 were learned before any label, in the middle of its training; W2 as it began."""
    training = TrainingConfig(epochs=4, pretrain_layers=2, average=0.9)
    run = prepare(faces, tmp_path_factory.mktemp("two") / "run", network=NetworkConfig(hidden=(64, 36)),
                  training=training, augmentation=AugmentConfig(augment="affine"))  # fmt: skip
    before = run.state.parameters[2].W.copy(), run.state.average[2].W.copy()
    with run.dataset:
        next(run.epochs())
    return run, before


@pytest.mark.slow
def test_layer_2_learns_over_windows_before_any_label(two_layers):
    run, (W2, averaged) = two_layers

    assert 0.15 < (W2 != 0).mean() < 0.5  # of the image, each unit sees a window of a quarter
    np.testing.assert_array_equal(averaged, W2)
    assert (run.state.parameters[2].W != 0).all()  # free in training
    stored = tomllib.loads((run.folder / "config.toml").read_text())["training"]
    assert (stored["pretrain"], stored["pretrain_layers"]) == ("sparse_filtering", 2)
    assert stored["layer_rates"] == [0.1, 0.3, 1.0]
    assert "layer 2" in describe_plan(run)


@pytest.mark.slow
def test_pretrained_layers_resume_and_train_the_same_again(two_layers, faces, tmp_path):
    run, _ = two_layers
    again = prepare(faces, tmp_path / "again", network=run.state.network,
                    training=run.state.training, augmentation=run.augmentation)  # fmt: skip
    resumed = resume(shutil.copytree(run.folder, tmp_path / "run"))
    for one in (again, resumed):
        with one.dataset:
            list(one.epochs())
    np.testing.assert_array_equal(resumed.state.parameters.flat, again.state.parameters.flat)


@pytest.mark.parametrize(("size", "rate"), [((32, 32), 0.3), ((20, 33), 0.1)])
def test_enlarged_filters_learn_more_slowly(size, rate):
    geometry = Geometry(*size, "rgb", "crop")
    moved = AugmentConfig(augment="none", shift=0.1)
    training = resolve_pretraining(TrainingConfig(), NetworkConfig(), moved, geometry, None)
    assert training.pretrain == "sparse_filtering"
    _, training = resolve(NetworkConfig(), training, n_x=geometry.n_x, m=500, n_classes=3)
    assert training.layer_rates == (rate, 1.0, 1.0)
    plain = resolve_pretraining(TrainingConfig(pretrain="none"), NetworkConfig(), moved, geometry, None)
    assert plain.layer_rates == ()
    asked = resolve_pretraining(TrainingConfig(layer_rates=(0.7,)), NetworkConfig(), moved, geometry, None)
    assert asked.layer_rates == (0.7,)


def test_pretrained_layers_need_as_many_hidden_layers(faces, tmp_path):
    with pytest.raises(ConfigError, match="pretrain_layers: 3 asked for, but the network has 2 hidden"):
        prepare(faces, tmp_path / "run", training=TrainingConfig(pretrain_layers=3))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_contrast_is_normalised_in_training_and_in_use_and_kept(faces, small, tmp_path, lfw_images):
    training = dataclasses.replace(small["training"], normalize_contrast=True)
    run = prepare(faces, tmp_path / "run", network=small["network"], training=training)
    with run.dataset:
        next(run.epochs())
    with (resumed := resume(tmp_path / "run")).dataset:
        list(resumed.epochs())
        result = resumed.finish()
    assert result.scores["test"].accuracy > 0.85

    classifier = ImageClassifier.load(tmp_path / "run")
    images = lfw_images[80:120, :, :, None]
    dim = (images * 0.6 + 20).astype(np.uint8)
    np.testing.assert_allclose(classifier.probabilities(dim), classifier.probabilities(images), atol=0.1)
    further = prepare(faces, tmp_path / "further", start_from=tmp_path / "run" / "model.h5")
    with further.dataset:
        assert further.preprocessor.contrast
        assert further.state.training.normalize_contrast


@pytest.mark.slow
def test_edges_can_be_learned_from_a_folder_of_photographs(faces, photo, tmp_path):
    (tmp_path / "photos").mkdir()
    photo.save(tmp_path / "photos" / "china.jpg")
    training = TrainingConfig(epochs=2, pretrain="sparse_filtering")
    small = {"network": NetworkConfig(hidden=(16,)), "training": training}
    run = prepare(faces, tmp_path / "run", pretrain_on=tmp_path / "photos", **small)
    with run.dataset:
        next(run.epochs())
        learned = run.first_layer_before
    resumed = resume(tmp_path / "run")
    with resumed.dataset:
        np.testing.assert_array_equal(resumed.first_layer_before, learned)
    with pytest.raises(InputError, match="no such file or folder"):
        prepare(faces, tmp_path / "other", pretrain_on=tmp_path / "nothing")


def test_without_test_images_says_what_it_was_judged_on(faces, small, tmp_path):
    result = train_in(tmp_path / "run", faces, data=DataConfig(test=0.0), **small)

    assert result.evaluated_on == "validation"
    assert "optimistic" in (tmp_path / "run" / "report.html").read_text()


def test_ready_made_splits_are_kept(faces, small, tmp_path):
    source = tmp_path / "photos"
    for split, numbers in (("train", range(60)), ("valid", range(60, 80)), ("test", range(80, 100))):
        for label, first in (("face", 0), ("not-face", 100)):
            (source / split / label).mkdir(parents=True)
            for i in numbers:
                shutil.copy(faces / label / f"{first + i:04d}.png", source / split / label)

    result = train_in(tmp_path / "run", source, **small)

    assert {split: found.m for split, found in result.scores.items()} == {"train": 120, "validation": 40, "test": 40}
    with Dataset.open(tmp_path / "run" / "data.h5") as dataset:
        assert all(str(dataset.paths[i]).startswith("test/") for i in dataset.indices("test"))


def test_failure_in_the_source_leaves_nothing_behind(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        prepare(tmp_path / "empty", tmp_path / "runs" / "x")
    assert not (tmp_path / "runs" / "x").exists()


def test_names_of_runs(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "model.h5").touch()

    assert run_folder(tmp_path, None, "a/photos/") == tmp_path / "photos-2"
    with pytest.raises(InputError, match="holds a run already"):
        run_folder(tmp_path, "photos", "x")
    with pytest.raises(InputError, match="plain name"):
        run_folder(tmp_path, "../escape", "x")
    assert run_folder(tmp_path, "photos", "x", overwrite=True) == tmp_path / "photos"


def test_estimate_leaves_the_run_as_it_was(faces, small, run_path, tmp_path):
    run = prepare(faces, tmp_path / "run", **small)
    with run.dataset:
        assert run.estimate_seconds() > 0
        list(run.epochs())
        np.testing.assert_array_equal(run.classifier().parameters.flat, ImageClassifier.load(run_path).parameters.flat)


def test_trying_threads_leaves_the_run_as_it_was(faces, tmp_path):
    options = {"network": NetworkConfig(hidden=(2048, 64)), "training": TrainingConfig(epochs=2, pretrain="none")}

    def weights(name, **threads):
        run = prepare(faces, tmp_path / name, **options, **threads)
        with run.dataset:
            list(run.epochs())
        return run.threads, run.classifier().parameters.flat

    threads, tried = weights("tried")
    given, told = weights("told", threads=threads)
    assert given == threads >= 1
    np.testing.assert_array_equal(tried, told)


def test_steps_too_small_to_share_take_one_thread(faces, small, tmp_path):
    run = prepare(faces, tmp_path / "run", **small)
    with run.dataset:
        assert run.threads == 1
        assert "on 1 thread" in describe_plan(run)


def test_training_further_starts_where_the_model_ended_and_remembers_its_images(faces, small, run_path, tmp_path):
    before = ImageClassifier.load(run_path)
    shorter = TrainingConfig(epochs=2)
    run = prepare(faces, tmp_path / "run", data=DataConfig(split_seed=5), training=shorter, start_from=run_path)
    with run.dataset:
        images, _ = run.dataset.read("test")
        np.testing.assert_allclose(run.classifier().probabilities(images), before.probabilities(images), atol=2e-6)
        steps = [record.learning_rate for record in run.epochs()]
        assert max(steps) < 0.2 * max(record.learning_rate for record in before.history)
        result = run.finish()

    assert result.trained_before > 0  # another split: some of its test images were trained on
    assert set(before.trained_on) <= set(result.classifier.trained_on)
    assert result.classifier.provenance["started_from"] == before.model_id
    assert "optimistic" in (tmp_path / "run" / "report.html").read_text()


def test_training_further_on_other_classes_is_refused(faces, run_path, tmp_path):
    shutil.copytree(faces / "face", tmp_path / "photos" / "cat")
    shutil.copytree(faces / "not-face", tmp_path / "photos" / "dog")
    with pytest.raises(InputError, match="has the classes cat, dog; the model to start from knows face, not-face"):
        prepare(tmp_path / "photos", tmp_path / "run", start_from=run_path)
    assert not (tmp_path / "run").exists()


def test_overwriting_replaces_a_run_and_keeps_it_when_the_new_one_cannot_begin(faces, small, run_path, tmp_path):
    shutil.copytree(run_path, tmp_path / "run")
    (tmp_path / "run" / "mine.txt").write_text("precious")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    (tmp_path / "empty").mkdir()
    for source, training in ((tmp_path / "empty", TrainingConfig()), (faces, TrainingConfig(batch_size=999))):
        with pytest.raises((InputError, ConfigError)):
            prepare(source, tmp_path / "run", training=training, overwrite=True)
        assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before

    run = prepare(faces, tmp_path / "run", overwrite=True, **small)
    run.dataset.close()

    assert {path.name for path in (tmp_path / "run").iterdir()} == {"data.h5", "config.toml", "mine.txt", ".replaced"}
    run.discard()  # a run without an epoch is taken back, and the old one is there again
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before

    train_in(tmp_path / "run", faces, overwrite=True, **small)
    assert "mine.txt" in {path.name for path in (tmp_path / "run").iterdir()}
    assert ".replaced" not in {path.name for path in (tmp_path / "run").iterdir()}


def test_data_settings_are_refused_for_a_data_set(run_path, small, tmp_path):
    with pytest.raises(InputError, match="leave out test, split_seed"):
        prepare(run_path / "data.h5", tmp_path / "run", data=DataConfig(test=0.3, split_seed=7), **small)
    assert not (tmp_path / "run").exists()


def test_a_data_set_in_the_folder_of_the_run_is_never_lost(faces, run_path, small, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(run_path / "data.h5", tmp_path / "run" / "data.h5")
    for source, overwrite in ((faces, False), (tmp_path / "run" / "data.h5", True)):
        with pytest.raises(InputError, match=r"holds a run already|lies in the run"):
            prepare(source, tmp_path / "run", overwrite=overwrite, **small)
    assert (tmp_path / "run" / "data.h5").read_bytes() == (run_path / "data.h5").read_bytes()
