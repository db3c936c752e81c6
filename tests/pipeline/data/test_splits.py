"""Splits: the stated shares, every class present, groups whole, the same every time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.splits import UNDIVIDED, Shares, Split, complete_split, extend_split, leaked, make_split
from pipeline.errors import InputError


def names(n):
    return [f"class {c}" for c in range(n)]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((100, 100), (140, 30, 30)), ((10,) * 40, (280, 60, 60)), ((4, 4), (4, 2, 2)), ((2, 2), (2, 0, 2))],
)
def test_shares_of_the_whole(counts, expected):
    labels = np.repeat(np.arange(len(counts)), counts)
    result = make_split(labels, names(len(counts)), Shares(0.15, 0.15))
    assert tuple(np.bincount(result, minlength=3)) == expected


@given(
    counts=st.lists(st.integers(3, 60), min_size=2, max_size=8),
    validation=st.floats(0.05, 0.4),
    test=st.floats(0.05, 0.4),
    seed=st.integers(0, 100),
)
@settings(max_examples=60, deadline=None)
def test_every_class_is_in_every_split_near_its_share(counts, validation, test, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    result = make_split(labels, names(len(counts)), Shares(validation, test, seed))
    for c, count in enumerate(counts):
        found = np.bincount(result[labels == c], minlength=3)
        assert found.min() >= 1
        assert abs(found[Split.VALIDATION] - validation * count) <= 1
        assert abs(found[Split.TEST] - test * count) <= 1


@given(seed=st.integers(0, 200), m=st.integers(30, 120), n_groups=st.integers(12, 60))
@settings(max_examples=60, deadline=None)
def test_groups_are_never_spread_over_splits(seed, m, n_groups):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, m)
    groups = rng.integers(-1, n_groups, m)
    result = make_split(labels, names(2), Shares(0.2, 0.2, seed), groups)
    for group in range(n_groups):
        assert len(set(result[groups == group])) <= 1
    assert set(result[labels == 0]) >= {Split.TRAIN, Split.TEST}
    assert set(result[labels == 1]) >= {Split.TRAIN, Split.TEST}


def test_same_seed_same_split_and_another_seed_another():
    labels = np.repeat([0, 1], 50)
    first, again, other = (make_split(labels, names(2), Shares(0.2, 0.2, seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_unlabelled_stay_out():
    labels = np.array([0, 0, 0, 1, 1, 1, -1, -1])
    result = make_split(labels, names(2), Shares(0.2, 0.2))
    assert (result[6:] == Split.UNLABELLED).all()
    assert (result[:6] != Split.UNLABELLED).all()


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
        make_split(np.array(labels), names(2), Shares(0.2, 0.2), groups)


def test_no_shares_means_all_in_training():
    labels = np.array([0, 1, 1])
    assert (make_split(labels, names(2), Shares(0, 0)) == Split.TRAIN).all()


def test_ready_made_parts_stay_and_what_lacks_comes_from_training():
    labels = np.tile([0, 1], 50)
    given_parts = np.repeat([Split.TRAIN, Split.VALIDATION, Split.DROPPED], [60, 30, 10]).astype(np.uint8)
    result = complete_split(given_parts, labels, 2, Shares(0.1, 0.2))
    assert (result[60:] == given_parts[60:]).all()
    assert np.bincount(result[:60]).tolist() == [48, 0, 12]
    assert (complete_split(given_parts, labels, 2, Shares(0.1, 0)) == given_parts).all()


def test_leaks_are_the_training_side():
    parts = np.array([Split.TRAIN, Split.TEST, Split.TRAIN, Split.VALIDATION, Split.TRAIN, Split.TRAIN])
    groups = np.array([7, 7, 8, 8, 9, -1])
    assert leaked(parts, groups).tolist() == [0, 2]


def test_splits_are_known_by_their_names():
    assert [split.label for split in Split] == ["train", "validation", "test", "unlabelled", "dropped"]
    assert all(Split.of(split.label) is split for split in Split)
    with pytest.raises(InputError, match="split 'Train' is unknown; choose one of train, validation, test, unlabelled"):
        Split.of("Train")


def test_new_examples_join_the_split_of_their_group_and_old_ones_stay():
    placed = np.array([Split.TEST, Split.TRAIN, Split.DROPPED] + [UNDIVIDED] * 9, dtype=np.uint8)
    labels = np.array([0, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1, -1])
    groups = np.array([5, 6, 7, 5, 6, 7, -1, -1, -1, -1, -1, 5])
    result = extend_split(placed, labels, 2, Shares(0.2, 0.2), groups)
    assert (result[:3] == placed[:3]).all()
    assert result[[3, 4]].tolist() == [Split.TEST, Split.TRAIN]
    assert set(result[5:11].tolist()) <= {Split.TRAIN, Split.VALIDATION, Split.TEST}  # a dropped relative is no split
    assert result[11] == Split.UNLABELLED


def test_groups_go_to_the_split_that_lacks_most_and_single_examples_fill_the_rest():
    """The example in the docstring of `_assign_splits`: ten images of a class, in groups of 4 and 3 and three alone."""
    labels = np.repeat([0, 1], 10)
    groups = np.concatenate([np.repeat([1, 2], [4, 3]), np.full(13, -1)])
    result = make_split(labels, names(2), Shares(0.1, 0.2), groups)
    assert result[:4].tolist() == [Split.TRAIN] * 4
    assert result[4:7].tolist() == [Split.TEST] * 3
    assert sorted(result[7:10].tolist()) == [Split.TRAIN, Split.TRAIN, Split.VALIDATION]
