"""Settings by their names alone, as Python's keyword arguments: ``epochs=20, size="48"``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any

from pipeline.data.config import DataConfig
from pipeline.errors import InputError
from pipeline.training.recipe import Recipe


def with_settings(
    recipe: Recipe, data: DataConfig | None, settings: Mapping[str, Any]
) -> tuple[Recipe, DataConfig | None]:
    """Return a recipe and how images are read, with some settings changed.

    Parameters
    ----------
    recipe : Recipe
    data : DataConfig or None
        None: as by default, or as a data set was made; it stays None if no setting is about images.
    settings : mapping
        Names of fields of `DataConfig` or of a part of `Recipe`, and their values. A list counts as a tuple.

    Raises
    ------
    InputError
        If there is no such setting.
    ConfigError
        If a value does not work.
    """
    parts: dict[str, Any] = {part.name: getattr(recipe, part.name) for part in fields(recipe)}
    parts["data"] = data or DataConfig()
    homes = {field.name: part for part, config in parts.items() for field in fields(config)}
    changes: dict[str, dict[str, Any]] = {part: {} for part in parts}
    for name, value in settings.items():
        if name not in homes:
            raise InputError(_no_setting(name, [*homes]))
        changes[homes[name]][name] = tuple(value) if isinstance(value, list) else value
    parts = {part: replace(config, **changes[part]) for part, config in parts.items()}
    read = parts.pop("data")
    return Recipe(**parts), read if changes["data"] else data


def _no_setting(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    meant = f"; did you mean {close[0]}?" if close else f"; the settings are {', '.join(sorted(known))}"
    return f"there is no setting {name!r}{meant}"
