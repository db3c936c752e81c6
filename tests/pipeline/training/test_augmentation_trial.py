"""The trial that decides how images are augmented: what it finds on images of known kind, and that it is kept."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from model.config import NetworkConfig
from model.edges.config import NOT_PRETRAINED
from pipeline.classifier import ImageClassifier
from pipeline.cli.describe import describe_plan
from pipeline.images.augment import AugmentConfig
from pipeline.training import augmentation_trial
from pipeline.training.augmentation_trial import is_mirroring_harmless
from pipeline.training.finish import save_model
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe
from pipeline.training.resume import resume

SMALL = Recipe(NetworkConfig(hidden=(16,)), pretraining=NOT_PRETRAINED)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Two sets of the same images: what is seen decides the class, or where it is seen."""
    from sklearn.datasets import load_digits

    digits, rng = load_digits(), np.random.default_rng(0)
    parts = {"train": rng.integers(0, 1400, 10_000), "val": rng.integers(1400, 1797, 1000)}
    parts |= {"test": parts["val"][:9]}
    what, where = {}, {}
    for split, chosen in parts.items():
        rows = rng.integers(0, 9, len(chosen))
        images = np.zeros((len(chosen), 16, 16), np.uint8)
        for image, digit, top in zip(images, digits.images[chosen], rows, strict=True):
            image[top : top + 8, 4:12] = digit * 15
        what |= {f"{split}_images": images, f"{split}_labels": digits.target[chosen]}
        where |= {f"{split}_images": images, f"{split}_labels": rows}
    folder = tmp_path_factory.mktemp("many")
    np.savez(folder / "what.npz", **what)
    np.savez(folder / "where.npz", **where)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), [("what", True), ("where", False)])
def test_images_are_moved_if_positions_do_not_matter(many, tmp_path, name, expected):
    run = prepare(many / f"{name}.npz", tmp_path / "run", recipe=SMALL)
    with run.dataset:
        assert run.augmentation.is_on == expected
        assert run.trial["none"] < 0.5
        assert (run.state.training.epochs > 12) == expected
        assert f"by a short trial (errors: none {100 * run.trial['none']:.1f}%" in describe_plan(run)
        next(run.epochs())
        save_model(run)
    assert ImageClassifier.load(tmp_path / "run").provenance["augmentation_trial"] == run.trial
    resumed = resume(tmp_path / "run")
    with resumed.dataset:
        assert (resumed.augmentation, resumed.trial) == (run.augmentation, run.trial)


@pytest.mark.slow
def test_few_images_are_mirrored_if_that_changes_nothing(tmp_path):
    """Parts of photographs do not tell left from right; digits do."""
    from sklearn.datasets import load_digits, load_sample_images

    rng = np.random.default_rng(0)
    crops, labels = [], np.arange(200) % 2
    for label in labels:
        photo = load_sample_images().images[label]
        top, left = rng.integers(0, 400), rng.integers(0, 600)
        crops.append(photo[top : top + 20, left : left + 20][:, :: rng.choice([-1, 1])])
    digits = load_digits()
    np.savez(tmp_path / "crops.npz", images=np.array(crops), labels=labels)
    np.savez(tmp_path / "digits.npz", images=(digits.images[:500] * 15).astype(np.uint8), labels=digits.target[:500])
    for name, expected in (("crops", True), ("digits", False)):
        run = prepare(tmp_path / f"{name}.npz", tmp_path / name, recipe=SMALL)
        with run.dataset:
            assert run.augmentation.augment == "affine"
            assert run.augmentation.flip is expected
            assert run.trial["as they are"] < 0.5
            assert "mirrored too" in describe_plan(run) or not expected


@pytest.mark.parametrize(("m", "expected"), [(20, True), (200, False)])
def test_the_margin_of_mirroring_is_that_of_the_images_tried(m, expected):
    assert is_mirroring_harmless(0.3, 0.45, m) is expected  # two standard errors: 0.2 of 20 images, 0.06 of 200


def test_a_recipe_that_is_given_is_taken(run_path, faces, tmp_path, monkeypatch):
    monkeypatch.setattr(augmentation_trial, "MANY", 100)  # so that a trial would be made
    monkeypatch.setattr(augmentation_trial, "_FEWEST_EVALUATED", 20)
    for name, flip in (("auto", False), ("objects", True)):
        recipe = dataclasses.replace(SMALL, augmentation=AugmentConfig(name, flip=flip))
        run = prepare(faces, tmp_path / name, recipe=recipe)
        with run.dataset:
            assert bool(run.trial) == (name == "auto")
            assert dataclasses.astuple(run.augmentation)[2] is flip
