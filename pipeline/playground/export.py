"""The same training as a command line and as a Python program."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path

from pipeline.data.config import DataConfig
from pipeline.settings import CONFIGURATIONS, all_settings
from pipeline.training.recipe import Recipe


def export_command(source: str, texts: Mapping[str, str]) -> str:
    """Return the command line that trains the same network."""
    flags = [flag for name, setting in all_settings().items() for flag in setting.flags(texts.get(name, ""))]
    return shlex.join(["facette", "train", source, *flags])


def export_python(source: str, recipe: Recipe, data: DataConfig | None = None) -> str:
    """Return a Python program that trains the same network."""
    lines, imports = [], ["from pipeline.training.prepare import prepare"]
    configs = {"data": data or DataConfig()} | {section: getattr(recipe, section) for section in CONFIGURATIONS}
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
        'print(f"{result.evaluated_on}: {result.scores[result.evaluated_on].accuracy:.1%}")\n'
    )


def run_name(source: str) -> str:
    """Return a name for a run on this source."""
    path = Path(source)
    return (path.parent.name if path.name == "data.h5" else path.stem).lstrip(".") or "run"
