"""`facette filters`: what the layers of a classifier have learned, as images."""

from __future__ import annotations

import csv
import sys
from argparse import ArgumentParser as Parser
from argparse import Namespace as Arguments
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pipeline.cli.console import print_result
from pipeline.errors import InputError
from pipeline.invocation import command_line
from pipeline.text import count

if TYPE_CHECKING:
    import numpy as np

    from model.edges.scores import FilterScores
    from pipeline.classifier import ImageClassifier

_ANIMATION_UNITS, _MOST_ANIMATION_STEPS = 48, 18

EXAMPLES = (
    ("runs/demo-faces", "draw the first layer into filters.png, and score it"),
    ("runs/demo-faces --hierarchy -o layers.png", "draw units of all hidden layers"),
    ("runs/demo-faces --scores", "print the scores of all first-layer units as CSV"),
)


def add_arguments(parser: Parser) -> None:
    """Add the flags of `filters`."""
    from pipeline.settings import positive

    parser.add_argument("model", help="a model.h5, or the folder of a run")
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="filters.png", help="PNG, SVG or PDF to write (default: filters.png)"
    )
    parser.add_argument(
        "--max-units", type=positive, metavar="N", default=100, help="largest number of units to draw (default: 100)"
    )
    parser.add_argument("--scores", action="store_true", help="print the scores of all first-layer units as CSV")
    parser.add_argument(
        "--layer", type=positive, metavar="L", default=1, help="draw the units of this layer (default: 1)"
    )
    parser.add_argument("--hierarchy", action="store_true", help="draw units of all hidden layers in one image")
    parser.add_argument(
        "--controls", action="store_true", help="also score layers that had no edges to learn, by the same criteria"
    )
    parser.add_argument(
        "--animate", metavar="GIF", help="learn layer 1 again, and write how it grows from noise to edges"
    )
    parser.add_argument(
        "--data",
        metavar="DATA.h5",
        help="data set whose images show what deeper layers respond to (default: that of the run)",
    )


def run(arguments: Arguments) -> int:
    """Draw the first layer, a deeper layer, or all hidden layers."""
    from pipeline.classifier import ImageClassifier
    from pipeline.explanation.figures import LayerImages, draw_filters, draw_hierarchy, save_figure
    from pipeline.explanation.layers import deeper_layer_images, first_layer_images, score_first_layer

    classifier = ImageClassifier.load(arguments.model)
    name, n_layers, shape = classifier.provenance.get("name", ""), classifier.parameters.L, classifier.geometry.shape
    if arguments.animate:
        return _animate(classifier, arguments)
    if arguments.layer > n_layers:
        raise InputError(f"--layer {arguments.layer}: the network has only {count(n_layers, 'layer')}")
    panels: list[LayerImages] = []
    scores = None
    if arguments.hierarchy or arguments.layer == 1:
        scores = score_first_layer(classifier, fit_all=arguments.scores)
    deeper = list(range(2, n_layers)) if arguments.hierarchy else [arguments.layer] if arguments.layer > 1 else []
    if arguments.hierarchy or deeper:
        n = 24 if arguments.hierarchy else arguments.max_units
        panels = [first_layer_images(classifier, scores, n)] if scores else []
        if deeper:
            images = _read_images(classifier, arguments)
            for l in deeper:
                panels += deeper_layer_images(classifier, images, l, n)
        title = f"{name}, layer by layer" if arguments.hierarchy else f"Layer {arguments.layer} of {name}"
        figure = draw_hierarchy(panels, shape, title=title)
    else:
        title = f"First layer of {name}"
        W1 = classifier.parameters[1].W
        figure = draw_filters(W1, shape, title=title, scores=scores, max_units=arguments.max_units)
    save_figure(figure, arguments.output)
    if scores and arguments.scores:
        _print_scores(scores)
        if arguments.controls:
            _print_controls(classifier, sys.stderr)
        return 0
    if scores:
        print_result(scores.summary())
        if 2 * scores.edge.sum() < len(scores.edge):
            print_result(_how_to_get_edges(classifier, arguments.model))
    if arguments.controls:
        _print_controls(classifier, sys.stdout)
    print_result(f"The drawing is in {arguments.output}")
    return 0


