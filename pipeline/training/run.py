"""A prepared training run, tied to its folder: trains, and saves what it can be resumed from."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.activations import Array
from model.batches import Batch, BatchSource
from model.bound import FirstLayerBound
from model.edges.config import PretrainConfig
from model.storage.checkpoint import save_state
from model.training import EpochRecord, TrainingState, train
from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.files.names import escape
from pipeline.images.augment import AugmentConfig
from pipeline.ingestion.ingest import IngestReport
from pipeline.preprocess import Preprocessor
from pipeline.training.recipe import RunConfig
from pipeline.training.run_folder import bring_back

_SECONDS_BETWEEN_CHECKPOINTS = 5.0
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False, repr=False)
class TrainingRun:
    """A prepared run. All that changes is `state`; `pipeline.training.finish` evaluates and reports.

    Attributes
    ----------
    folder : Path
        Where the run writes.
    source : str
        The images, as the user named them.
    data_path : Path
        File of the data set.
    dataset : Dataset
        Open; to be closed by the caller.
    preprocessor : Preprocessor
        Fitted on the training images.
    augmentation : AugmentConfig
    pretraining : PretrainConfig
        Both resolved; the other configurations are in `state`.
    settings : RunConfig
        What the run started from, and what it uses of the machine; `threads` is a number.
    state : TrainingState
    train_source, validation_source : BatchSource
        Batches of both splits; there is no validation source without validation images.
    started_from : str
        Id of the model that is fine-tuned; empty if there is none.
    trained_before : ndarray of shape (k,), uint64
        Images that took part in the training of that model, as in `ImageClassifier.trained_on`.
    trial : dict of str to float
        Error of each augmentation that was tried, see `pipeline.training.augmentation_trial`.
    first_layer_before : ndarray of shape (n_1, n_x) or None
        W1 after pretraining, before the training with labels.
    ingested : IngestReport or None
        What became of the files, if they were read for this run.
    seconds : dict of str to float
        How long each phase of the preparation took, see `pipeline.training.phases`.
    """

    folder: Path
    source: str
    data_path: Path
    dataset: Dataset
    preprocessor: Preprocessor
    augmentation: AugmentConfig
    pretraining: PretrainConfig
    settings: RunConfig
    state: TrainingState
    train_source: BatchSource
    validation_source: BatchSource | None
    started_from: str
    trained_before: NDArray[np.uint64]
    trial: dict[str, float]
    first_layer_before: Array | None = None
    ingested: IngestReport | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        layers = "-".join(map(str, self.state.parameters.layer_dims))
        return (
            f"<TrainingRun {escape(self.folder)}: layers {layers}, {self.counts['train']} training images, "
            f"epoch {self.state.epoch} of {self.state.training.epochs}>"
        )

    @property
    def threads(self) -> int:
        """Threads of a matrix product."""
        return int(self.settings.threads)

    @property
    def counts(self) -> dict[str, int]:
        """Images in each split."""
        return {split: len(self.dataset.indices(split)) for split in _SPLITS}

    def epochs(self, *, before_batch: Callable[[], None] | None = None) -> Generator[EpochRecord, None, None]:
        """Train to the end, or until the caller stops; the checkpoint on disk is at most a few seconds old.

        Parameters
        ----------
        before_batch : callable, optional
            Called before each training batch. What it raises ends the training; the epoch under way is undone.

        Raises
        ------
        Diverged
            The checkpoint then holds the last good weights.
        """
        from threadpoolctl import ThreadpoolController

        source = _Watched(self.train_source, before_batch) if before_batch else self.train_source
        records = train(self.state, source, self.validation_source, self._bound())
        thread_pools = ThreadpoolController()
        written = -math.inf  # the first epoch is saved at once
        try:
            while True:
                with thread_pools.limit(limits=self.threads):  # not while the caller has its turn
                    record = next(records, None)
                if record is None:
                    break
                if time.monotonic() - written > _SECONDS_BETWEEN_CHECKPOINTS:
                    self.save_checkpoint()
                    written = time.monotonic()
                yield record
        finally:
            if self.state.epoch:
                self.save_checkpoint()

    def _bound(self) -> FirstLayerBound | None:
        """Return what keeps a pretrained layer 1 near its edges; None if nothing does."""
        if self.first_layer_before is None or not self.pretraining.largest_change:
            return None
        dtype = self.state.training.dtype
        return FirstLayerBound.around(self.first_layer_before, self.pretraining.largest_change, dtype)

    def save_checkpoint(self) -> None:
        """Write checkpoint.h5, from which `pipeline.training.resume.resume` continues exactly."""
        extra = {
            "source": self.source,
            "data": str(self.data_path.resolve()),
            "fingerprint": self.dataset.fingerprint,
            "geometry": asdict(self.preprocessor.geometry),
            "contrast": self.preprocessor.contrast,
            "scale": self.preprocessor.scale,
            "augmentation": asdict(self.augmentation),
            "pretraining": asdict(self.pretraining),
            "settings": asdict(self.settings),
            "trial": self.trial,
            "started_from": self.started_from,
            "seconds": self.seconds,
        }
        arrays: dict[str, np.ndarray] = {"trained_before": self.trained_before}
        if self.preprocessor.shift is not None:
            arrays["shift"] = self.preprocessor.shift[:, 0]
        if self.first_layer_before is not None:
            arrays["first_layer_before"] = self.first_layer_before
        save_state(self.state, self.folder / "checkpoint.h5", extra, arrays)

    def classifier(self) -> ImageClassifier:
        """Return the classifier with the weights to keep so far."""
        return ImageClassifier.from_state(self.state, self.preprocessor, self.dataset.classes, self.pretraining)

    def discard(self) -> None:
        """Take back a run that has not finished an epoch: its files are removed, and the run it replaces comes back."""
        self.dataset.close()
        bring_back(self.folder)
        with contextlib.suppress(OSError):  # not empty: there are files of the user
            self.folder.rmdir()


class _Watched:
    """A batch source that calls a function before each batch."""

    def __init__(self, source: BatchSource, before_batch: Callable[[], None]) -> None:
        self._source, self._before_batch = source, before_batch
        self.n_x, self.labels = source.n_x, source.labels

    def batches(self, batch_size: int, order: Sequence[int] | None) -> Iterator[Batch]:
        for batch in self._source.batches(batch_size, order):
            self._before_batch()
            yield batch
