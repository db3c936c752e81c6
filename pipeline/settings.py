"""Command-line flags made from the fields of the configuration dataclasses, so that each is written down once."""

from __future__ import annotations

import argparse
import dataclasses
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from model.config import ConfigError
from pipeline.errors import InputError

Config = TypeVar("Config")


def add_flags(parser: argparse.ArgumentParser, kind: type, title: str) -> None:
    """Add one ``--flag`` per field of a configuration dataclass; a flag not given leaves no trace in the result."""
    group = parser.add_argument_group(title)
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        default = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
        words = f"{field.metadata['help']} (default: {default if default != '' else 'none'})".replace("%", "%%")
        options: dict[str, Any] = {"dest": field.name, "default": argparse.SUPPRESS, "help": words}
        if bool in (hint, *get_args(hint)):
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["type"] = _reader(hint)
            options["metavar"] = "|".join(field.metadata["choices"]) or field.name.rpartition("_")[2].upper()
        group.add_argument(f"--{field.name.replace('_', '-')}", **options)


def _reader(hint: Any) -> Callable[[str], Any]:
    """Return the function that turns a flag's text into the value of a field with this type hint."""
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
    """Build a configuration from values of a file (`stored`), overridden by the flags given.

    Raises
    ------
    InputError
        When a stored name is unknown or a value does not work.
    """
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(stored) - set(names))
    if unknown:
        raise InputError(f"configuration: {', '.join(unknown)} is unknown; valid names are {', '.join(names)}")
    given = {name: value for name, value in vars(arguments).items() if name in names}
    try:
        return kind(**{**stored, **given})
    except ConfigError as error:
        raise InputError(str(error)) from None


SECTIONS = ("data", "network", "training", "augmentation", "run")


def read_toml(path: str | Path) -> dict[str, dict[str, Any]]:
    """Read the sections of a configuration file such as a run's config.toml.

    Raises
    ------
    InputError
        When it is missing or not TOML.
    """
    try:
        with Path(path).open("rb") as file:
            sections = tomllib.load(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file ({error})") from None
    unknown = [name for name, section in sections.items() if name not in SECTIONS or not isinstance(section, dict)]
    if unknown:
        raise InputError(f"{path}: {', '.join(unknown)} is unknown; the sections are {', '.join(SECTIONS)}")
    return {
        name: {key: tuple(value) if isinstance(value, list) else value for key, value in section.items()}
        for name, section in sections.items()
    }


def to_toml(sections: dict[str, dict[str, Any]]) -> str:
    """Write sections of text, numbers, booleans and tuples of numbers as TOML."""
    lines = []
    for name, section in sections.items():
        lines += [f"[{name}]", *(f"{key} = {_toml_value(value)}" for key, value in section.items()), ""]
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return repr(value)
