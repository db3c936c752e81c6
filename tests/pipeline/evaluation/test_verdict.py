"""The verdict on a run: which rule decides, and what the sentence says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from scipy.stats import binomtest

from pipeline.evaluation.baselines import LOGISTIC_REGRESSION, MAJORITY_CLASS, Baseline
from pipeline.evaluation.verdict import Outcome, Remedies, judge


def scored(correct, m):
    interval = binomtest(correct, m).proportion_ci(0.95, method="wilson")
    return SimpleNamespace(m=m, accuracy=correct / m, low=interval.low, high=interval.high)


def verdict(train, test, majority=0.5, logistic=0.6, remedies=None, split="test"):
    baselines = [Baseline(MAJORITY_CLASS, majority, ""), Baseline(LOGISTIC_REGRESSION, logistic, "")]
    return judge({"train": scored(*train), split: scored(*test)}, split, baselines, remedies or Remedies())


@pytest.mark.parametrize(
    ("train", "test", "baselines", "outcome"),
    [
        ((970, 1000), (480, 500), (0.5, 0.8), Outcome.GENERALISES),
        ((2450, 3019), (369, 648), (0.25, 0.4), Outcome.MEMORISES),
        ((700, 1000), (340, 500), (0.5, 0.55), Outcome.UNDERFITS),
        ((9, 10), (9, 12), (0.5, 0.5), Outcome.TOO_FEW),
        ((980, 1000), (255, 500), (0.5, 0.5), Outcome.USELESS),
        ((970, 1000), (480, 500), (0.5, 0.96), Outcome.SIMPLE),
        ((140, 140), (29, 30), (0.5, 0.7), Outcome.GENERALISES),  # few, but enough
        ((140, 140), (3, 30), (0.5, 0.7), Outcome.USELESS),  # few, but clearly below
    ],
)
def test_the_intervals_decide(train, test, baselines, outcome):
    assert verdict(train, test, *baselines).outcome is outcome


def test_a_gap_that_the_number_of_images_explains_is_none():
    assert verdict((140, 140), (27, 30)).outcome is Outcome.GENERALISES
    assert verdict((1400, 1400), (270, 300)).outcome is Outcome.MEMORISES


def test_the_sentence_gives_the_figures_and_what_may_help():
    found = verdict((2450, 3019), (369, 648), 0.25, 0.4)
    assert found.sentence == (
        "81% on training images, 57% on 648 test images: it memorises; more images would help most; --dropout 0.3 or "
        "--augment affine may."
    )
    assert "--size" in verdict((700, 1000), (340, 500)).sentence
    assert "a logistic regression on the pixels reaches 70%" in verdict((980, 1000), (300, 500), logistic=0.7).sentence
    few = verdict((9, 10), (9, 12)).sentence
    assert "too few to tell" in few
    assert "between 47% and 91%" in few


def test_what_the_run_has_used_already_is_not_recommended():
    sentence = verdict((2450, 3019), (369, 648), 0.25, 0.4, Remedies(dropout=0.3, augmented=True)).sentence
    assert sentence.endswith("it memorises; more images would help most.")


def test_a_simple_method_that_is_as_good_is_told_from_one_that_may_be():
    assert "no better than a simple method" in verdict((970, 1000), (480, 500), logistic=0.97).sentence
    assert (
        "good, but 30 images are too few to tell it from a simple method"
        in verdict((140, 140), (30, 30), logistic=0.9).sentence
    )


def test_a_wide_interval_is_said():
    assert "90% on 30 test images (between 74% and 97%, since these are few)" in verdict((140, 140), (27, 30)).sentence
    assert "since these are few" not in verdict((970, 1000), (480, 500)).sentence


def test_the_split_is_named():
    assert "96% on 500 validation images" in verdict((970, 1000), (480, 500), split="validation").sentence


def test_without_images_held_out_nothing_is_known():
    found = judge({"train": scored(99, 100)}, "train", [], Remedies())
    assert found.outcome is Outcome.UNKNOWN
    assert "--test" in found.sentence


def test_only_all_images_are_100_percent():
    assert verdict((9996, 10000), (1999, 2000)).sentence.startswith(
        "99.9% on training images, 99.9% on 2,000 test images"
    )
    assert verdict((100, 100), (100, 100)).sentence.startswith("100% on training images, 100% on 100 test images")
