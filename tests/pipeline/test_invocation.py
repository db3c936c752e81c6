"""The commands in messages work in the shell that started the program."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import invocation
from pipeline.invocation import command_line, install_command

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Make a script `bin/facette` that is on no path, as in a virtual environment that is not activated."""
    path = tmp_path / "bin" / "facette"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.defpath)
    return path


def test_a_command_names_the_program_as_it_was_typed(script, monkeypatch):
    for typed in ("bin/facette", str(script)):
        monkeypatch.setattr(sys, "argv", [typed, "demo"])
        assert command_line("app", "runs/my run/model.h5") == f"{typed} app 'runs/my run/model.h5'"


def test_the_name_is_enough_if_the_shell_finds_the_same_program(script, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.setenv("PATH", str(script.parent))
    assert command_line("app") == "facette app"

    other = script.parents[1] / "other"
    shutil.copytree(script.parent, other)
    monkeypatch.setenv("PATH", str(other))
    assert command_line("app") == f"{script} app"


def test_a_module_that_was_started_by_python_names_the_script_of_its_environment(script, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(ROOT / "pipeline" / "train.py")])
    monkeypatch.setattr(sys, "executable", str(script.with_name("python3")))
    assert command_line("app") == "bin/facette app"
    script.unlink()
    assert command_line("app") == "bin/python3 -m pipeline.cli app"


def test_a_folder_that_is_gone_does_not_matter(script, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(script)])
    gone = script.parents[1] / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert command_line("app") == f"{script} app"
    assert "pip install" in install_command("app")


def test_the_command_that_is_printed_can_be_run():
    printed = "from pipeline.invocation import command_line; print(command_line('--version'))"
    command = subprocess.run([sys.executable, "-c", printed], capture_output=True, text=True, check=True, cwd=ROOT)
    words = shlex.split(command.stdout)
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
    assert re.fullmatch(r"facette \d.*\n", done.stdout)


def test_in_a_clone_an_extra_is_installed_from_it(script, monkeypatch):
    assert install_command("app").endswith(f"-m pip install '{ROOT}[app]'")
    monkeypatch.chdir(ROOT)
    assert install_command("app").endswith("-m pip install '.[app]'")


def test_elsewhere_the_libraries_themselves_are_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(invocation, "_ROOT", tmp_path)
    assert re.search(r"-m pip install 'streamlit>=[\d.]+'$", install_command("app"))
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n')  # other packages leave such a file there
    assert "streamlit" in install_command("app")


def test_an_extra_is_installed_by_the_interpreter_that_lacks_it(script, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(script.with_name("python3")))
    assert install_command("app").startswith("bin/python3 -m pip ")
    monkeypatch.setenv("PATH", str(script.parent))
    script.with_name("python3").write_text("#!/bin/sh\n")
    script.with_name("python3").chmod(0o755)
    assert install_command("app").startswith("python3 -m pip ")
