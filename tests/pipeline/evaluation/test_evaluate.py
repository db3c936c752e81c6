"""Evaluation: which images count, and by which classes."""

from __future__ import annotations

import shutil

import pytest

from pipeline.classifier import ImageClassifier
from pipeline.errors import InputError
from pipeline.evaluation.evaluate import evaluate


@pytest.fixture(scope="module")
def classifier(run_path):
    return ImageClassifier.load(run_path)


def test_images_of_the_training_are_left_out(classifier, run_path, faces):
    from_folder, notes = evaluate(classifier, faces)
    from_file, no_notes = evaluate(classifier, run_path / "data.h5")

    assert from_folder == from_file  # both are the 30 test images
    assert "170 of 200" in notes[0]
    assert not no_notes
    everything, _ = evaluate(classifier, faces, include_trained=True)
    assert everything.m == 200


def test_folder_with_classes_in_another_order_is_matched_by_name(classifier, faces, tmp_path):
    shutil.copytree(faces / "other", tmp_path / "all" / "other")
    only, _ = evaluate(classifier, tmp_path / "all", include_trained=True)

    assert only.support == (0, 100)
    assert only.recall[1] > 0.8


def test_unknown_class_is_named(classifier, faces, tmp_path):
    shutil.copytree(faces / "face", tmp_path / "all" / "faces")
    with pytest.raises(InputError, match="faces, which the model does not know; its classes are face, other"):
        evaluate(classifier, tmp_path / "all", include_trained=True)


def test_a_folder_around_the_classes_is_told(classifier, faces, tmp_path):
    shutil.copytree(faces, tmp_path / "all" / "inner")
    with pytest.raises(InputError, match=r"has images of inner, .*\(inner holds the folders face, other; if these are"):
        evaluate(classifier, tmp_path / "all", include_trained=True)


def test_an_evaluation_on_nothing_but_training_images_is_an_error(classifier, run_path, tmp_path):
    with pytest.raises(InputError, match="the model was trained on"):
        evaluate(classifier, _only_training(run_path / "data.h5", tmp_path / "only-training.h5"))


def test_folders_without_a_test_split_are_told_from_unlabelled_ones(classifier, faces, tmp_path):
    for split in ("train", "val"):
        shutil.copytree(faces, tmp_path / "sets" / split)
    with pytest.raises(
        InputError, match="no image is in the split test; choose another:  --split train or --split val"
    ):
        evaluate(classifier, tmp_path / "sets")
    with pytest.raises(InputError, match=r"no images are left to evaluate on \(none is labelled\)"):
        evaluate(classifier, faces / "face")


def _only_training(path, target):
    import h5py

    shutil.copy(path, target)
    with h5py.File(target, "r+") as file:
        split = file["split"][()]
        split[split == 2] = 3
        split[split == 0] = 2
        file["split"][...] = split
    return target
