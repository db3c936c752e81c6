"""The rule of the house: who may import whom, and what must not be loaded for nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.config import NetworkConfig, TrainingConfig
from model.parameters import initialize
from pipeline.classifier import ImageClassifier
from pipeline.images.geometry import Geometry
from pipeline.preprocess import Preprocessor

ROOT = Path(__file__).parents[1]
HEAVY = {"sklearn", "scipy", "streamlit", "pandas", "matplotlib", "skimage", "optuna", "numba"}
ENTRY_POINTS = {"pipeline/cli/__main__.py", "pipeline/train.py", "pipeline/predict.py", "app.py"}


def imports(path: Path) -> set[str]:
    """Return the full names of the modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def within(names: set[str], package: str) -> set[str]:
    return {name for name in names if name == package or name.startswith(package + ".")}


@pytest.mark.parametrize("path", files("model"), ids=lambda path: path.name)
def test_model_knows_arrays_only(path):
    found = imports(path)
    assert not within(found, "pipeline")
    assert not within(found, "PIL")
    assert not within(found, "streamlit")


@pytest.mark.parametrize("path", files("pipeline"), ids=lambda path: path.name)
def test_only_entry_points_import_the_command_line_and_only_pages_streamlit(path):
    found, name = imports(path), path.relative_to(ROOT).as_posix()
    if name not in ENTRY_POINTS and not name.startswith("pipeline/cli/"):
        assert not within(found, "pipeline.cli")
    if "pages" not in name:
        assert not within(found, "streamlit")
        assert not within(found, "pipeline.pages")
    assert not within(found, "app")


def test_library_code_does_not_print():
    for path in files("model") + files("pipeline"):
        calls = {node.func.id for node in ast.walk(ast.parse(path.read_text()))
                 if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}  # fmt: skip
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("pipeline/cli/"):
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
