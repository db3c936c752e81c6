"""From images to a prepared run, which trains when its epochs are taken.

    run = prepare("photos/", "runs/first")
    with run.dataset:
        for record in run.epochs():
            print(record.epoch, record.validation_accuracy)
        result = finish(run)

A run folder holds model.h5 (the classifier), checkpoint.h5 (to resume from), config.toml, history.csv, metrics.json,
report.html and filters.png; data.h5 too, unless the images came from a data set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from model.training import start
from pipeline.classifier import ImageClassifier
from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset, is_dataset
from pipeline.errors import InputError
from pipeline.files.toml import write_toml
from pipeline.images.geometry import Geometry
from pipeline.ingestion.ingest import IngestOptions, IngestReport, ingest
from pipeline.preprocess import Preprocessor
from pipeline.sources.open import open_source
from pipeline.training.augmentation_trial import try_augmentations
from pipeline.training.batches import batch_sources
from pipeline.training.named_settings import with_settings
from pipeline.training.phases import Phase, Stopwatch, Watch
from pipeline.training.pretrain import pretrain_layers
from pipeline.training.recipe import DataFacts, Recipe, fine_tuning, resolve_recipe
from pipeline.training.run import TrainingRun
from pipeline.training.run_folder import making
from pipeline.training.timing import fastest_threads
from pipeline.workers import Threads


def prepare(
    source: str | Path,
    folder: str | Path,
    *,
    data: DataConfig | None = None,
    recipe: Recipe | None = None,
    overwrite: bool = False,
    jobs: int = 1,
    progress: Callable[..., Any] | None = None,
    watch: Watch | None = None,
    **settings: Any,
) -> TrainingRun:
    """Read the images, fit the preprocessing and initialise the network.

    Parameters
    ----------
    source : str or Path
        Anything that `pipeline.sources.open` can open, or a data set made by `pipeline.ingestion.ingest`.
    folder : str or Path
        The run folder to make.
    data : DataConfig, optional
        How images are read and split.
    recipe : Recipe, optional
        How the network is made and trained. With `recipe.run.start_from`, a model is fine-tuned: its image size, its
        classes and its layers are kept, and only the dropout of `recipe.network` counts. Its batch normalisation is
        folded into its weights, and the moments of its optimiser are gone.
    overwrite : bool
        Replace a run in the folder; that run stays if this one cannot be prepared.
    jobs, progress
        As in `pipeline.ingestion.ingest.ingest`.
    watch : callable, optional
        Is told about each phase of the preparation, see `pipeline.training.phases`.
    **settings
        Fields of `data` or of a part of the recipe, by their names, such as ``epochs=20`` or ``size="48"``.

    Raises
    ------
    InputError, ConfigError
        When the source, the folder or the configuration cannot work; nothing is left behind.
    """
    folder, data_path = Path(folder), Path(source)
    recipe, data = with_settings(recipe or Recipe(), data, settings)
    for needed in (source, recipe.run.start_from, recipe.run.pretrain_on):
        if overwrite and needed and folder.resolve() in Path(needed).resolve().parents:
            raise InputError(f"{needed}: is in the run that is to be replaced; choose another name for the new run")
    initial = ImageClassifier.load(recipe.run.start_from) if recipe.run.start_from else None
    stopwatch = Stopwatch(watch)
    with making(folder, overwrite=overwrite):
        report = None
        if not is_dataset(data_path):
            data_path = folder / "data.h5"
            geometry = initial.geometry if initial else None
            with stopwatch(Phase.READING):
                report = _ingest(source, data_path, data, geometry, jobs, progress)
        dataset = Dataset.open(data_path)
        try:
            if report is None and data is not None:
                _check_unchanged(dataset, data, source)
            run = begin(
                dataset,
                folder,
                recipe,
                source=str(source),
                data_path=data_path,
                initial=initial,
                report=report,
                stopwatch=stopwatch,
            )
            write_config(run)
        except BaseException:
            dataset.close()
            raise
    return run


def begin(
    dataset: Dataset,
    folder: Path,
    recipe: Recipe,
    *,
    source: str,
    data_path: Path,
    initial: ImageClassifier | None = None,
    report: IngestReport | None = None,
    stopwatch: Stopwatch | None = None,
) -> TrainingRun:
    """Fit the preprocessing and initialise the network for an open data set; nothing is written.

    Parameters
    ----------
    dataset : Dataset
    folder : Path
        Where the run will write.
    recipe : Recipe
    source : str
        The images, as the user named them.
    data_path : Path
        File of the data set.
    initial : ImageClassifier, optional
        The model of `recipe.run.start_from`.
    report : IngestReport, optional
        What became of the files, if they were read for this run.
    stopwatch : Stopwatch, optional
        Measures the phases; it has measured the reading.

    Raises
    ------
    InputError, ConfigError
        When the data set, or the recipe for it, cannot work.
    """
    indices, geometry, n_classes = dataset.indices("train"), dataset.geometry, len(dataset.classes)
    if not len(indices):
        raise InputError(f"{source}: has no labelled training images; training needs some of two classes or more")
    if initial:
        _check_fits(initial, dataset, source)
        recipe = fine_tuning(recipe, initial)
    settings, seed, stopwatch = recipe.run, recipe.training.seed, stopwatch or Stopwatch()
    preprocessor = Preprocessor(geometry, recipe.pretraining.normalize_contrast).fitted(dataset.iterate(indices))
    with stopwatch(Phase.AUGMENTATION):
        trial = try_augmentations(recipe.augmentation, dataset, preprocessor, seed=seed, memory=settings.memory_bytes)
    resolved = resolve_recipe(recipe, DataFacts(len(indices), n_classes, geometry, trial.decision))
    state = start(
        resolved.network,
        resolved.training,
        n_x=geometry.n_x,
        m=len(indices),
        n_classes=n_classes,
        parameters=preprocessor.unfolded_from(initial.parameters) if initial else None,
    )
    train_source, validation_source = batch_sources(
        dataset, preprocessor, resolved.augmentation, state, settings.memory_bytes
    )
    first_layer = None
    if resolved.pretraining.is_on:
        photographs, augmented = settings.pretrain_on or None, resolved.augmentation.is_on
        with stopwatch(Phase.EDGES):
            first_layer = pretrain_layers(
                state, resolved.pretraining, dataset, preprocessor, train_source, photographs, augmented=augmented
            )
    with stopwatch(Phase.TIMING):
        threads = fastest_threads(state, train_source) if settings.threads == "auto" else settings.threads
    return TrainingRun(
        folder=folder,
        source=source,
        data_path=data_path,
        dataset=dataset,
        preprocessor=preprocessor,
        augmentation=resolved.augmentation,
        pretraining=resolved.pretraining,
        settings=replace(settings, threads=threads),
        state=state,
        train_source=train_source,
        validation_source=validation_source,
        trial=trial.errors,
        first_layer_before=first_layer,
        ingested=report,
        seconds=stopwatch.seconds,
        started_from=initial.model_id if initial else "",
        trained_before=initial.trained_on if initial else np.empty(0, np.uint64),
    )


def write_config(run: TrainingRun) -> None:
    """Write config.toml: the configuration with every "auto" resolved, in a form that `--config` reads."""
    names = {field.name for field in fields(DataConfig)}
    data = {name: value for name, value in run.dataset.config.items() if name in names}
    sections: dict[str, dict[str, Any]] = {
        "data": {**data, **run.preprocessor.geometry.settings()},
        "network": asdict(run.state.network),
        "training": asdict(run.state.training),
        "pretraining": asdict(run.pretraining),
        "augmentation": asdict(run.augmentation),
        "run": asdict(run.settings),
    }
    write_toml(sections, run.folder / "config.toml")


def _ingest(
    source: str | Path,
    data_path: Path,
    data: DataConfig | None,
    geometry: Geometry | None,
    jobs: int,
    progress: Callable[..., Any] | None,
) -> IngestReport:
    opened = open_source(source, data.group_by if data else "")
    if not any(sample.label for sample in opened.samples):
        raise InputError(f"{opened.location}: has no classes; it needs two or more, with one folder of images for each")
    return ingest(opened, data_path, data, IngestOptions(geometry), workers=Threads(jobs), progress=progress)


def _check_unchanged(dataset: Dataset, data: DataConfig, source: str | Path) -> None:
    """Refuse settings of how images are read and split that differ from those that the data set was made with."""
    used = {**dataset.config, **dataset.geometry.settings()}
    asked = [
        f"{field.name}={getattr(data, field.name)}"
        for field in fields(DataConfig)
        if getattr(data, field.name) not in (field.default, used.get(field.name))
    ]
    if asked:
        raise InputError(
            f"{source}: is a data set, which is read and split already; leave out "
            f"{', '.join(asked)}, or ingest the images again"
        )


def _check_fits(initial: ImageClassifier, dataset: Dataset, source: str) -> None:
    """Refuse to fine-tune a model on other classes, or on images of another shape."""
    if dataset.classes != initial.classes:
        raise InputError(
            f"{source}: has the classes {', '.join(dataset.classes)}; the model to start from knows "
            f"{', '.join(initial.classes)}, and these cannot change"
        )
    if dataset.geometry != initial.geometry:
        raise InputError(
            f"{source}: its images are {dataset.geometry.to_json()}, the model to start from takes "
            f"{initial.geometry.to_json()}; give the folder of images instead"
        )
