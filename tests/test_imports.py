"""What the contracts of import-linter in pyproject.toml cannot say: what is loaded, printed, changed and named."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from model.config import NetworkConfig, TrainingConfig
from model.parameters import initialize
from pipeline.classifier import ImageClassifier
from pipeline.images.geometry import Geometry
from pipeline.preprocess import Preprocessor

ROOT = Path(__file__).parents[1]
HEAVY = {"sklearn", "scipy", "streamlit", "pandas", "matplotlib", "skimage", "optuna", "numba"}
# The same job in every module that has it: a command's examples, flags and work, a page, a program, a type variable.
SHARED_NAMES = {"EXAMPLES", "add_arguments", "run", "render", "main", "Config"}
# Files without a test file of their own: programs of a few lines, and classes that only hold values.
WITHOUT_TESTS = {"app.py", "pipeline/train.py", "pipeline/predict.py", "pipeline/evaluation/result.py",
                 "pipeline/images/errors.py"}  # fmt: skip
# Tests of more than one file: pages, command lines and documentation as a user meets them, and this file.
TESTS_OF_MANY_FILES = ("docs/", "end_to_end/", "fuzz/", "pipeline/pages/", "test_imports.py")


@functools.cache
def sources() -> dict[str, ast.Module]:
    """Return the syntax tree of each file of the code, under its path in the project."""
    paths = [*(ROOT / "model").rglob("*.py"), *(ROOT / "pipeline").rglob("*.py"), ROOT / "app.py"]
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in sorted(paths)}


def names_defined_by(node: ast.stmt) -> set[str]:
    """Return the public names of classes, functions and constants that a statement defines."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        names = {node.name}
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = {child.id for target in targets for child in ast.walk(target) if isinstance(child, ast.Name)}
    else:
        names = {name for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)
                 for name in names_defined_by(child)}  # fmt: skip
    return {name for name in names if not name.startswith("_")}


def test_tests_mirror_the_tree():
    files = {path for path in sources() if Path(path).name not in ("__init__.py", "__main__.py")}
    files = {path for path in files if not path.startswith("pipeline/pages/")} - WITHOUT_TESTS
    tests = {path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    tests = {path for path in tests if not path.startswith(TESTS_OF_MANY_FILES)}
    assert {Path(path).with_name(f"test_{Path(path).name}").as_posix() for path in files} == tests


def test_no_name_has_two_meanings():
    homes = defaultdict(set)
    for path, tree in sources().items():
        for node in tree.body:
            for name in names_defined_by(node):
                homes[name].add(path)
    assert {name: found for name, found in homes.items() if len(found) > 1 and name not in SHARED_NAMES} == {}


def test_our_own_names_are_imported_as_they_are():
    found = []
    for path, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [
                    (f"{getattr(node, 'module', None) or ''}.{alias.name}".strip("."), alias) for alias in node.names
                ]
                found += [f"{path}, line {node.lineno}: {name} as {alias.asname}" for name, alias in names
                          if alias.asname and name.partition(".")[0] in ("model", "pipeline")]  # fmt: skip
    assert found == []


def test_an_image_is_called_an_image():
    word, found = "picture", []
    files = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in ("model", "pipeline", "tests", "docs", "benchmarks", "requirements"):
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    for path in files:
        content = path.read_bytes()
        if b"\0" not in content and word in content.decode("utf-8", "replace").lower() and path != Path(__file__):
            found.append(path.relative_to(ROOT).as_posix())
    assert found == []


def test_library_code_does_not_print():
    for path, tree in sources().items():
        calls = {node.func.id for node in ast.walk(tree)
                 if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}  # fmt: skip
        if not path.startswith("pipeline/cli/"):
            assert "print" not in calls, path


def loaded_by(code: str) -> set[str]:
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}


def test_help_loads_nothing_heavy():
    assert not loaded_by("from pipeline.cli.main import main; main(['--help'])") & (HEAVY | {"h5py", "numpy", "PIL"})


def test_predicting_one_image_loads_nothing_heavy(tmp_path):
    geometry = Geometry(height=8, width=8, color="rgb", fit="pad")
    network = NetworkConfig(hidden=(4,), head="softmax", batch_norm=False)
    parameters = initialize((geometry.n_x, 4, 2), network, np.random.default_rng(0))
    classifier = ImageClassifier(Preprocessor(geometry), network, parameters, ("ant", "bee"), TrainingConfig())
    classifier.save(tmp_path / "model.h5")
    Image.new("RGB", (20, 10), "red").save(tmp_path / "image.png")
    rows = tmp_path / "rows.csv"
    arguments = ["predict", str(tmp_path / "model.h5"), str(tmp_path / "image.png"), "-o", str(rows)]
    loaded = loaded_by(f"from pipeline.cli.main import main; main({arguments})")
    assert rows.read_text().splitlines()[1].split(",")[1] in ("ok", "abstain")
    assert "h5py" in loaded
    assert not loaded & HEAVY


# What other packages do when they are imported is not ours: they come first.
COMPARE_STATES = """
import logging, sys, warnings
import h5py, numpy, PIL.Image, PIL.ImageFile

def state():
    loggers = [logging.root, *(logger for logger in logging.root.manager.loggerDict.values()
                               if isinstance(logger, logging.Logger))]
    plain = (logging.NOTSET, True, False, [], [])
    states = {logger.name: (logger.level, logger.propagate, logger.disabled, [*logger.handlers], [*logger.filters])
              for logger in loggers}
    return [*warnings.filters], {name: found for name, found in states.items() if found != plain}

before = state()
import pipeline.classifier
for old, new in zip(before, state(), strict=True):
    assert new == old, f"{old}\\n{new}"
"""


def test_importing_the_classifier_leaves_the_warnings_and_logs_of_the_process_alone():
    done = subprocess.run([sys.executable, "-c", COMPARE_STATES], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
