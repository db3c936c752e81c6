"""The random streams of a training run.

All randomness of a run comes from its seed. Each use draws from a stream of its own, ``default_rng([seed, epoch, step,
stream])``, so that no use changes what another one draws. The exceptions are the initial weights, from
``default_rng(seed)``, and the order of the examples, from ``default_rng([seed, epoch])``.
"""

from __future__ import annotations

from enum import IntEnum


class RandomStream(IntEnum):
    """The number at the end of a seed that distinguishes one use of it from the others; never 0.

    NumPy ignores zeros at the end of a seed: ``[seed, 0]`` and ``seed`` give the same numbers.
    """

    AUGMENTATION = 1
    PRETRAINING = 2
    AUGMENTATION_TRIAL = 3
    TEST_TIME_AUGMENTATION = 4
    DROPOUT = 5
    MIXUP = 6
    CONTROLS = 7
    UPPER_LAYERS = 8
