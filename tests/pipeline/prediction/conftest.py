"""Predictions from the command line, in a folder of the test's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.cli.main import main


@pytest.fixture(autouse=True)
def in_own_folder(own_folder):
    """Keep what predictions write out of the folder that the tests were started in."""


@pytest.fixture
def photos(faces, own_folder):
    """Five images in each of two class folders, below the current folder, which a test may change."""
    for kind in ("face", "other"):
        Path("photos", kind).mkdir(parents=True)
        for path in sorted((faces / kind).iterdir())[:5]:
            shutil.copy(path, Path("photos", kind))
    return Path("photos")


@pytest.fixture
def predict(capsys):
    """Return a function that runs ``facette predict``, and returns its exit code and what it wrote."""

    def run(*words):
        code = main(["predict", *map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def classified_now(predict):
    """Return a function that returns how many rows a run classified itself, and how many it ended with."""

    def run(*words):
        code, out, _ = predict(*words, "--json")
        found = json.loads(out)
        assert code == (3 if found["error"] else 0)
        return found["classified_now"], found["files"]

    return run


@pytest.fixture
def stopped(predict, monkeypatch):
    """Return a function that runs a prediction whose last step fails, as on a full disk."""

    def full(*_):
        raise OSError(28, "No space left on device")

    def run(*words):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", full)
            code, _, err = predict(*words)
        assert code == 1
        assert "No space left" in err

    return run
