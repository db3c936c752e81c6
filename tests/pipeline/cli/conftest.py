"""The command line in a folder of its own."""

from __future__ import annotations

import os

import pytest

from pipeline.cli.main import main


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def facette(capsys):
    """Run a command; return its exit code, its standard output and its standard error."""

    def run(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def link_classes(faces):
    """Make a folder with a sub-folder of so many images for each class."""

    def make(path, **counts):
        for name, n in counts.items():
            (path / name).mkdir(parents=True)
            for i in range(n):
                os.link(faces / "face" / f"{i:04d}.png", path / name / f"{i}.png")

    return make
