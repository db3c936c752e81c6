"""The comparison with a random split that ignores groups."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED
from pipeline.classifier import ImageClassifier
from pipeline.data.config import DataConfig
from pipeline.errors import InputError
from pipeline.training.recipe import Recipe
from pipeline.training.split_comparison import compare_with_random_split


@pytest.fixture(scope="module")
def people_run(train_in, tmp_path_factory, lfw_images):
    """Train on two made-up families: 24 people, 8 images each.

    The family of a person has nothing to do with the face, and the 8 images of a person are one face with noise:
    nothing can be learned about a new person, and everything can be memorised about a known one.
    """
    root, rng = tmp_path_factory.mktemp("families"), np.random.default_rng(0)
    for person, face in enumerate(lfw_images[:24]):
        folder = root / "photos" / ("adams", "brown")[person % 2]
        folder.mkdir(parents=True, exist_ok=True)
        for k in range(8):
            noisy = np.clip(face + rng.normal(0, 12, face.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / f"P{person:02d}-{k}.png")
    recipe = Recipe(NetworkConfig(hidden=(64,)), TrainingConfig(epochs=30), NOT_PRETRAINED)
    train_in(root / "run", root / "photos", data=DataConfig(group_by=r"P\d+"), recipe=recipe)
    return root / "run"


@pytest.mark.slow
def test_a_random_split_is_optimistic_if_persons_are_in_both_splits(people_run):
    begun: list[bool] = []
    found = compare_with_random_split(
        ImageClassifier.load(people_run), people_run / "data.h5", begin_training=lambda: begun.append(True)
    )

    assert begun
    assert found.random.accuracy > 0.9
    assert found.grouped.accuracy < found.random.accuracy - 0.2


def test_a_data_set_without_groups_or_of_another_model_is_refused(run_path, people_run):
    with pytest.raises(InputError, match="has no groups of images"):
        compare_with_random_split(ImageClassifier.load(run_path), run_path / "data.h5")
    with pytest.raises(InputError, match="is not the data set that this model was trained on"):
        compare_with_random_split(ImageClassifier.load(run_path), people_run / "data.h5")
