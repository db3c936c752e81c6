"""Images of layers, and the command that draws them."""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageSequence

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import PretrainConfig
from model.edges.scores import score_filters
from pipeline.classifier import ImageClassifier
from pipeline.cli.main import main
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.explanation.layers import control_shares, deeper_layer_images, first_layer_images, score_first_layer
from pipeline.training.finish import finish
from pipeline.training.prepare import prepare
from pipeline.training.pretrain import first_layer_growth
from pipeline.training.recipe import Recipe


@pytest.fixture(scope="module")
def classifier(run_path):
    return ImageClassifier.load(run_path)


@pytest.fixture(scope="module")
def images(run_path):
    with Dataset.open(run_path / "data.h5") as dataset:
        return dataset.read("test")[0]


def test_first_layer_shows_rows_of_W1(classifier):
    found = first_layer_images(classifier, score_first_layer(classifier), 10)
    rows = {row.tobytes() for row in classifier.parameters[1].W}

    assert len(found.images) == 10
    assert all(row.tobytes() in rows for row in found.images)
    assert "edge detectors" in found.made_by


def test_deeper_layers_show_three_kinds_each_with_its_name(classifier, images):
    means, made, products = deeper_layer_images(classifier, images, 2, 6)

    assert means.images.shape == made.images.shape == products.images.shape == (6, 625)
    assert "the first 6 of 16 units" in means.made_by
    assert "gradient ascent" in made.made_by
    W1, W2 = classifier.parameters[1].W, classifier.parameters[2].W
    np.testing.assert_allclose(products.images, (W2 @ W1)[:6], rtol=1e-4, atol=1e-5)


def test_images_made_by_ascent_excite_their_unit_more_than_any_real_one(classifier, images):
    from model.edges.stimuli import layer_activations

    made = deeper_layer_images(classifier, images, 2, 16)[1].images
    X = classifier.preprocessor.apply(images)
    A2 = layer_activations(X, classifier.parameters, classifier.network)[1]
    A2_made = layer_activations(np.asfortranarray(made.T + X.mean()), classifier.parameters, classifier.network)[1]
    alive = A2.max(axis=1) > 0

    assert (np.diag(A2_made)[alive] > A2[alive].max(axis=1)).mean() > 0.8


@pytest.mark.parametrize("words", [[], ["--layer", "2"], ["--hierarchy"], ["--max-units", "5"]])
def test_command_draws(run_path, tmp_path, capsys, words):
    assert main(["filters", str(run_path), "-o", str(tmp_path / "f.png"), *words]) == 0
    with Image.open(tmp_path / "f.png") as image:
        assert np.asarray(image.convert("L")).std() > 5
    assert "Drawn in" in capsys.readouterr().out


def test_command_prints_scores(run_path, tmp_path, capsys):
    assert main(["filters", str(run_path), "-o", str(tmp_path / "f.png"), "--scores"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    assert [row["unit"] for row in rows] == [str(k) for k in range(1, 49)]
    assert all(0 <= float(row["r2"]) <= 1 for row in rows)


def test_command_names_what_does_not_work(run_path, tmp_path, capsys):
    assert main(["filters", str(run_path), "--layer", "7"]) == 2
    assert "the network has 3 layers" in capsys.readouterr().err
    (tmp_path / "alone").mkdir()
    ImageClassifier.load(run_path).save(tmp_path / "alone" / "model.h5")
    assert main(["filters", str(tmp_path / "alone" / "model.h5"), "--layer", "2"]) == 2
    assert "--data" in capsys.readouterr().err


@pytest.fixture(scope="module")
def pretrained(faces, tmp_path_factory):
    """Return the folder of a run with a pretrained first layer."""
    folder = tmp_path_factory.mktemp("runs") / "edges"
    training, pretraining = TrainingConfig(epochs=3, seed=3), PretrainConfig("sparse_filtering")
    run = prepare(faces, folder, recipe=Recipe(NetworkConfig(hidden=(24, 8)), training, pretraining))
    with run.dataset:
        list(run.epochs())
        finish(run)
    return folder


@pytest.mark.slow
def test_controls_find_no_edges_and_pieces_of_photographs_few(classifier):
    shares = control_shares(classifier)
    floor = shares.pop("pieces of photographs, as they are")

    assert len(shares) == 4
    assert max(shares.values()) <= 0.02
    assert 0 < floor < 0.2


@pytest.mark.slow
def test_command_prints_controls_beside_the_scores(run_path, tmp_path, capsys):
    assert main(["filters", str(run_path), "-o", str(tmp_path / "f.png"), "--scores", "--controls"]) == 0
    found = capsys.readouterr()

    assert len(found.out.splitlines()) == 49  # a table that a machine reads, and nothing else
    assert "0%  learned from white noise" in found.err


@pytest.mark.slow
def test_growth_leads_from_noise_to_the_layer_of_the_model(pretrained):
    classifier = ImageClassifier.load(pretrained)
    steps = first_layer_growth(classifier)
    shape, W1 = classifier.geometry.shape, classifier.parameters[1].W

    np.testing.assert_array_equal(steps[-1], W1[:12])
    assert score_filters(steps[0], shape).edge.mean() <= 0.1
    assert score_filters(steps[-2], shape).edge.mean() >= 0.9
    cosines = (steps[-2] * W1[:12]).sum(axis=1) / np.linalg.norm(W1[:12], axis=1)
    assert np.median(cosines) > 0.9


@pytest.mark.slow
def test_growth_of_other_photographs_is_not_shown_as_the_models(pretrained):
    classifier = ImageClassifier.load(pretrained)
    other = replace(classifier, training=replace(classifier.training, seed=4))
    with pytest.raises(InputError, match="other filters"):
        first_layer_growth(other)


@pytest.mark.slow
def test_command_animates(pretrained, run_path, tmp_path, capsys):
    path = tmp_path / "W1.gif"
    assert main(["filters", str(pretrained), "--animate", str(path)]) == 0
    assert "learned again" in capsys.readouterr().out
    with Image.open(path) as image:
        frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(image)]
    assert len(frames) > 10
    assert all((one != two).mean() > 0.01 for one, two in itertools.pairwise(frames))
    assert path.stat().st_size < 1_000_000

    assert main(["filters", str(pretrained), "--animate", str(tmp_path / "W1.png")]) == 2
    assert ".gif" in capsys.readouterr().err
    assert main(["filters", str(pretrained), "--animate", str(tmp_path / "none" / "W1.gif")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["filters", str(run_path), "--animate", str(path)]) == 2
    assert "not pretrained" in capsys.readouterr().err


def test_the_first_units_are_those_of_the_whole_layer(classifier, images):
    some, all_units = (deeper_layer_images(classifier, images, 2, n)[0].images for n in (5, 16))
    np.testing.assert_allclose(some, all_units[:5], rtol=1e-4, atol=1e-6)


def test_command_names_a_damaged_data_set(run_path, tmp_path, capsys):
    damaged = tmp_path / "data.h5"
    damaged.write_bytes((run_path / "data.h5").read_bytes()[:-2000])
    assert main(["filters", str(run_path), "--layer", "2", "--data", str(damaged)]) == 2
    assert str(damaged) in capsys.readouterr().err