def _how_to_get_edges(classifier: ImageClassifier, model: str) -> str:
    """Say how a training run ends with more edge detectors than this model has."""
    from pipeline.classifier import model_path

    source = str(classifier.provenance.get("source", ""))
    train: list[object] = ["train", source if source and Path(source).exists() else "IMAGES"]
    settings = model_path(model).with_name("config.toml")
    train += ["--config", settings] if settings.exists() else []
    if not classifier.pretraining.is_on:
        command = command_line(*train, "--pretrain", "sparse_filtering")
        return f"Its first layer began at random. To begin with edges:  {command}"
    method = classifier.pretraining.pretrain.replace("_", " ")
    rate = next(iter(classifier.training.layer_rates), 1.0)
    command = command_line(*train, "--layer-rates", f"{rate / 3:.1g}")
    return (
        f"Its first layer began with edges, learned by {method}; training with labels, at {rate:g} of the learning "
        f"rate, has changed them. To keep more of them, at the cost of some accuracy perhaps:  {command}"
    )


def _animate(classifier: ImageClassifier, arguments: Arguments) -> int:
    """Write how the first layer grows: first every step, then fewer, and at last the layer after training."""
    import numpy as np

    from pipeline.explanation.figures import save_animation
    from pipeline.training.pretrain import first_layer_growth

    *steps, trained = first_layer_growth(classifier)
    chosen = np.unique(np.geomspace(1, len(steps), _MOST_ANIMATION_STEPS).astype(int) - 1)
    method = classifier.pretraining.pretrain.replace("_", " ")
    captions = [f"pretraining, without labels: {method}, step {k} of {len(steps) - 1}" for k in chosen]
    frames = [steps[k][:_ANIMATION_UNITS] for k in chosen]
    save_animation(
        [*frames, trained[:_ANIMATION_UNITS]],
        [*captions, "the model, after training with labels"],
        classifier.geometry.shape,
        arguments.animate,
    )
    print_result(
        f"The animation is in {arguments.animate}: W1 learned again with the model's seed, and last the model's W1"
    )
    return 0


def _print_controls(classifier: ImageClassifier, stream: TextIO) -> None:
    """Print the share of edge detectors in layers that had no edges to learn."""
    from pipeline.explanation.layers import control_shares

    print("Share of edge detectors in controls, by the same criteria:", file=stream)
    try:
        shares = control_shares(classifier)
    except ValueError as error:
        raise InputError(f"--controls: {error}") from None
    for name, share in shares.items():
        print(f"  {share:4.0%}  {name}", file=stream)


def _read_images(classifier: ImageClassifier, arguments: Arguments) -> np.ndarray:
    """Return images that the model was not trained on."""
    from pipeline.classifier import model_path
    from pipeline.evaluation.held_out import data_of, held_out_images

    path = arguments.data or data_of(model_path(arguments.model), classifier)
    if path is None:
        raise InputError("deeper layers need images, and the data set of the run is gone; name one with --data")
    return held_out_images(path, classifier.geometry)


def _print_scores(scores: FilterScores) -> None:
    """Write the scores of all units as CSV to standard output."""
    import numpy as np

    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(("unit", "edge", "strict", "r2", "area90", "selectivity", "orientation_degrees", "frequency"))
    degrees = np.rad2deg(scores.orientation)
    measures = (scores.r2, scores.area90, scores.selectivity, degrees, scores.frequency)
    for k, row in enumerate(zip(*measures, strict=True)):
        table.writerow((k + 1, int(scores.edge[k]), int(scores.strict[k]), *(f"{value:.4g}" for value in row)))
