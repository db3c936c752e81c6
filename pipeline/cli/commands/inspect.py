"""`facette inspect`: images, a data set, a model, runs, or the installation."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser as Parser
from argparse import Namespace as Arguments
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.cli.console import print_result, progress_clock
from pipeline.errors import InputError

if TYPE_CHECKING:
    from pipeline.training.runs import RunSummary

EXAMPLES = (
    ("data/faces --html findings.html", "list problems of images: duplicates, odd images, label leakage"),
    ("runs/demo-faces", "describe a model: its layers, its classes, what it was trained on"),
    ("runs", "compare runs"),
    ("", "list the versions of what is installed"),
)


def add_arguments(parser: Parser) -> None:
    """Add the flags of `inspect`."""
    parser.add_argument(
        "what",
        nargs="?",
        help="images, a data set, a model, a run or a folder of runs (default: the installation)",
    )
    parser.add_argument("--json", action="store_true", help="print the findings on images, or the runs, as JSON")
    parser.add_argument("--html", metavar="FILE", help="write the findings on images as an HTML page")
    parser.add_argument("--contact-sheet", metavar="FILE", help="write examples of the findings on images as a PNG")
    parser.add_argument(
        "--group-by", default="", metavar="KEY", help="group images as `facette ingest --group-by` does"
    )


def run(arguments: Arguments) -> int:
    """Check images or a data set, or describe a model, runs or the installation."""
    from pipeline.classifier import ImageClassifier, is_model
    from pipeline.cli.describe import describe_installation, describe_model

    if arguments.what and not is_model(arguments.what):
        from pipeline.training.runs import list_runs

        runs = list_runs(arguments.what)
        return _compare_runs(arguments, runs) if runs else _audit_images(arguments)
    if arguments.json or arguments.html or arguments.contact_sheet:
        raise InputError("--json, --html and --contact-sheet are for images: name a folder or a data set")
    print_result(describe_model(ImageClassifier.load(arguments.what)) if arguments.what else describe_installation())
    return 0


def _compare_runs(arguments: Arguments, runs: Sequence[RunSummary]) -> int:
    from dataclasses import asdict

    from pipeline.cli.describe import describe_runs

    if arguments.html or arguments.contact_sheet or arguments.group_by:
        raise InputError("--html, --contact-sheet and --group-by are for images; this is a folder of runs")
    found = [{**asdict(run), "model": str(run.model), "baselines": dict(run.baselines)} for run in runs]
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        print_result(describe_runs(runs))
    return 0


def _audit_images(arguments: Arguments) -> int:
    from model.storage.atomic import replacing
    from pipeline.audit.audit import audit
    from pipeline.cli.describe import describe_dataset
    from pipeline.data.config import DataConfig
    from pipeline.data.dataset import Dataset, is_dataset

    config = DataConfig(group_by=arguments.group_by)
    with progress_clock("Checking images", "images") as progress:
        report = audit(arguments.what, config=config, jobs=os.cpu_count() or 1, progress=progress)
    if arguments.html:
        with replacing(arguments.html) as temporary:
            temporary.write_text(report.to_html(), encoding="utf-8")
    if arguments.contact_sheet:
        report.write_contact_sheet(arguments.contact_sheet)
    if arguments.json:
        print(report.to_json())
        return 0
    if is_dataset(arguments.what):
        with Dataset.open(arguments.what) as dataset:
            print_result(describe_dataset(dataset))
    print_result(report.to_text())
    return 0
