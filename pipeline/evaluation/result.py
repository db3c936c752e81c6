"""What comes out of a finished training run."""

from __future__ import annotations

from dataclasses import dataclass

from model.edges.scores import FilterScores
from pipeline.classifier import ImageClassifier
from pipeline.evaluation.baselines import Baseline
from pipeline.evaluation.scores import Evaluation
from pipeline.evaluation.verdict import Verdict


@dataclass(frozen=True, repr=False)
class TrainingResult:
    """The classifier of a run, its scores, and what to compare them with.

    Attributes
    ----------
    classifier : ImageClassifier
    scores : dict of str to Evaluation
        One for each split that has images.
    baselines : list of Baseline
        Evaluated on the images of `evaluated_on`.
    evaluated_on : str
        The split whose scores count: test, else validation, else train.
    trained_before : int
        Images of that split that took part in the training of the model that was fine-tuned.
    first_layer : FilterScores
        What the units of layer 1 look at.
    first_layer_change : float or None
        How far the training with labels moved a pretrained layer 1: ||W1 - before|| / ||before||.
    verdict : Verdict
        What the scores mean.
    seconds : dict of str to float
        How long each phase of the run took, by its name.
    """

    classifier: ImageClassifier
    scores: dict[str, Evaluation]
    baselines: list[Baseline]
    evaluated_on: str
    trained_before: int
    first_layer: FilterScores
    first_layer_change: float | None
    verdict: Verdict
    seconds: dict[str, float]

    def __repr__(self) -> str:
        scores = ", ".join(f"{split} {100 * found.accuracy:.1f}%" for split, found in self.scores.items())
        return f"<TrainingResult: accuracy {scores}; classifier {self.classifier.model_id}>"
