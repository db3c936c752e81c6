"""Settings as text: command-line flags, and words on a page, made from the fields of the configuration dataclasses."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import PretrainConfig
from model.errors import ConfigError
from pipeline.data.config import DataConfig
from pipeline.errors import InputError
from pipeline.images.augment import AugmentConfig
from pipeline.invocation import command_line
from pipeline.text import value_text
from pipeline.training.recipe import Recipe, RunConfig

Config = TypeVar("Config")

# What stands for the value of a flag in the help: an example of it, or what kind of thing it is. A whole number is N,
# and a number with a default is shown by that.
_FORMS = {
    "start_from": "MODEL",
    "pretrain_on": "FOLDER",
    "group_by": "folder|COLUMN|PATTERN",
    "size": "64|48x64",
    "hidden": "128,64",
    "layer_rates": "0.3,1",
    "learning_rate": "0.001",
    "dropout": "0.3",
    "input_dropout": "0.1",
    "l2": "0.001",
    "clip_norm": "1",
    "average": "0.999",
    "label_smoothing": "0.1",
    "mixup": "0.2",
    "shift": "0.1",
    "rotate": "10",
    "zoom": "0.1",
    "shear": "0.1",
    "elastic": "0.03",
    "brightness": "0.1",
    "contrast": "0.2",
    "cutout": "0.25",
}


def add_flags(parser: argparse.ArgumentParser, kind: type, title: str) -> None:
    """Add one ``--flag`` for each field of a configuration dataclass; flags not given are absent from the result."""
    group = parser.add_argument_group(title)
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        default = value_text(field.default)
        texts = f"{field.metadata['help']} (default: {default or NONE})".replace("%", "%%")
        options: dict[str, Any] = {"dest": field.name, "default": argparse.SUPPRESS, "help": texts}
        if bool in (hint, *get_args(hint)):
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["type"] = _reader(hint)
            number = default if float in (hint, *get_args(hint)) else "N"
            options["metavar"] = "|".join(field.metadata["choices"]) or _FORMS.get(field.name, number)
        group.add_argument(_flag(field.name), **options)


def _reader(hint: Any) -> Callable[[str], Any]:
    """Return the function that turns the text of a flag into the value of a field with this type hint."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    many = next((kind for kind in kinds if get_origin(kind) is tuple), None)
    number = get_args(many)[0] if many else float if float in kinds else int
    or_auto = " or auto" if any(get_origin(kind) is Literal for kind in kinds) else ""

    def read(text: str) -> Any:
        if str in kinds or (or_auto and text == "auto"):
            return text
        try:
            return tuple(number(part) for part in text.split(",") if text) if many else number(text)
        except ValueError:
            example = "128,64" if many else "10" if number is int else "0.1"
            raise argparse.ArgumentTypeError(
                f"{text!r} does not work; give something like {example}{or_auto}"
            ) from None

    return read


