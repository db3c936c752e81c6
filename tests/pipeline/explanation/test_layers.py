"""Images of layers, and the command that draws them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.edges.scores import score_filters
from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.explanation.layers import control_shares, deeper_layer_images, first_layer_images, score_first_layer
from pipeline.training.pretrain import first_layer_growth


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


@pytest.mark.slow
def test_controls_find_no_edges_and_raw_patches_few(classifier):
    shares = control_shares(classifier)
    floor = shares.pop("raw patches of photographs")

    assert len(shares) == 4
    assert max(shares.values()) <= 0.02
    assert 0 < floor < 0.2


@pytest.mark.slow
def test_growth_leads_from_noise_to_the_layer_of_the_model(pretrained_run):
    classifier = ImageClassifier.load(pretrained_run)
    steps = first_layer_growth(classifier)
    shape, W1 = classifier.geometry.shape, classifier.parameters[1].W

    np.testing.assert_array_equal(steps[-1], W1[:12])
    assert score_filters(steps[0], shape).edge.mean() <= 0.1
    assert score_filters(steps[-2], shape).edge.mean() >= 0.9
    cosines = (steps[-2] * W1[:12]).sum(axis=1) / np.linalg.norm(W1[:12], axis=1)
    assert np.median(cosines) > 0.9


@pytest.mark.slow
def test_growth_of_other_photographs_is_not_shown_as_the_models(pretrained_run):
    classifier = ImageClassifier.load(pretrained_run)
    other = replace(classifier, training=replace(classifier.training, seed=4))
    with pytest.raises(InputError, match="other filters"):
        first_layer_growth(other)


def test_the_first_units_are_those_of_the_whole_layer(classifier, images):
    some, all_units = (deeper_layer_images(classifier, images, 2, n)[0].images for n in (5, 16))
    np.testing.assert_allclose(some, all_units[:5], rtol=1e-4, atol=1e-6)
