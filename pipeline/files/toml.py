"""Configuration files: sections of settings, as TOML."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pipeline.errors import InputError

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
