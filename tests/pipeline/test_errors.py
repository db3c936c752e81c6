"""Errors meant for the user say what to do."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

from pipeline.errors import USER_ERRORS, MissingExtra
from pipeline.invocation import install_command

ROOT = Path(__file__).parents[2]


def test_a_missing_library_says_what_to_install():
    error = MissingExtra("Reading HEIC", "heic")
    assert str(error) == f"Reading HEIC needs an optional library: run  {install_command('heic')}"
    assert isinstance(error, USER_ERRORS)


def test_every_extra_that_an_error_names_can_be_installed():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        node.args[1].value
        for path in (ROOT / "pipeline").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "MissingExtra"
    }
    assert {"heic", "parquet"} <= named <= extras.keys()
