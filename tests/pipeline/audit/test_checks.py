"""The checks of an audit, on facts made up for each of them."""

import numpy as np
import pytest

from pipeline.audit.checks import CHECKS, Facts, one_feature_scores
from pipeline.data.splits import Split


def facts(m=40, **changes):
    """Return the facts of m ordinary images of two classes, with some of them changed."""
    rng = np.random.default_rng(0)
    ordinary = {
        "classes": ("a", "b"),
        "labels": np.arange(m) % 2,
        "split": np.full(m, Split.TRAIN),
        "paths": np.array([f"{i}.png" for i in range(m)]),
        "sizes": np.full((m, 2), 100),
        "formats": np.full(m, "PNG"),
        "modes": np.full(m, "RGB"),
        "measures": {
            "brightness": rng.uniform(100, 150, m),
            "contrast": rng.uniform(30, 60, m),
            "entropy": rng.uniform(6, 7, m),
            "sharpness": rng.uniform(0.1, 0.5, m),
            "colorfulness": rng.uniform(10, 50, m),
        },
        "equal": np.full(m, -1),
        "near": np.empty((0, 2), int),
        "rejected": [],
        "smallest": (64, 64),
    }
    return Facts(**(ordinary | changes))


def found(given):
    return {finding.kind: (finding.severity, list(finding.rows)) for check in CHECKS for finding in check(given)}


def measured(name, rows, value):
    """Return the measures of ordinary images, with one of them changed in some rows."""
    measures = facts().measures
    measures[name][rows] = value
    return {"measures": measures}


def sized(rows, size):
    sizes = facts().sizes
    sizes[rows] = size
    return {"sizes": sizes}


def test_ordinary_images_give_no_finding():
    assert found(facts()) == {}


@pytest.mark.parametrize(
    ("changes", "kind", "expected"),
    [
        (measured("brightness", [3, 8], 20), "dark", ("warning", [3, 8])),
        (measured("brightness", [5], 240), "light", ("warning", [5])),
        (measured("contrast", [5], 1), "low information", ("warning", [5])),
        (measured("entropy", [6], 2), "low information", ("warning", [6])),
        (measured("sharpness", [7], 0.01), "blurry", ("warning", [7])),
        (measured("brightness", slice(0, 10), 20), "dark", ("note", list(range(10)))),  # so is much of the set
        (sized([1], (100, 400)), "odd aspect ratio", ("warning", [1])),
        (sized([2], (2000, 2000)), "odd size", ("warning", [2])),
        (sized([4], (63, 50)), "upscaled", ("note", [4])),
    ],
)
def test_an_odd_image_is_found(changes, kind, expected):
    assert found(facts(**changes)) == {kind: expected}


def test_an_image_is_reported_under_the_first_kind_that_fits():
    measures = facts().measures
    for name in ("brightness", "contrast", "entropy"):
        measures[name][9] = 0
    assert found(facts(measures=measures)) == {"dark": ("warning", [9])}


def test_duplicates_across_splits_are_serious_and_within_one_a_warning():
    equal = np.full(40, -1)
    equal[[0, 2, 4]] = 0
    equal[[11, 13]] = 11
    split = facts().split
    split[13] = Split.TEST
    assert found(facts(equal=equal, split=split)) == {
        "exact duplicates": ("warning", [0, 2, 4]),
        "exact duplicates across splits": ("serious", [11, 13]),
    }
    split[13] = Split.DROPPED
    assert "exact duplicates across splits" not in found(facts(equal=equal, split=split))
    near = np.array([[20, 22], [30, 31]])
    assert found(facts(near=near)) == {
        "near duplicates": ("warning", [20, 22, 30, 31]),
        "conflicting labels of near duplicates": ("warning", [30, 31]),
    }


def test_classes_of_very_different_sizes_are_reported():
    labels = np.zeros(40, int)
    labels[:3] = 1
    assert found(facts(labels=labels)) == {"class imbalance": ("warning", []), "few images": ("warning", [])}


def test_one_feature_is_scored_without_overfitting():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 60)
    unique = np.arange(180)  # every image has a value of its own: tells nothing
    assert (one_feature_scores(unique, labels, 3)[0] <= 0.5).all()
    noise = rng.integers(0, 10, 180)
    assert (one_feature_scores(noise, labels, 3)[0] < 0.7).all()
    planted = np.where(labels == 1, 7, noise)
    planted[labels != 1] %= 7
    accuracies, precisions = one_feature_scores(planted, labels, 3)
    assert accuracies[1] == 1
    assert precisions[1] == 1
