"""Mixtures of examples: what they are, and that their cost is that of both targets by their shares."""

import numpy as np
import pytest

from model.heads import HEADS
from model.mixup import mix

M, ALPHA = 12, 0.4


def drawn(seed):
    """The share and the partners that `mix` draws."""
    rng = np.random.default_rng(seed)
    share = rng.beta(ALPHA, ALPHA)
    return max(share, 1 - share), rng.permutation(M)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.random((5, M), dtype=np.float32))
    return X, rng.integers(0, 3, M), rng.random(M, dtype=np.float32)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("head", "n_classes"), [("softmax", 3), ("sigmoid", 2)])
def test_the_cost_of_a_mixture_is_that_of_both_targets_by_their_shares(batch, head, n_classes, seed):
    X, labels, weights = batch
    head = HEADS[head]
    Y = head.targets(labels % n_classes, n_classes, 0.0, np.dtype(np.float32))
    logits = np.random.default_rng(1).normal(size=Y.shape).astype(np.float32)
    share, other = drawn(seed)
    mixed, targets, both = mix(X, Y, weights, ALPHA, np.random.default_rng(seed))
    np.testing.assert_allclose(mixed, share * X + (1 - share) * X[:, other], rtol=1e-6)
    expected = (
        share * head.losses(logits, Y) @ weights + (1 - share) * head.losses(logits, Y[:, other]) @ weights[other]
    )
    assert head.losses(logits, targets) @ both == pytest.approx(expected, rel=1e-5)
    assert mixed.dtype == targets.dtype == both.dtype == np.float32


def test_an_example_of_no_weight_gives_no_target(batch):
    X, labels, _ = batch
    Y = HEADS["softmax"].targets(labels, 3, 0.0, np.dtype(np.float32))
    weights = (np.arange(M) < 3).astype(np.float32)
    _, targets, both = mix(X, Y, weights, ALPHA, np.random.default_rng(0))
    _, other = drawn(0)
    np.testing.assert_allclose(targets[:, 3:], np.where(both > 0, Y[:, other], Y)[:, 3:])
    assert both.sum() == pytest.approx(3)
