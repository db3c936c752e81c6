"""The page about the course: its code runs as it stands, and the functions, files and image it names exist."""

import importlib
import re
from pathlib import Path

import pytest

from model.config import NetworkConfig
from model.network import class_probabilities, labels_from

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "course.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_code_of_the_page_runs():
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 6
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), namespace)


def test_functions_named_with_their_module_exist():
    names = set(re.findall(r"`(model\.\w+)\.(\w+)", TEXT))
    assert len(names) > 5
    for module, name in names:
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


def test_links_lead_somewhere():
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-")
        for line in TEXT.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\((#[\w-]+|[\w/.-]+\.\w+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings
        else:
            assert (PAGE.parent / target).is_file(), target
    for name in re.findall(r"`((?:model|tests|benchmarks)/\S+?\.py)", TEXT):
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("name", ["xor_tree", "one_unit_per_pattern", "counting"])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 8, 9])
def test_networks_made_by_hand_give_the_parity_of_every_input(name, n, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    depth = importlib.import_module("depth")
    parameters = getattr(depth, name)(n)
    X, parity = depth.all_patterns(n)
    assert [int(column.sum()) % 2 for column in X.T] == parity.tolist()
    assert len({tuple(column) for column in X.T}) == 2**n
    config = NetworkConfig(hidden=parameters.layer_dims[1:-1], activation="relu", head="sigmoid", batch_norm=False)
    probabilities = class_probabilities(X, parameters, config)
    assert (labels_from(probabilities) == parity).all()
    assert probabilities.max(axis=0).min() > 0.999


def test_the_tree_is_as_deep_and_as_small_as_the_page_says(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    depth = importlib.import_module("depth")
    for n, levels in ((2, 1), (4, 2), (8, 3), (16, 4), (64, 6)):
        tree = depth.xor_tree(n)
        assert levels == tree.L - 1
        assert sum(tree.layer_dims[1:-1]) == 2 * (n - 1)
    assert sum(depth.xor_tree(16).layer_dims[1:-1]) == 30
    assert depth.one_unit_per_pattern(10).layer_dims == (10, 2**9, 1)
    assert depth.counting(16).layer_dims == (16, 16, 1)
