"""Pictures of layers, and the command that draws them."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.classifier import ImageClassifier
from pipeline.cli import main
from pipeline.dataset import Dataset
from pipeline.layers import deeper_layer_pictures, first_layer_pictures, score_first_layer


@pytest.fixture(scope="module")
def classifier(run_path):
    return ImageClassifier.load(run_path)


@pytest.fixture(scope="module")
def images(run_path):
    with Dataset.open(run_path / "data.h5") as dataset:
        return dataset.read("test")[0]


def test_first_layer_shows_rows_of_W1(classifier):
    found = first_layer_pictures(classifier, score_first_layer(classifier), 10)
    rows = {row.tobytes() for row in classifier.parameters[1].W}

    assert len(found.pictures) == 10
    assert all(row.tobytes() in rows for row in found.pictures)
    assert "edge detectors" in found.made_by


def test_deeper_layers_show_three_kinds_each_with_its_name(classifier, images):
    means, made, products = deeper_layer_pictures(classifier, images, 2, 6)

    assert means.pictures.shape == made.pictures.shape == products.pictures.shape == (6, 625)
    assert "the first 6 of 16 units" in means.made_by
    assert "gradient ascent" in made.made_by
    W1, W2 = classifier.parameters[1].W, classifier.parameters[2].W
    np.testing.assert_allclose(products.pictures, (W2 @ W1)[:6], rtol=1e-4, atol=1e-5)


def test_pictures_made_by_ascent_excite_their_unit_more_than_any_real_one(classifier, images):
    from model.hierarchy import layer_answers

    made = deeper_layer_pictures(classifier, images, 2, 16)[1].pictures
    X = classifier.preprocessor.apply(images)
    A2 = layer_answers(X, classifier.parameters, classifier.network)[1]
    A2_made = layer_answers(np.asfortranarray(made.T + X.mean()), classifier.parameters, classifier.network)[1]
    alive = A2.max(axis=1) > 0

    assert (np.diag(A2_made)[alive] > A2[alive].max(axis=1)).mean() > 0.8


@pytest.mark.parametrize("words", [[], ["--layer", "2"], ["--hierarchy"], ["--max-units", "5"]])
def test_command_draws(run_path, tmp_path, capsys, words):
    assert main(["filters", str(run_path), "-o", str(tmp_path / "f.png"), *words]) == 0
    with Image.open(tmp_path / "f.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5
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
