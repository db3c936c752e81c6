"""Test-time augmentation: a prediction depends only on the image and the number of augmented versions."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from pipeline.classifier import ImageClassifier
from pipeline.cli.main import main
from pipeline.errors import InputError
from pipeline.evaluation.test_time_augmentation import tta_probabilities


def test_a_prediction_depends_on_the_image_alone(run_path, lfw_images):
    classifier, images = ImageClassifier.load(run_path), lfw_images[80:120, ..., None]
    found = tta_probabilities(classifier, images, 5)

    np.testing.assert_array_equal(tta_probabilities(classifier, images, 1), classifier.probabilities(images))
    np.testing.assert_allclose(found[:, 7:9], tta_probabilities(classifier, images[7:9], 5), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    moved = np.abs(found - classifier.probabilities(images)).max()
    assert 1e-3 < moved < 0.9
    assert (found.argmax(axis=0) == np.repeat([0, 1], 20)).mean() > 0.8


@pytest.mark.parametrize("stored", [{"shift": 0.0}, {"augment": "auto"}, {"cutout": 0.2}, {"of a later version": 1}])
def test_a_model_trained_without_augmentation_is_an_error(run_path, lfw_images, stored):
    classifier = ImageClassifier.load(run_path)
    plain = dict.fromkeys(classifier.provenance["augmentation"], 0.0) | {"augment": "none", "flip": False}
    classifier = dataclasses.replace(classifier, provenance={"augmentation": plain | stored})
    with pytest.raises(InputError, match="trained without augmentation"):
        tta_probabilities(classifier, lfw_images[:2, ..., None], 3)


def test_evaluate_averages_with_tta(run_path, capsys):
    assert main(["evaluate", str(run_path), str(run_path / "data.h5"), "--tta", "4", "--json"]) == 0
    averaged = json.loads(capsys.readouterr().out)
    assert main(["evaluate", str(run_path), str(run_path / "data.h5"), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)

    assert averaged["log_loss"] != pytest.approx(plain["log_loss"], abs=1e-4)  # not ignored
    assert abs(averaged["accuracy"] - plain["accuracy"]) < 0.1
    assert averaged["m"] == plain["m"]
