"""Held-out images: found with the model, of its test split, of every class."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.evaluation.held_out import data_of, held_out_images, held_out_samples
from pipeline.images.geometry import Geometry


def test_held_out_samples_show_every_class_in_turn(model):
    classifier = ImageClassifier.load(model)
    data = data_of(model, classifier)
    samples = held_out_samples(data, limit=5)
    assert [sample.label for sample in samples] == ["face", "other", "face", "other", "face"]
    with Dataset.open(data) as dataset:
        images, labels = dataset.read("test")
    for sample in samples:
        (match,) = np.flatnonzero((images == sample.image).all(axis=(1, 2, 3)))
        assert classifier.classes[labels[match]] == sample.label


def test_a_data_set_that_has_changed_is_not_the_models(model):
    classifier = ImageClassifier.load(model)
    data = model.with_name("data.h5")
    assert data_of(model, classifier) == data
    data.write_bytes(data.read_bytes()[:5000])
    assert data_of(model, classifier) is None
    data.unlink()
    assert data_of(model, classifier) is None


def test_a_data_set_is_found_from_another_folder(model, tmp_path, monkeypatch):
    classifier = ImageClassifier.load(model)
    classifier = dataclasses.replace(classifier, provenance={**classifier.provenance, "source": "sets/faces.h5"})
    place = tmp_path / "work" / "sets" / "faces.h5"
    place.parent.mkdir(parents=True)
    model.with_name("data.h5").rename(place)
    moved = tmp_path / "work" / "runs" / "one" / "model.h5"
    moved.parent.mkdir(parents=True)
    model.rename(moved)
    monkeypatch.chdir(tmp_path)
    assert data_of("work/runs/one/model.h5", classifier) == place


def test_held_out_images_come_from_the_test_split_and_fit_the_model(model):
    classifier = ImageClassifier.load(model)
    data = model.with_name("data.h5")
    with Dataset.open(data) as dataset:
        expected = dataset.read("test")[0]
    np.testing.assert_array_equal(held_out_images(data, classifier.geometry), expected)
    assert len(held_out_images(data, classifier.geometry, limit=5)) == 5
    with pytest.raises(InputError, match="another size or colour"):
        held_out_images(data, Geometry(10, 10))
