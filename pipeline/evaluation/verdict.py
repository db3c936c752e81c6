"""What the scores of a run mean, in one sentence, and what may help.

An accuracy on a few images is uncertain, so the rules compare 95% intervals, not accuracies; the first that holds
decides.

1. There are no held-out images: nothing is known about new images.
2. The interval on held-out images is wide, and always predicting the most frequent class is within it: too few images.
3. The interval is not above the accuracy of always predicting the most frequent class: nothing useful was learned.
4. The interval on training images lies more than five points above the one on held-out images: it memorises.
5. The interval on training images lies below 90%: it underfits.
6. The interval is not above the accuracy of a logistic regression on the pixels: a simpler method may be enough.
7. Otherwise the network generalises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.evaluation.baselines import LOGISTIC_REGRESSION, MAJORITY_CLASS, Baseline
from pipeline.evaluation.scores import Evaluation
from pipeline.text import count

_GAP = 0.05  # between the intervals of a network that memorises
_FITTED = 0.9  # accuracy on training images
_WIDE = 0.2  # an interval of this width tells little


class Outcome(StrEnum):
    """What the scores of a run mean."""

    UNKNOWN = "unknown"
    TOO_FEW = "too few images to tell"
    USELESS = "not better than the majority class"
    MEMORISES = "memorises"
    UNDERFITS = "underfits"
    SIMPLE = "not better than logistic regression"
    GENERALISES = "generalises"


@dataclass(frozen=True)
class Verdict:
    """An outcome, and the sentence that says it with its figures."""

    outcome: Outcome
    sentence: str


@dataclass(frozen=True)
class Remedies:
    """What a run has used already, so that it is not recommended.

    Attributes
    ----------
    dropout : float
    augmented : bool
    """

    dropout: float = 0.0
    augmented: bool = False

    def against_memorising(self) -> str:
        """Return what may help a network that memorises; more images always do, the rest is worth a try."""
        unused = ([] if self.dropout else ["--dropout 0.3"]) + ([] if self.augmented else ["--augment affine"])
        return "more images would help most" + (f"; {' or '.join(unused)} may" if unused else "")


def judge(
    scores: Mapping[str, Evaluation], evaluated_on: str, baselines: Sequence[Baseline], remedies: Remedies
) -> Verdict:
    """Say in one sentence what the scores of a run mean.

    Parameters
    ----------
    scores : mapping of str to Evaluation
        One for each split that has images.
    evaluated_on : str
        The split whose scores count.
    baselines : sequence of Baseline
        Evaluated on the images of that split.
    remedies : Remedies
    """
    train, found = scores.get("train"), scores[evaluated_on]
    if evaluated_on == "train" or train is None:
        sentence = "No images were held out, so nothing is known about new images; hold some out with --test 0.15."
        return Verdict(Outcome.UNKNOWN, sentence)
    accuracy_of = {baseline.name: baseline.accuracy for baseline in baselines}
    majority, logistic = accuracy_of[MAJORITY_CLASS], accuracy_of[LOGISTIC_REGRESSION]
    outcome = _outcome(train, found, majority, logistic)
    held_out = count(found.m, f"{evaluated_on} image")
    figures = f"{_percent(train.accuracy)} on training images, {_percent(found.accuracy)} on {held_out}"
    interval = f"between {_percent(found.low)} and {_percent(found.high)}"
    if outcome is not Outcome.TOO_FEW and found.high - found.low > _WIDE:
        figures += f" ({interval}, since these are few)"
    always = f"always predicting the most frequent class ({_percent(majority)})"
    regression = f"a logistic regression on the pixels reaches {_percent(logistic)}"
    too = f"; {regression}, too" if found.low <= logistic else ""
    memorises = f"it memorises; {remedies.against_memorising()}"
    useless = memorises if _memorises(train, found) else "check the labels, or try larger images (--size)"
    meaning = {
        Outcome.TOO_FEW: f"too few to tell the network from {always}; its accuracy on new images is {interval}",
        Outcome.USELESS: f"no better than {always}: {useless}",
        Outcome.MEMORISES: memorises + too,
        Outcome.UNDERFITS: f"it underfits; try more --epochs, wider layers (--hidden) or larger images (--size){too}",
        Outcome.SIMPLE: f"no better than a simple method: {regression}"
        if found.accuracy <= logistic
        else f"good, but {found.m:,} images are too few to tell it from a simple method: {regression}",
        Outcome.GENERALISES: "it generalises",
    }[outcome]
    return Verdict(outcome, f"{figures}: {meaning}.")


def _outcome(train: Evaluation, found: Evaluation, majority: float, logistic: float) -> Outcome:
    """Apply the rules from the second on."""
    rules = {
        Outcome.TOO_FEW: found.low <= majority <= found.high and found.high - found.low > _WIDE,
        Outcome.USELESS: found.low <= majority,
        Outcome.MEMORISES: _memorises(train, found),
        Outcome.UNDERFITS: train.high < _FITTED,
        Outcome.SIMPLE: found.low <= logistic,
        Outcome.GENERALISES: True,
    }
    return next(outcome for outcome, holds in rules.items() if holds)


def _memorises(train: Evaluation, found: Evaluation) -> bool:
    return train.low - found.high > _GAP


def _percent(share: float) -> str:
    """Write a share in whole per cent; only a share that is 0 or 1 becomes 0% or 100%."""
    rounded = f"{100 * share:.0f}%"
    return f"{min(max(100 * share, 0.1), 99.9):.1f}%" if rounded in ("0%", "100%") and 0 < share < 1 else rounded
