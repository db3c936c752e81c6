"""The same training as a command line and as a Python program."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipeline.data.config import DataConfig
from pipeline.invocation import command_line
from pipeline.settings import CONFIGURATIONS, all_settings
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import run_name


def export_command(source: str, texts: Mapping[str, str]) -> str:
    """Return the command line that trains the same network."""
    flags = [flag for name, setting in all_settings().items() for flag in setting.flags(texts.get(name, ""))]
    return command_line("train", source, *flags)


def export_python(source: str, recipe: Recipe, data: DataConfig | None = None) -> str:
    """Return a Python program that trains the same network."""
    imports = {"from pipeline.training.finish import finish", "from pipeline.training.prepare import prepare"}
    arguments = [repr(source), repr("runs/" + run_name(source))]
    if data not in (None, DataConfig()):
        arguments.append(f"data={_constructor(data, imports)}")
    parts = [getattr(recipe, section) for section in CONFIGURATIONS]
    changed = [
        f"        {section}={_constructor(config, imports)},\n"
        for section, config in zip(CONFIGURATIONS, parts, strict=True)
        if config != type(config)()
    ]
    if changed:
        imports.add(f"from {Recipe.__module__} import {Recipe.__name__}")
        arguments.append(f"recipe=Recipe(\n{''.join(changed)}    )")
    return (
        "\n".join(sorted(imports)) + "\n\n"
        "run = prepare(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")\n"
        "with run.dataset:\n"
        "    for record in run.epochs():\n"
        '        print(f"epoch {record.epoch}: validation {record.validation_accuracy:.1%}")\n'
        "    result = finish(run)\n"
        'print(f"{result.evaluated_on}: {result.scores[result.evaluated_on].accuracy:.1%}")\n'
    )


def _constructor(config: Any, imports: set[str]) -> str:
    """Return the call that makes a configuration, and add the import that it needs."""
    kind = type(config)
    imports.add(f"from {kind.__module__} import {kind.__name__}")
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(kind)}
    changed = [f"{name}={value!r}" for name, value in values.items() if value != getattr(kind(), name)]
    return f"{kind.__name__}({', '.join(changed)})"
