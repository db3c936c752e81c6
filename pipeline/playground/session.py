"""Training by hand: pictures to choose from, settings as words, what they come to, and the same as a command and code.

A setting is a word, as on the command line: every widget, a link and a command say the same, and are read by the same
flags. Nothing here knows of a page; `pipeline.training.background` trains.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import os
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from model.config import ConfigError, NetworkConfig, TrainingConfig, resolve
from model.parameters import LedgerRow, Parameters, shape_ledger
from pipeline.data.config import DataConfig, Geometry
from pipeline.data.dataset import Dataset, is_dataset
from pipeline.errors import InputError
from pipeline.evaluation.calibrate import calibrated
from pipeline.files.walk import reason_to_ignore_name
from pipeline.images.augment import AugmentConfig, resolve_augmentation
from pipeline.images.decode import PictureError
from pipeline.ingestion.ingest import ingest
from pipeline.ingestion.report import IngestReport
from pipeline.settings import add_flags
from pipeline.sources.source import Sample, Source, arrange, check_class_names
from pipeline.training.prepare import Recipe, prepare
from pipeline.training.pretrain import resolve_pretraining
from pipeline.training.run import TrainingRun
from pipeline.training.run_folder import making

MOST_PARAMETERS = 20_000_000  # a training holds about six numbers for each: 0.5 GB
_SECTIONS: dict[str, type] = {"network": NetworkConfig, "training": TrainingConfig, "augmentation": AugmentConfig}
_PICTURES = "pictures"  # the section of how pictures are read: two fields of DataConfig
_OF_PICTURES = ("size", "color")
_ON, _OFF, _NONE = "on", "off", "none"
_LABELS = {"hidden": "Hidden layers", "augment": "Augmentation", "l2": "L2 penalty", "size": "Size, pixels"}


# Pictures


@dataclass(frozen=True)
class Pictures:
    """A data set to train on.

    Attributes
    ----------
    source : str
        What it is called on the command line.
    data : Path
        Its file.
    geometry : Geometry
    classes : tuple of str
    counts : dict of str to int
        Labelled pictures in each split.
    report : IngestReport or None
        What became of the files, where they were just read.
    """

    source: str
    data: Path
    geometry: Geometry
    classes: tuple[str, ...]
    counts: dict[str, int]
    report: IngestReport | None = None


def find_sources(data: str | Path, runs: str | Path) -> list[str]:
    """Return what can be trained on in the folders of data and runs, sorted: data sets, archives, folders."""
    found = []
    for folder, pattern in ((Path(data), "*"), (Path(runs), "*/data.h5")):
        try:
            paths = [path for path in folder.glob(pattern) if not path.relative_to(folder).parts[0].startswith(".")]
        except OSError:
            continue
        found += sorted(str(p) for p in paths if p.suffix.lower() in (".h5", ".hdf5", ".zip", ".npz") or p.is_dir())
    return found


def from_files(files: Iterable[tuple[str, bytes]], name: str) -> Source:
    """Return uploaded files, CLASS/... or ROOT/CLASS/... each, as a source of pictures that stays in memory.

    Raises
    ------
    InputError
        When no picture lies in a folder.
    """
    given = dict(files)
    kept = sorted(path for path in given if not any(map(reason_to_ignore_name, path.split("/"))))
    roots = {path.partition("/")[0] for path in kept}
    if len(roots) == 1 and all(path.count("/") > 1 for path in kept):
        prefix = f"{roots.pop()}/"
        given = {path.removeprefix(prefix): data for path, data in given.items()}
        kept = [path.removeprefix(prefix) for path in kept]
    if not any("/" in path for path in kept):
        raise InputError(f"{name}: needs one sub-folder of pictures for each class")
    samples, notes = arrange(kept, name)

    def read(sample: Sample) -> bytes:
        data = given[str(sample.key)]
        if not data:
            raise PictureError("empty_file", "is empty")
        return data

    passed = {"hidden or system": len(given) - len(kept)} if len(given) > len(kept) else {}
    source = Source("folder", name, samples, read, ignored=passed, notes=notes)
    check_class_names(source)
    return source


def read_pictures(source: str | Source, folder: Path, config: DataConfig | None = None) -> Pictures:
    """Read pictures into a data set in `folder`; one that is a data set already stays where, and as, it is.

    Raises
    ------
    InputError, ConfigError
        When there is nothing that can be trained on.
    """
    if isinstance(source, str) and is_dataset(source):
        data, report = Path(source), None
    else:
        data = folder / "data.h5"
        report = ingest(source, data, config, jobs=os.cpu_count() or 1)
    name = source.location if isinstance(source, Source) else source
    with Dataset.open(data) as dataset:
        counts = {split: len(dataset.indices(split)) for split in ("train", "validation", "test")}
        if not counts["train"] or len(dataset.classes) < 2:
            raise InputError(f"{name}: has no labelled training pictures of two classes or more; add some")
        return Pictures(name, data, dataset.geometry, dataset.classes, counts, report)


# Settings


@dataclass(frozen=True)
class Setting:
    """A field of a configuration, as a person sees it: a word out of `choices`, or free where there are none."""

    name: str
    section: str
    help: str
    default: str
    choices: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its name on a page."""
        return _LABELS.get(self.name) or self.name.replace("_", " ").capitalize()

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    def flags(self, word: str) -> list[str]:
        """Return what the command line needs for this setting to be `word`; nothing where that is its default."""
        word = word.strip()
        if word in ("", self.default):
            return []
        if word in (_ON, _OFF) and _ON in self.choices:
            return [self.flag if word == _ON else self.flag.replace("--", "--no-", 1)]
        if word == _NONE and not self.choices:
            word = ""
        return [f"{self.flag}={word}"] if word.startswith("-") else [self.flag, word]


