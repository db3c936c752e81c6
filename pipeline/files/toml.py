"""Configuration files: sections of settings, as TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.storage.atomic import replacing
from pipeline.errors import InputError
from pipeline.files.names import PERCENT_ESCAPE

SECTIONS = ("data", "network", "training", "pretraining", "augmentation", "run")


def read_toml(path: str | Path) -> dict[str, dict[str, Any]]:
    """Read the sections of a configuration file such as a run's config.toml.

    Raises
    ------
    InputError
        If the file is missing, is not TOML, or has an unknown section.
    """
    try:
        with Path(path).open("rb") as file:
            sections = tomllib.load(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # a number of too many digits, or lists in lists without end, too
        raise InputError(f"{path}: not a TOML file ({error})") from None
    unknown = [name for name, section in sections.items() if name not in SECTIONS or not isinstance(section, dict)]
    if unknown:
        raise InputError(f"{path}: unknown: {', '.join(unknown)}; the sections are {', '.join(SECTIONS)}")
    return {
        name: {key: tuple(value) if isinstance(value, list) else value for key, value in section.items()}
        for name, section in sections.items()
    }


def write_toml(sections: Mapping[str, Mapping[str, Any]], path: str | Path) -> None:
    """Write sections of text, numbers, booleans and tuples of numbers; the file appears whole or not at all.

    A path that is not UTF-8, which TOML cannot hold, is written as `pipeline.files.names.escape` writes it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    import tomli_w

    text = tomli_w.dumps(sections)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors=PERCENT_ESCAPE)
