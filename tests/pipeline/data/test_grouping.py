"""Groupings: which indices are the members of each group, and what is put together by several groupings."""

import numpy as np

from pipeline.data.grouping import members, merge


def test_members_are_listed_by_group_and_those_that_stand_alone_are_left_out():
    assert [rows.tolist() for rows in members(np.array([7, -1, 3, 7, -1, 3, 0]))] == [[6], [2, 5], [0, 3]]
    assert members(np.array([-1, -1])) == []
    assert members(np.empty(0, dtype=int)) == []


def test_merging_puts_together_what_either_grouping_does():
    one = np.array([0, 0, -1, -1, 4, 4])
    other = np.array([-1, 7, 7, -1, -1, -1])
    assert merge(6, one, other).tolist() == [0, 0, 0, -1, 4, 4]


def test_merging_follows_a_chain_of_groups_to_its_end():
    odd = np.array([0, 0, 1, 1, 2, 2, -1])
    even = np.array([-1, 0, 0, 1, 1, -1, -1])
    assert merge(7, odd, even).tolist() == [0, 0, 0, 0, 0, 0, -1]
