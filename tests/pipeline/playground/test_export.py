"""The command and the program that the Playground shows train the same network."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from pipeline.classifier import ImageClassifier
from pipeline.cli.main import main
from pipeline.data.config import DataConfig
from pipeline.invocation import command_line
from pipeline.playground.export import export_command, export_python
from pipeline.settings import read_settings

TEXTS = {"hidden": "8", "epochs": "1", "augment": "none", "normalize_contrast": "on"}


@pytest.mark.slow
def test_command_and_program_train_the_same_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe, problems = read_settings(TEXTS)
    assert not problems

    command = export_command("faces", TEXTS)
    words = ["train", "faces", "--hidden", "8", "--epochs", "1", "--normalize-contrast", "--augment", "none"]
    assert command == command_line(*words)
    assert main([*words, "--name", "command"]) == 0
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(export_python("faces", recipe), {})

    models = [ImageClassifier.load(tmp_path / "runs" / name) for name in ("command", "faces")]
    np.testing.assert_array_equal(models[0].parameters.flat, models[1].parameters.flat)
    assert f"test: {models[1].provenance['accuracy']['test']:.1%}" in said.getvalue()


def test_the_program_names_only_what_differs_from_the_defaults():
    program = export_python("digits", read_settings({})[0], DataConfig())
    assert "Config" not in program
    assert "recipe" not in program
    assert "data=DataConfig(size='10')," in export_python("digits", read_settings({})[0], DataConfig(size="10"))
