"""How this program was started: the commands in its messages can be pasted into the same shell.

A message that says "facette app" is of no use to somebody who typed ``.venv/bin/facette``, and one that names an extra
of a package that is in no registry cannot be followed. Both are made here, and nowhere else.
"""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

_NAME = "facette"
_ROOT = Path(__file__).resolve().parents[1]  # the clone, or the folder of installed packages


def command_line(*words: object) -> str:
    """Return a command of Facette as the user can type it here, quoted: ``.venv/bin/facette train 'my photos'``."""
    return _quoted([*_program(), *map(str, words)])


def install_command(extra: str) -> str:
    """Return a command that installs the libraries of an extra into the environment of this process.

    In a clone it names the clone. Elsewhere it names the libraries themselves: the name of the package may mean nothing
    to a registry, or something else.
    """
    pip = [*_python(), "-m", "pip", "install"]
    if _is_clone(_ROOT):
        return _quoted([*pip, f"{'.' if _here() == _ROOT else _ROOT}[{extra}]"])
    return _quoted([*pip, *_requirements(extra)])


def _program() -> list[str]:
    script = _script()
    if script is None:
        return [*_python(), "-m", "pipeline.cli"]
    on_path = shutil.which(_NAME)
    return [_NAME] if on_path and Path(on_path).samefile(script) else [script]


def _script() -> str | None:
    """Return the path of the script ``facette``: the one that was started, else the one beside the interpreter."""
    started = Path(sys.argv[0])
    if started.stem == _NAME and started.is_file():
        return sys.argv[0] if os.path.dirname(sys.argv[0]) else os.path.join(".", sys.argv[0])  # noqa: PTH118, PTH120
    beside = Path(sys.executable).with_name(_NAME + (".exe" if os.name == "nt" else ""))
    return _from_here(beside) if beside.is_file() else None


def _python() -> list[str]:
    """Return how to start the interpreter of this process. A link is not followed: it tells environments apart."""
    for name in ("python", "python3"):
        found = shutil.which(name)
        if found and Path(found).absolute() == Path(sys.executable).absolute():
            return [name]
    return [_from_here(Path(sys.executable))]


def _from_here(path: Path) -> str:
    """Return a path from the current folder if it lies in it."""
    here = _here()
    return str(path.relative_to(here) if here and path.is_relative_to(here) else path)


def _here() -> Path | None:
    """Return the current folder; None if it has been removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


def _is_clone(root: Path) -> bool:
    try:
        return f'name = "{_NAME}"' in (root / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False


@functools.cache
def _requirements(extra: str) -> tuple[str, ...]:
    """Return the requirements of an extra, as the package states them."""
    from importlib.metadata import requires

    stated = (line.partition(";") for line in requires(_NAME) or ())
    return tuple(
        needed.strip() for needed, _, marker in stated if marker.strip().replace("'", '"') == f'extra == "{extra}"'
    )


def _quoted(words: Sequence[str]) -> str:
    if os.name != "nt":
        return shlex.join(words)
    from subprocess import list2cmdline

    return list2cmdline(words)
