"""The first layers of a run are learned without labels, before the training."""

from __future__ import annotations

import dataclasses
import shutil
import tomllib

import numpy as np
import pytest

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED, PretrainConfig
from model.errors import ConfigError
from pipeline.classifier import ImageClassifier
from pipeline.cli.describe import describe_plan
from pipeline.errors import InputError
from pipeline.images.augment import AugmentConfig
from pipeline.training.finish import finish
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe, RunConfig
from pipeline.training.resume import resume


@pytest.mark.slow
def test_first_layer_learns_edges_from_photographs_and_keeps_them(train_in, faces, tmp_path):
    recipe = Recipe(NetworkConfig(hidden=(64, 16)), TrainingConfig(epochs=30))
    result = train_in(tmp_path / "run", faces, recipe=recipe)
    plain = train_in(tmp_path / "plain", faces, recipe=dataclasses.replace(recipe, pretraining=NOT_PRETRAINED))

    assert result.first_layer.edge.mean() > 0.9
    assert 0 < result.first_layer_change < 1
    assert plain.first_layer.edge.mean() < 0.05
    assert plain.first_layer_change is None
    assert result.scores["test"].accuracy > 0.85
    assert result.first_layer.summary() in (tmp_path / "run" / "report.html").read_text()


@pytest.fixture(scope="module")
def two_layers(faces, tmp_path_factory):
    """A run whose layers 1 and 2 were learned before any label, in the middle of its training; W2 as it began."""
    recipe = Recipe(
        NetworkConfig(hidden=(64, 36)),
        TrainingConfig(epochs=4, average=0.9),
        PretrainConfig(pretrain_layers=2),
        AugmentConfig(augment="affine"),
    )
    run = prepare(faces, tmp_path_factory.mktemp("two") / "run", recipe=recipe)
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
    stored = tomllib.loads((run.folder / "config.toml").read_text())
    assert stored["pretraining"] == {
        "pretrain": "sparse_filtering",
        "pretrain_layers": 2,
        "largest_change": 0.3,
        "normalize_contrast": False,
    }
    assert stored["training"]["layer_rates"] == [0.1, 0.3, 1.0]
    assert "layer 2" in describe_plan(run)


@pytest.mark.slow
def test_pretrained_layers_resume_and_train_the_same_again(two_layers, faces, tmp_path):
    run, _ = two_layers
    recipe = Recipe(run.state.network, run.state.training, run.pretraining, run.augmentation)
    again = prepare(faces, tmp_path / "again", recipe=recipe)
    resumed = resume(shutil.copytree(run.folder, tmp_path / "run"))
    for copy in (again, resumed):
        with copy.dataset:
            list(copy.epochs())
    np.testing.assert_array_equal(resumed.state.parameters.flat, again.state.parameters.flat)


def test_pretrained_layers_need_as_many_hidden_layers(faces, tmp_path):
    with pytest.raises(ConfigError, match="pretrain_layers: 3 asked for, but the network has 2 hidden"):
        prepare(faces, tmp_path / "run", recipe=Recipe(pretraining=PretrainConfig(pretrain_layers=3)))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_contrast_is_normalised_in_training_and_in_use_and_kept(faces, small, tmp_path, lfw_images):
    recipe = dataclasses.replace(small, pretraining=PretrainConfig("none", normalize_contrast=True))
    run = prepare(faces, tmp_path / "run", recipe=recipe)
    with run.dataset:
        next(run.epochs())
    with (resumed := resume(tmp_path / "run")).dataset:
        list(resumed.epochs())
        result = finish(resumed)
    assert result.scores["test"].accuracy > 0.85

    classifier = ImageClassifier.load(tmp_path / "run")
    images = lfw_images[80:120, :, :, None]
    dim = (images * 0.6 + 20).astype(np.uint8)
    np.testing.assert_allclose(classifier.probabilities(dim), classifier.probabilities(images), atol=0.1)
    start_from = RunConfig(start_from=str(tmp_path / "run" / "model.h5"))
    tuned = prepare(faces, tmp_path / "tuned", recipe=Recipe(run=start_from))
    with tuned.dataset:
        assert tuned.preprocessor.contrast
        assert tuned.pretraining.normalize_contrast


@pytest.mark.slow
def test_edges_can_be_learned_from_a_folder_of_photographs(faces, photo_image, tmp_path):
    (tmp_path / "photos").mkdir()
    photo_image.save(tmp_path / "photos" / "china.jpg")
    recipe = Recipe(NetworkConfig(hidden=(16,)), TrainingConfig(epochs=2), PretrainConfig("sparse_filtering"))

    def learning_from(folder):
        return dataclasses.replace(recipe, run=RunConfig(pretrain_on=str(tmp_path / folder)))

    run = prepare(faces, tmp_path / "run", recipe=learning_from("photos"))
    with run.dataset:
        next(run.epochs())
        learned = run.first_layer_before
    resumed = resume(tmp_path / "run")
    with resumed.dataset:
        np.testing.assert_array_equal(resumed.first_layer_before, learned)
    with pytest.raises(InputError, match="no such file or folder"):
        prepare(faces, tmp_path / "other", recipe=learning_from("nothing"))


@pytest.mark.slow
def test_edges_stay_however_fast_layer_1_learns(faces, tmp_path):
    def edges_after_training(largest_change):
        recipe = Recipe(
            NetworkConfig(hidden=(40,)),
            TrainingConfig(epochs=30, layer_rates=(5.0, 1.0)),
            PretrainConfig("sparse_filtering", largest_change=largest_change),
        )
        run = prepare(faces, tmp_path / str(largest_change), recipe=recipe)
        with run.dataset:
            list(run.epochs())
            result = finish(run)
        return result.first_layer.edge.mean(), result.first_layer_change

    share, change = edges_after_training(0.3)
    assert share > 0.9
    assert 0.1 < change < 0.3001
    free_share, free_change = edges_after_training(0.0)
    assert free_share < 0.5
    assert free_change > 0.6
