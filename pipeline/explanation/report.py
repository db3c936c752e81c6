"""The report of a run: one HTML file that needs no other, with every image inside it."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.activations import Array
from model.parameters import layer_shapes
from model.training import EpochRecord
from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.evaluation.result import TrainingResult
from pipeline.evaluation.scores import most_confused
from pipeline.explanation.figures import draw_filters, new_figure, save_figure
from pipeline.explanation.wording import describe_change, describe_seconds
from pipeline.files.names import one_line
from pipeline.images.encode import to_png
from pipeline.text import value_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LARGEST_CONFUSION_TABLE = 12  # classes; with more, the most frequent confusions are listed
_UNITS_SHOWN = 64


class Mistake(NamedTuple):
    """A misclassified image, with its path, its class, and the predicted class with its probability."""

    path: str
    image: NDArray[np.uint8]
    truth: str
    prediction: str
    probability: float


def find_mistakes(
    dataset: Dataset, probabilities: Array, labels: NDArray[np.integer], indices: NDArray[np.integer], limit: int = 24
) -> list[Mistake]:
    """Return the misclassified images with the most confident predictions, in that order.

    Parameters
    ----------
    dataset : Dataset
    probabilities : ndarray of shape (n_classes, m)
    labels, indices : ndarray of shape (m,)
        True class, and row in the data set.
    limit : int
        At most so many.
    """
    predicted, confidence = probabilities.argmax(axis=0), probabilities.max(axis=0)
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]
    return [
        Mistake(
            str(dataset.paths[indices[i]]),
            dataset.images[indices[i]],
            dataset.classes[labels[i]],
            dataset.classes[predicted[i]],
            float(confidence[i]),
        )
        for i in wrong
    ]


def draw_history(history: Sequence[EpochRecord]) -> Figure:
    """Draw cost and accuracy of training and validation over the epochs, with the best epoch marked."""
    figure = new_figure(figsize=(8, 3), layout="constrained")
    epochs = [record.epoch for record in history]
    best = [record.epoch for record in history if record.is_best]
    for axes, name in zip(figure.subplots(1, 2), ("cost", "accuracy"), strict=True):
        axes.plot(epochs, [getattr(record, name) for record in history], color="#0072b2", label="training")
        validation = [getattr(record, f"validation_{name}") for record in history]
        if not all(map(math.isnan, validation)):
            axes.plot(epochs, validation, color="#d55e00", linestyle="--", label="validation")
        if best:
            axes.axvline(best[-1], color="0.6", linewidth=1, linestyle=":", label="lowest validation cost")
        axes.set(xlabel="epoch", title=name)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    return figure


def draw_rate_range(rates: Sequence[float], costs: Sequence[float], suggested: float) -> Figure:
    """Draw the cost against increasing learning rates, with the suggested one marked."""
    figure = new_figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, costs, color="#0072b2")
    axes.axvline(suggested, color="#d55e00", linestyle="--", label=f"steepest fall: {suggested:.2g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="cost of the batch", title="Learning-rate range test")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def draw_result(result: TrainingResult, name: str, filters: Path) -> dict[str, str]:
    """Draw the figures of a run.

    Parameters
    ----------
    result : TrainingResult
    name : str
        Name of the run.
    filters : Path
        Where the image of the first layer is written.

    Returns
    -------
    dict of str to str
        The figures of the report: ``history`` and ``filters``, as PNG in base64.
    """
    classifier = result.classifier
    W1, shape, scores = classifier.parameters[1].W, classifier.geometry.shape, result.first_layer
    save_figure(draw_filters(W1, shape, title=f"First layer of {name}: one image per unit", scores=scores), filters)
    shown = draw_filters(W1, shape, title="", scores=scores, max_units=_UNITS_SHOWN)
    return {"history": _figure_png(draw_history(classifier.history)), "filters": _figure_png(shown)}


def render_report(name: str, result: TrainingResult, mistakes: Sequence[Mistake], figures: Mapping[str, str]) -> str:
    """Return the report as one HTML text; `figures` are those of `draw_result`."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline"), autoescape=True, finalize=one_line, undefined=jinja2.StrictUndefined
    )
    classifier = result.classifier
    evaluation = result.scores[result.evaluated_on]
    return environment.get_template("report.html.j2").render(
        name=name,
        result=result,
        classifier=classifier,
        evaluation=evaluation,
        layers=layer_shapes(classifier.parameters, classifier.network),
        settings=_settings(classifier),
        elapsed=describe_seconds(result.seconds),
        first_layer_change="" if result.first_layer_change is None else describe_change(result.first_layer_change),
        figures=figures,
        show_confusion=len(evaluation.classes) <= _LARGEST_CONFUSION_TABLE,
        confused=most_confused(evaluation.confusion, evaluation.classes),
        mistakes=[(mistake, _image_png(mistake.image)) for mistake in mistakes],
    )


def _settings(classifier: ImageClassifier) -> dict[str, dict[str, str]]:
    """Return every hyperparameter of a run as text, by section and name, as in its config.toml."""
    sections: dict[str, Mapping[str, Any]] = {
        "network": classifier.provenance["network_as_trained"],
        "training": asdict(classifier.training),
        "pretraining": asdict(classifier.pretraining),
        "augmentation": classifier.provenance["augmentation"],
    }
    return {
        title: {name: value_text(value) or "none" for name, value in settings.items()}
        for title, settings in sections.items()
    }


def _figure_png(figure: Figure) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    return base64.b64encode(data.getvalue()).decode()


def _image_png(image: NDArray[np.uint8]) -> str:
    return base64.b64encode(to_png(image)).decode()
