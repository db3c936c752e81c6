"""`facette predict`, `evaluate`, `filters` and `app`: everything that takes a trained model."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser as Parser
from argparse import Namespace as Arguments
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.console import progress_bar, say
from pipeline.errors import InputError

if TYPE_CHECKING:
    from pipeline.classifier import ImageClassifier


def evaluate_flags(parser: Parser) -> None:
    """Add the flags of `evaluate`."""
    parser.add_argument("model", help="model.h5 of a run")
    parser.add_argument("data", help="a folder with a sub-folder for each class, or a data set (.h5)")
    parser.add_argument(
        "--split",
        choices=("test", "validation", "train", "all"),
        help="of the data to use (default: test where the data has splits, else all)",
    )
    parser.add_argument(
        "--include-seen", action="store_true", help="count pictures, too, that took part in this model's training"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def evaluate(arguments: Arguments) -> int:
    """Measure a classifier on labelled pictures that took no part in its training."""
    from pipeline import evaluate as evaluating
    from pipeline.classifier import ImageClassifier
    from pipeline.console import describe_evaluation

    classifier = ImageClassifier.load(arguments.model)
    with progress_bar("Reading pictures", "pictures") as progress:
        found, notes = evaluating.evaluate(
            classifier,
            arguments.data,
            split=arguments.split,
            include_seen=arguments.include_seen,
            jobs=os.cpu_count() or 1,
            progress=progress,
        )
    for note in notes:
        say(f"Note: {note}")
    print(json.dumps(found.to_json(), indent=2) if arguments.json else describe_evaluation(found))
    return 0


def predict_flags(parser: Parser) -> None:
    """Add the flags of `predict`."""
    parser.add_argument("model", help="model.h5 of a run")
    parser.add_argument("inputs", nargs="+", metavar="input", help="picture files and folders")
    parser.add_argument("-o", "--output", default="-", help="file to write, .csv or .jsonl (default: standard output)")
    parser.add_argument("--format", choices=("csv", "jsonl"), default="", help="of the output (default: by its ending)")
    parser.add_argument("--topk", type=int, default=1, help="labels for each picture (default: 1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="decoding threads (default: all cores)")


def predict(arguments: Arguments) -> int:
    """Classify files, a row for each."""
    from pipeline import predict as predicting
    from pipeline.classifier import ImageClassifier

    if arguments.topk < 1 or arguments.jobs < 1:
        raise InputError("--topk and --jobs: give 1 or more")
    write = predicting.writer_for("" if arguments.output == "-" else arguments.output, arguments.format)
    classifier = ImageClassifier.load(arguments.model)
    items, ignored = predicting.find_items(arguments.inputs, classifier.classes)
    if ignored:
        say(f"Passed over: {', '.join(f'{count} {reason}' for reason, count in sorted(ignored.items()))}")
    with progress_bar("Classifying", "files") as progress:
        rows = predicting.predict(classifier, items, topk=arguments.topk, jobs=arguments.jobs, progress=progress)
        return write_rows(classifier, rows, arguments.output, write, topk=min(arguments.topk, len(classifier.classes)))


def write_rows(classifier: ImageClassifier, rows: Iterator, output: str, write: Callable, *, topk: int) -> int:
    """Write rows to a file (complete or not at all) or to standard output, and the totals to stderr."""
    from pipeline.predict import Tally

    tally = Tally(classifier)
    if output == "-":
        write(tally.counting(rows), sys.stdout, topk)
        sys.stdout.flush()
    else:
        from model.atomic import replacing

        if Path(output).is_dir():
            raise InputError(f"{output}: is a folder; give the name of a file to write")
        with replacing(output) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            write(tally.counting(rows), file, topk)
    say(tally.describe() + ("" if output == "-" else f"; written to {output}"))
    return 3 if tally.statuses["error"] else 0


def filters_flags(parser: Parser) -> None:
    """Add the flags of `filters`."""
    parser.add_argument("model", help="model.h5 of a run")
    parser.add_argument("-o", "--output", default="filters.png", help="picture to write (default: filters.png)")
    parser.add_argument("--max-units", type=int, default=100, help="draw at most so many units (default: 100)")


def filters(arguments: Arguments) -> int:
    """Draw the first layer."""
    from pipeline.classifier import ImageClassifier
    from pipeline.figures import draw_filters, save_figure

    if arguments.max_units < 1:
        raise InputError("--max-units: give 1 or more")
    classifier = ImageClassifier.load(arguments.model)
    title = f"First layer of {classifier.provenance.get('name', Path(arguments.model).parent.name)}"
    W1 = classifier.parameters[1].W
    figure = draw_filters(W1, classifier.geometry.shape, title=title, max_units=arguments.max_units)
    save_figure(figure, arguments.output)
    print(f"The weights of {min(len(W1), arguments.max_units)} first-layer units are drawn in {arguments.output}")
    return 0


def app_flags(parser: Parser) -> None:
    """Add the flags of `app`."""
    parser.add_argument("model", nargs="?", help="model.h5 to start with (default: the newest in runs/)")
    parser.add_argument("--runs", default="runs", help="folder of runs to choose from (default: runs)")
    parser.add_argument("--port", type=int, default=8501, help="of the local server (default: 8501)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser window")


def app(arguments: Arguments) -> int:
    """Serve the app."""
    from pipeline.launch import launch

    if arguments.model:
        from pipeline.classifier import ImageClassifier

        ImageClassifier.load(arguments.model)  # a wrong file is told here, not in the browser
    return launch(arguments.model, arguments.runs, arguments.port, browser=not arguments.no_browser)
