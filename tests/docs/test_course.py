"""The page about the course: its code runs as it stands, and the networks of its last section do what it says."""

import importlib

import h5py
import numpy as np
import pytest

from model.config import NetworkConfig
from model.network import class_probabilities, labels_from
from tests.docs.pages import ROOT, python

PAGE = "docs/course.md"


def write_small_set_in_the_layout_of_the_course(folder):
    """Write images of 4x4 pixels: cats are bright."""
    rng = np.random.default_rng(0)
    for split, m in (("train", 40), ("test", 20)):
        labels = np.arange(m) % 2
        images = rng.integers(0, 100, (m, 4, 4, 3)) + 150 * labels[:, None, None, None]
        with h5py.File(folder / f"{split}_catvnoncat.h5", "w") as file:
            file[f"{split}_set_x"], file[f"{split}_set_y"] = images.astype(np.uint8), labels


def test_the_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_small_set_in_the_layout_of_the_course(tmp_path)
    blocks = python(PAGE)
    assert len(blocks) >= 7
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, PAGE, "exec"), namespace)
    assert "accuracy on test: 1.0000" in capsys.readouterr().out


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
