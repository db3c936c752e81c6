"""No two uses of a seed draw the same numbers."""

from __future__ import annotations

import itertools

import numpy as np

from model.randomness import RandomStream


def test_every_use_has_a_stream_of_its_own():
    assert 0 not in list(RandomStream)
    assert not [name for name, stream in RandomStream.__members__.items() if name != stream.name]  # an alias
    drawn = [np.random.default_rng([7, 0, 0, stream]).random(3) for stream in RandomStream]
    drawn += [np.random.default_rng(7).random(3), np.random.default_rng([7, 1]).random(3)]
    assert not any(np.array_equal(*pair) for pair in itertools.combinations(drawn, 2))
