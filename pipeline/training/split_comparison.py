"""What would a careless split have made one believe? Trains the same network on both splits of one data set.

A random split that is blind to copies and groups lets images of the same thing, or the same person, stand on both
sides; the accuracy it shows is one that new images will not give.
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
from pipeline.training.recipe import Recipe


@dataclass(frozen=True)
class SplitComparison:
    """The test scores of one recipe: on the data set's own split, and on one that tears its groups apart."""

    grouped: Evaluation
    random: Evaluation


def compare_with_random_split(
    classifier: ImageClassifier, data: str | Path, *, begin_training: Callable[[], None] = lambda: None
) -> SplitComparison:
    """Train the classifier's recipe anew on the naive split of its data set; takes as long as its training did.

    Parameters
    ----------
    classifier : ImageClassifier
        Made from this data set.
    data : str or Path
        The data set file.
    begin_training : callable, optional
        Called when nothing speaks against it any more.

    Raises
    ------
    InputError
        When the data set is not the one the classifier was made from, or has nothing that belongs together.
    """
    with open_or_ingest(data) as (dataset, _):
        if dataset.fingerprint != classifier.provenance.get("data_fingerprint"):
            raise InputError(f"{data}: is not the data set that this model was trained on; give that one")
        if classifier.provenance.get("started_from"):
            raise InputError(
                "this model was trained further from another one, which cannot be repeated on another split"
            )
        if (dataset.group < 0).all():
            raise InputError(
                f"{data}: no images belong together, so there is nothing to compare; ingest with --group-by"
            )
        begin_training()
        probabilities, labels, _ = split_probabilities(classifier, dataset, "test")
        grouped = score(probabilities, labels, classifier.classes)
        dataset.split = dataset.random_split()
        with TemporaryDirectory(prefix="facette-") as folder:
            recipe = Recipe(
                network=config_from(NetworkConfig, classifier.provenance["network_as_trained"]),
                training=replace(classifier.training, batch_size=_batch_size(classifier, dataset)),
                pretrain_on=classifier.provenance.get("pretrain_on") or None,
                augmentation=AugmentConfig(**classifier.provenance["augmentation"]),
            )
            run = begin(dataset, Path(folder), recipe, source=str(data), data_path=Path(data))
            for _ in run.epochs():
                pass
            probabilities, labels, _ = split_probabilities(run.classifier(), dataset, "test")
        return SplitComparison(grouped, score(probabilities, labels, classifier.classes))


def _batch_size(classifier: ImageClassifier, dataset: Dataset) -> int:
    """Return the batch size that was used, or all training images where the naive split has fewer."""
    assert classifier.training.batch_size != "auto"
    return min(classifier.training.batch_size, len(dataset.indices("train")))