@functools.cache
def settings() -> dict[str, Setting]:
    """Return all settings of network, training, augmentation and pictures by name, in the order of their fields."""
    found = {}
    for section, kind in (_SECTIONS | {_PICTURES: DataConfig}).items():
        hints = get_type_hints(kind)
        for field in dataclasses.fields(kind):
            if section == _PICTURES and field.name not in _OF_PICTURES:
                continue
            choices = field.metadata["choices"]
            if bool in (hints[field.name], *get_args(hints[field.name])):
                choices = ("auto", _ON, _OFF) if field.default == "auto" else (_ON, _OFF)
            found[field.name] = Setting(
                field.name, section, field.metadata["help"], _word(field.default), tuple(choices)
            )
    return found


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return _ON if value else _OFF
    if isinstance(value, tuple):
        return ",".join(map(_word, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@functools.cache
def _parser(section: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(exit_on_error=False, add_help=False, allow_abbrev=False)
    add_flags(parser, (_SECTIONS | {_PICTURES: DataConfig})[section], section)
    return parser


def read_settings(words: Mapping[str, str]) -> tuple[Recipe, dict[str, str]]:
    """Read settings as the command line does.

    Parameters
    ----------
    words : mapping of str to str
        By name; those left out have their defaults.

    Returns
    -------
    recipe : Recipe
    problems : dict of str to str
        By setting, one sentence; a setting with a problem has its default in the recipe.
    """
    configs, problems = _read(words, _SECTIONS)
    return Recipe(*configs), problems


def read_picture_settings(words: Mapping[str, str]) -> tuple[DataConfig, dict[str, str]]:
    """Read the settings of how pictures are read, as `read_settings` reads the others."""
    (config,), problems = _read(words, {_PICTURES: DataConfig})
    return config, problems


def _read(words: Mapping[str, str], sections: Mapping[str, type]) -> tuple[list[Any], dict[str, str]]:
    values: dict[str, dict[str, Any]] = {section: {} for section in sections}
    problems = {}
    for name, setting in settings().items():
        flags = setting.flags(words.get(name, "")) if setting.section in sections else []
        if not flags:
            continue
        try:
            value = vars(_parser(setting.section).parse_args(["=".join(flags)]))
            sections[setting.section](**value)
            values[setting.section] |= value
        except argparse.ArgumentError as error:
            problems[name] = _sentence(name, error.message)
        except ConfigError as error:
            problems[name] = _sentence(name, str(error))
    return [kind(**values[section]) for section, kind in sections.items()], problems


# How a message speaks of a setting: by its flag, by a name that is no word, or by one after "set", "give" or "raise".
_NAMED = re.compile(r"--([a-z0-9-]+)|\b([a-z0-9]+(?:_[a-z0-9]+)+)\b|(?<=\bset )(\w+)|(?<=\b(?:give|turn) )(\w+)")


def _sentence(name: str, message: str) -> str:
    """Return a message in a page's words: without the setting's name, which stands beside it, others by their label."""

    def label(match: re.Match[str]) -> str:
        named = next(filter(None, match.groups())).replace("-", "_")
        return f"“{settings()[named].label}”" if named in settings() else match[0]

    text = _NAMED.sub(label, message.removeprefix(f"{name}: ")).strip().rstrip(".")
    return text[:1].upper() + text[1:] + "."


# What they come to


@dataclass(frozen=True)
class Plan:
    """What settings come to for pictures: nothing is "auto" any more."""

    network: NetworkConfig
    training: TrainingConfig
    augmentation: AugmentConfig
    ledger: list[LedgerRow]

    @property
    def n_parameters(self) -> int:
        """Numbers that are learned."""
        return sum(row.n_parameters for row in self.ledger)

    def words(self) -> dict[str, str]:
        """Return all settings as words."""
        values = {**vars(self.network), **vars(self.training), **vars(self.augmentation)}
        return {name: _word(value) or _NONE for name, value in values.items()}


def plan(recipe: Recipe, pictures: Pictures) -> Plan:
    """Resolve settings for pictures, and list the shapes of the network, without training anything.

    Raises
    ------
    ConfigError
        When they cannot work together, or the network is too large to be trained beside a page; the message begins
        with the setting's name.
    """
    m, n_classes = pictures.counts["train"], len(pictures.classes)
    if recipe.training.patience and not pictures.counts["validation"]:
        raise ConfigError("patience: early stopping needs validation pictures, and there are none; set it to 0")
    augmentation = resolve_augmentation(recipe.augmentation, m)
    training = resolve_pretraining(recipe.training, recipe.network, augmentation, pictures.geometry, None)
    network, training = resolve(recipe.network, training, n_x=pictures.geometry.n_x, m=m, n_classes=n_classes)
    dims = network.layer_dims(pictures.geometry.n_x, n_classes)
    size = sum((before + 1) * units for before, units in itertools.pairwise(dims))
    if size > MOST_PARAMETERS:
        raise ConfigError(
            f"hidden: the network has {size:,} parameters, more than the {MOST_PARAMETERS:,} that are trained here; "
            "give fewer units, or train it in a terminal"
        )
    ledger = shape_ledger(Parameters(dims, batch_norm=network.batch_norm is True), network)
    return Plan(network, training, augmentation, ledger)


def sentence_of(error: ConfigError) -> tuple[str, str]:
    """Return the setting that an error is about (empty where it names none), and what it says."""
    name = str(error).partition(":")[0]
    return (name, _sentence(name, str(error))) if name in settings() else ("", _sentence("", str(error)))


# The same outside


def command(source: str, words: Mapping[str, str]) -> str:
    """Return the command line that trains the same network."""
    flags = [flag for name, setting in settings().items() for flag in setting.flags(words.get(name, ""))]
    return shlex.join(["facette", "train", source, *flags])


def python_code(source: str, recipe: Recipe, data: DataConfig | None = None) -> str:
    """Return a Python program that trains the same network."""
    lines, imports = [], ["from pipeline.training.prepare import prepare"]
    configs = {"data": data or DataConfig()} | {section: getattr(recipe, section) for section in _SECTIONS}
    for section, config in configs.items():
        kind = type(config)
        given = {f.name: getattr(config, f.name) for f in dataclasses.fields(kind)}
        changed = [f"{name}={value!r}" for name, value in given.items() if value != getattr(kind(), name)]
        if changed:
            lines.append(f"    {section}={kind.__name__}({', '.join(changed)}),\n")
            imports.append(f"from {kind.__module__} import {kind.__name__}")
    return (
        "\n".join(sorted(imports)) + "\n\n"
        f"run = prepare(\n    {source!r},\n    {'runs/' + run_name(source)!r},\n{''.join(lines)})\n"
        "with run.dataset:\n"
        "    for record in run.epochs():\n"
        '        print(f"epoch {record.epoch}: validation {record.validation_accuracy:.1%}")\n'
        "    result = run.finish()\n"
        'print(f"{result.judged_on}: {result.scores[result.judged_on].accuracy:.1%}")\n'
    )


def run_name(source: str) -> str:
    """Return a name for a run on this source."""
    path = Path(source)
    return (path.parent.name if path.name == "data.h5" else path.stem).lstrip(".") or "run"


# Training, and keeping what comes out


def begin(pictures: Pictures, recipe: Recipe, folder: Path) -> TrainingRun:
    """Prepare a run in a folder that is there for the session only.

    Raises
    ------
    InputError, ConfigError
    """
    run = prepare(pictures.data, folder, recipe=recipe)
    run.source = pictures.source
    return run


def keep(run: TrainingRun, folder: Path) -> Path:
    """Finish a run in a folder of its own as `facette train` does, and return the model; the run can go on after.

    A data set that is only there for the session is copied along.

    Raises
    ------
    InputError
        When the folder holds a run, or cannot be written.
    """
    with making(folder, overwrite=False):
        data = run.data_path
        if str(data) != run.source:
            data = Path(shutil.copyfile(data, folder / "data.h5"))
        kept = dataclasses.replace(run, folder=folder, data_path=data)
        kept.write_config()
        kept.save_checkpoint()
        kept.finish()
    return folder / "model.h5"


def model_file(run: TrainingRun) -> bytes:
    """Return the weights to keep so far as the bytes of a model file."""
    run.save_model(classifier=calibrated(run.classifier(), run.dataset))
    return (run.folder / "model.h5").read_bytes()
