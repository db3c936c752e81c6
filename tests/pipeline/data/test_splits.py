"""Splits: the stated shares, every class present, groups whole, the same every time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.splits import DROPPED, TEST, TRAIN, UNLABELLED, VALIDATION, complete, leaked, split
from pipeline.errors import InputError


def names(n):
    return [f"class {c}" for c in range(n)]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((100, 100), (140, 30, 30)), ((10,) * 40, (280, 60, 60)), ((4, 4), (4, 2, 2)), ((2, 2), (2, 0, 2))],
)
def test_shares_of_the_whole(counts, expected):
    labels = np.repeat(np.arange(len(counts)), counts)
    result = split(labels, names(len(counts)), validation=0.15, test=0.15)
    assert tuple(np.bincount(result, minlength=3)) == expected


@given(
    counts=st.lists(st.integers(3, 60), min_size=2, max_size=8),
    validation=st.floats(0.05, 0.4),
    test=st.floats(0.05, 0.4),
    seed=st.integers(0, 100),
)
@settings(max_examples=60, deadline=None)
def test_every_class_is_in_every_part_near_its_share(counts, validation, test, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    result = split(labels, names(len(counts)), validation=validation, test=test, seed=seed)
    for c, count in enumerate(counts):
        found = np.bincount(result[labels == c], minlength=3)
        assert found.min() >= 1
        assert abs(found[VALIDATION] - validation * count) <= 1
        assert abs(found[TEST] - test * count) <= 1


@given(seed=st.integers(0, 200), m=st.integers(30, 120), n_groups=st.integers(12, 60))
@settings(max_examples=60, deadline=None)
def test_groups_are_never_torn(seed, m, n_groups):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, m)
    groups = rng.integers(-1, n_groups, m)
    result = split(labels, names(2), validation=0.2, test=0.2, seed=seed, groups=groups)
    for group in range(n_groups):
        assert len(set(result[groups == group])) <= 1
    assert set(result[labels == 0]) >= {TRAIN, TEST}
    assert set(result[labels == 1]) >= {TRAIN, TEST}


def test_same_seed_same_split_and_another_seed_another():
    labels = np.repeat([0, 1], 50)
    first, again, other = (split(labels, names(2), validation=0.2, test=0.2, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_unlabelled_stay_out():
    labels = np.array([0, 0, 0, 1, 1, 1, -1, -1])
    result = split(labels, names(2), validation=0.2, test=0.2)
    assert (result[6:] == UNLABELLED).all()
    assert (result[:6] != UNLABELLED).all()


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        ([0, 0, 0], None, "only one class, 'class 0'"),
        ([-1, -1], None, "no labelled images"),
        ([0, 0, 0, 1], None, "class 'class 1': one image only"),
        ([0, 0, 1, 1], [5, 5, 6, 6], "classes 'class 0', 'class 1': all images belong to one group"),
        # every class has two groups, but the groups span both classes in the one way that cannot be divided
        ([0, 0, 1, 1, 1], [1, 2, 3, 3, 3], "class 'class 1'"),
    ],
)
def test_what_cannot_be_split_is_named(labels, groups, message):
    groups = None if groups is None else np.array(groups)
    with pytest.raises(InputError, match=message):
        split(np.array(labels), names(2), validation=0.2, test=0.2, groups=groups)


def test_no_shares_means_all_in_training():
    labels = np.array([0, 1, 1])
    assert (split(labels, names(2), validation=0, test=0) == TRAIN).all()


def test_ready_made_parts_stay_and_what_lacks_comes_from_training():
    labels = np.tile([0, 1], 50)
    given_parts = np.repeat([TRAIN, VALIDATION, DROPPED], [60, 30, 10]).astype(np.uint8)
    result = complete(given_parts, labels, 2, validation=0.1, test=0.2)
    assert (result[60:] == given_parts[60:]).all()
    assert np.bincount(result[:60]).tolist() == [48, 0, 12]
    assert (complete(given_parts, labels, 2, validation=0.1, test=0) == given_parts).all()


def test_leaks_are_the_training_side():
    parts = np.array([TRAIN, TEST, TRAIN, VALIDATION, TRAIN, TRAIN])
    groups = np.array([7, 7, 8, 8, 9, -1])
    assert leaked(parts, groups).tolist() == [0, 2]
