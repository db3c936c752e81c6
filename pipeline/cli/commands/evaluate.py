"""`facette evaluate`: the accuracy of a classifier on labelled images."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser as Parser
from argparse import Namespace as Arguments
from typing import TYPE_CHECKING

from pipeline.cli.console import print_result, progress_clock, say
from pipeline.cli.flags import load_model
from pipeline.errors import InputError
from pipeline.files.names import escape

if TYPE_CHECKING:
    from pipeline.classifier import ImageClassifier

EXAMPLES = (
    ("runs/demo-faces data/faces", "evaluate on the images that the model was not trained on"),
    ("runs/demo-faces data/faces --include-trained --json", "evaluate on all of them, for a program"),
)


def add_arguments(parser: Parser) -> None:
    """Add the flags of `evaluate`."""
    from pipeline.settings import positive

    parser.add_argument("model", help="a model.h5, or the folder of a run")
    parser.add_argument("data", help="a folder with a sub-folder for each class, or a data set (.h5)")
    parser.add_argument(
        "--split",
        choices=("test", "validation", "train", "all"),
        help="split to evaluate on (default: test if the data has splits, else all)",
    )
    parser.add_argument(
        "--include-trained", action="store_true", help="also evaluate on images that the model was trained on"
    )
    parser.add_argument(
        "--random-split",
        action="store_true",
        help="also train the same recipe on a random split (ignoring groups), to show how optimistic that split is",
    )
    parser.add_argument(
        "--tta",
        type=positive,
        default=1,
        metavar="N",
        help="test-time augmentation: average the predictions for N augmented versions of each image (N times as slow)",
    )
    parser.add_argument(
        "--scale",
        type=float,
        metavar="WHITE",
        help="value of white in images that are not 8-bit, such as 65535 (default: that of the model)",
    )
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")


def run(arguments: Arguments) -> int:
    """Evaluate a classifier on labelled images that it was not trained on."""
    from pipeline.cli.describe import describe_abstention, describe_evaluation
    from pipeline.evaluation.evaluate import evaluate

    classifier = load_model(arguments.model, [arguments.data], "evaluate")
    if arguments.scale is not None:
        classifier = classifier.with_scale(arguments.scale)
    if arguments.random_split:
        return _compare_with_random_split(classifier, arguments)
    with progress_clock("Reading images", "images") as progress:
        found, notes = evaluate(
            classifier,
            arguments.data,
            split=arguments.split,
            include_trained=arguments.include_trained,
            tta=arguments.tta,
            jobs=os.cpu_count() or 1,
            progress=progress,
        )
    for note in notes:
        say(f"Note: {escape(note)}")
    if arguments.json:
        print(json.dumps(found.to_json(), indent=2))
        return 0
    print_result(describe_evaluation(found))
    if found.abstention:
        print_result(describe_abstention(found.abstention))
    return 0


def _compare_with_random_split(classifier: ImageClassifier, arguments: Arguments) -> int:
    from pipeline.cli.console import joined, percent, table_lines
    from pipeline.training.split_comparison import compare_with_random_split

    if arguments.split or arguments.include_trained or arguments.tta > 1:
        raise InputError("--random-split compares test splits; leave out --split, --include-trained and --tta")
    found = compare_with_random_split(
        classifier, arguments.data, begin_training=lambda: say("Training the same recipe on a random split")
    )
    rows = {"group-aware split": found.grouped, "random split": found.random}
    if arguments.json:
        print(json.dumps({"grouped": found.grouped.to_json(), "random": found.random.to_json()}, indent=2))
        return 0
    lines = [("split", "test images", "accuracy", "95% interval")]
    lines += [
        (name, f"{score.m:,}", percent(score.accuracy), f"{percent(score.low)} to {percent(score.high)}")
        for name, score in rows.items()
    ]
    print_result(joined(table_lines(lines)))
    return 0
