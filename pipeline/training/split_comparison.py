"""Measures how optimistic a random split is: trains the same recipe on both splits of one data set.

A random split ignores duplicates and groups. Images of the same thing, or of the same person, are then in the training
split and in the test split, and the accuracy is higher than it will be on new images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from model.config import NetworkConfig
from model.storage.checkpoint import config_from
from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.evaluation.scores import Evaluation, score, split_probabilities
from pipeline.images.augment import AugmentConfig
from pipeline.ingestion.open import open_or_ingest
from pipeline.training.prepare import begin
from pipeline.training.recipe import Recipe, RunConfig


@dataclass(frozen=True)
class SplitComparison:
    """The test scores of one recipe: on the data set's own split, and on a random split that ignores groups."""

    grouped: Evaluation
    random: Evaluation


def compare_with_random_split(
    classifier: ImageClassifier, data: str | Path, *, begin_training: Callable[[], None] = lambda: None
) -> SplitComparison:
    """Train the recipe of a classifier again, on a random split of its data set; takes as long as its training did.

    Parameters
    ----------
    classifier : ImageClassifier
        Trained on this data set.
    data : str or Path
        The data set file.
    begin_training : callable, optional
        Called once everything is checked, before the training begins.

    Raises
    ------
    InputError
        When the data set is not the one that the classifier was trained on, or has no groups.
    """
    with open_or_ingest(data) as (dataset, _):
        if dataset.fingerprint != classifier.provenance.get("data_fingerprint"):
            raise InputError(f"{data}: is not the data set that this model was trained on; give that one")
        if classifier.provenance.get("started_from"):
            raise InputError("this model was fine-tuned from another one, which cannot be repeated on another split")
        if (dataset.group < 0).all():
            raise InputError(f"{data}: has no groups of images, so there is nothing to compare; ingest with --group-by")
        begin_training()
        probabilities, labels, _ = split_probabilities(classifier, dataset, "test")
        grouped = score(probabilities, labels, classifier.classes)
        random = dataset.with_split(dataset.random_split())
        with TemporaryDirectory(prefix="facette-") as folder:
            run = begin(random, Path(folder), _recipe(classifier, random), source=str(data), data_path=Path(data))
            for _ in run.epochs():
                pass
            probabilities, labels, _ = split_probabilities(run.classifier(), random, "test")
        return SplitComparison(grouped, score(probabilities, labels, classifier.classes))


def _recipe(classifier: ImageClassifier, dataset: Dataset) -> Recipe:
    """Return the recipe of a classifier, with batches that are no larger than the training split."""
    batch_size = min(int(classifier.training.batch_size), len(dataset.indices("train")))
    return Recipe(
        network=config_from(NetworkConfig, classifier.provenance["network_as_trained"]),
        training=replace(classifier.training, batch_size=batch_size),
        pretraining=classifier.pretraining,
        augmentation=AugmentConfig(**classifier.provenance["augmentation"]),
        run=RunConfig(pretrain_on=str(classifier.provenance.get("pretrain_on", ""))),
    )