def positive(text: str) -> int:
    """Read a whole number of 1 or more."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} does not work; give a whole number of 1 or more")
    return int(text)


def config_from_flags(kind: type[Config], arguments: argparse.Namespace, stored: dict[str, Any]) -> Config:
    """Build a configuration from the values of a file (`stored`) and the given flags, which override them.

    Raises
    ------
    InputError
        When a stored name is unknown.
    ConfigError
        When a value does not work.
    """
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(stored) - set(names))
    if unknown:
        raise InputError(f"configuration: {', '.join(unknown)} is unknown; valid names are {', '.join(names)}")
    given = {name: value for name, value in vars(arguments).items() if name in names}
    return kind(**{**stored, **given})


# The parts of a recipe that have flags of their own, in the order of the help text.
CONFIGURATIONS: dict[str, type] = {
    "network": NetworkConfig,
    "training": TrainingConfig,
    "pretraining": PretrainConfig,
    "augmentation": AugmentConfig,
}

_IMAGES_SECTION = "images"  # the section for reading images: two fields of DataConfig

_DATA_FIELDS = ("size", "color")

_ON, _OFF, NONE = "on", "off", "none"

_LABELS = {"hidden": "Hidden layers", "augment": "Augmentation", "l2": "L2 penalty", "size": "Size, pixels"}


@dataclass(frozen=True)
class Setting:
    """A field of a configuration as the user sees it: a word from `choices`, or free text if there are none."""

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
        return _flag(self.name)

    def flags(self, word: str) -> list[str]:
        """Return the flags that set this setting to `word`; none if that is its default."""
        word = word.strip()
        if word in ("", self.default):
            return []
        if word in (_ON, _OFF) and _ON in self.choices:
            return [self.flag if word == _ON else self.flag.replace("--", "--no-", 1)]
        if word == NONE and not self.choices:
            word = ""
        return [f"{self.flag}={word}"] if word.startswith("-") else [self.flag, word]


@functools.cache
def all_settings() -> dict[str, Setting]:
    """Return all settings by name, in the order of their sections and fields."""
    found = {}
    for section, kind in (CONFIGURATIONS | {_IMAGES_SECTION: DataConfig}).items():
        hints = get_type_hints(kind)
        for field in dataclasses.fields(kind):
            if section == _IMAGES_SECTION and field.name not in _DATA_FIELDS:
                continue
            choices = field.metadata["choices"]
            if bool in (hints[field.name], *get_args(hints[field.name])):
                choices = ("auto", _ON, _OFF) if field.default == "auto" else (_ON, _OFF)
            found[field.name] = Setting(
                field.name, section, field.metadata["help"], value_text(field.default), tuple(choices)
            )
    return found


@functools.cache
def _parser(section: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(exit_on_error=False, add_help=False, allow_abbrev=False)
    add_flags(parser, (CONFIGURATIONS | {_IMAGES_SECTION: DataConfig})[section], section)
    return parser


def read_settings(texts: Mapping[str, str]) -> tuple[Recipe, dict[str, str]]:
    """Read settings as the command line does.

    Parameters
    ----------
    texts : mapping of str to str
        By name; settings left out have their defaults.

    Returns
    -------
    recipe : Recipe
    problems : dict of str to str
        One sentence for each setting with a problem; it has its default in the recipe.
    """
    configs, problems = _read(texts, CONFIGURATIONS)
    return Recipe(**dict(zip(CONFIGURATIONS, configs, strict=True))), problems


def read_image_settings(texts: Mapping[str, str]) -> tuple[DataConfig, dict[str, str]]:
    """Read the settings for reading images, as `read_settings` reads the others."""
    (config,), problems = _read(texts, {_IMAGES_SECTION: DataConfig})
    return config, problems


def _read(texts: Mapping[str, str], sections: Mapping[str, type]) -> tuple[list[Any], dict[str, str]]:
    values: dict[str, dict[str, Any]] = {section: {} for section in sections}
    problems = {}
    for name, setting in all_settings().items():
        flags = setting.flags(texts.get(name, "")) if setting.section in sections else []
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


# How a message names a setting: by its flag, by a name with an underscore, or by a word after "set", "give" or "turn".
_NAMED = re.compile(r"--([a-z0-9-]+)|\b([a-z0-9]+(?:_[a-z0-9]+)+)\b|(?<=\bset )(\w+)|(?<=\b(?:give|turn) )(\w+)")


def _sentence(name: str, message: str) -> str:
    """Return a message for a page: without the name of its setting, and with the labels of other settings."""

    def label(match: re.Match[str]) -> str:
        named = next(filter(None, match.groups())).replace("-", "_")
        return f"“{all_settings()[named].label}”" if named in all_settings() else match[0]

    text = _NAMED.sub(label, message.removeprefix(f"{name}: ")).strip().rstrip(".")
    return text[:1].upper() + text[1:] + "."


def with_flags(message: str) -> str:
    """Return a message for the command line: a setting that it names by its field is named by its flag."""
    names = _field_names()
    first, colon, rest = message.partition(": ")
    if colon and first in names:
        return f"{_flag(first)}: {with_flags(rest)}"
    return re.sub(r"(?<![\w./-])[a-z0-9]+(?:_[a-z0-9]+)+(?![\w./-])",
                  lambda found: _flag(found[0]) if found[0] in names else found[0], message)  # fmt: skip


_SWITCHES = ("overwrite", "append")  # of commands, beside the settings


def with_words_of_the_shell(message: str) -> str:
    """Return a message in which ``overwrite=True`` and ``facette.resume("a")`` are as they are typed in a shell."""
    names = "|".join(sorted({*_SWITCHES, *_field_names()}, key=len, reverse=True))
    message = re.sub(rf"(?<![\w.])({names})=True\b", lambda found: _flag(found[1]), message)
    message = re.sub(rf"(?<![\w.])({names})=(?=\S)", lambda found: f"{_flag(found[1])} ", message)
    return re.sub(
        r"facette\.resume\((['\"])(.*)\1\)", lambda found: f" {command_line('train', '--resume', found[2])} ", message
    )


def _field_names() -> set[str]:
    kinds = (RunConfig, DataConfig, *CONFIGURATIONS.values())
    return {field.name for kind in kinds for field in dataclasses.fields(kind)}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def explain_error(error: ConfigError) -> tuple[str, str]:
    """Return the setting that an error is about (empty if it names none), and its message."""
    name = str(error).partition(":")[0]
    return (name, _sentence(name, str(error))) if name in all_settings() else ("", _sentence("", str(error)))
