"""What the README says works as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pipeline.cli.main import COMMANDS, parse

README = (Path(__file__).parents[2] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.slow
def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("python")
    exec(compile(example, "README.md", "exec"), {})

    out = capsys.readouterr().out
    assert float(re.search(r"test accuracy ([\d.]+)", out)[1]) > 0.85
    assert "'face'" in out


def test_every_command_line_is_understood():
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("facette ")]
    lines += re.findall(r"`(facette [a-z]+ [^`]*)`", README)
    assert len(lines) >= 8
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        if words[0] in COMMANDS:
            parse(words)  # exits on anything unknown


def test_every_file_it_points_to_exists():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (Path(__file__).parents[2] / target).exists(), target
