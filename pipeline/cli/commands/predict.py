"""`facette predict`."""

from __future__ import annotations

import json
import math
import os
import sys
from argparse import Action
from argparse import ArgumentParser as Parser
from argparse import Namespace as Arguments
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.console import Clock, progress_bar, quiet, results_in_utf8, say
from pipeline.cli.flags import add_worker_flags, chosen_workers, load_model
from pipeline.errors import InputError, is_full
from pipeline.files.names import escape
from pipeline.invocation import command_line

if TYPE_CHECKING:
    from pipeline.classifier import ImageClassifier
    from pipeline.prediction.inputs import Inputs
    from pipeline.prediction.predict import Settings
    from pipeline.prediction.rows import Tally
    from pipeline.workers import Workers

_MOST_NAMED = 20  # files that an undo leaves alone
EXAMPLES = (
    ("runs/demo-faces data/faces -o rows.csv", "classify the images of a folder, and write a row for each"),
    ("runs/demo-faces data/faces/face/0000.png --topk 2", "print the two most probable classes of one image"),
    ("runs/demo-faces data/faces -o sorted.csv --copy-to sorted", "also copy the images into a folder for each class"),
)


def add_arguments(parser: Parser) -> None:
    """Add the flags of `predict`."""
    from pipeline.settings import positive

    model = parser.add_argument("model", help="a model.h5, or the folder of a run")
    inputs = parser.add_argument(
        "inputs",
        nargs="+",
        metavar="input",
        help="image files, folders, patterns, .txt lists, .csv tables with a column path, - for paths on standard "
        "input, zip archives, data sets (.h5)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="-",
        help="file to write: .csv, .jsonl or .parquet (default: standard output)",
    )
    parser.add_argument(
        "--format",
        choices=("csv", "jsonl", "parquet"),
        default="",
        help="format of the rows (default: by the ending of FILE)",
    )
    parser.add_argument("--topk", type=positive, metavar="N", default=1, help="labels for each image (default: 1)")
    parser.add_argument("--threshold", type=float, metavar="0.8", default=0.0, help="abstain below this probability")
    parser.add_argument(
        "--reject",
        type=float,
        metavar="0.05",
        help="abstain on uncertain images; the number is the share of good images to lose",
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="CLASS", help="write only rows of this class; repeatable"
    )
    parser.add_argument(
        "--scale",
        type=float,
        metavar="WHITE",
        help="value of white in images that are not 8-bit, such as 65535 (default: that of the model)",
    )
    sorting = parser.add_mutually_exclusive_group()
    sorting.add_argument("--copy-to", metavar="DIR", help="copy the images into a folder for each class")
    sorting.add_argument("--move-to", metavar="DIR", help="move the images into a folder for each class")
    parser.add_argument(
        "--undo",
        metavar="DIR",
        action=_Undo,
        positionals=(model, inputs),
        help="take back what was sorted into this folder: copies are removed, moved files go back; give nothing else",
    )
    parser.add_argument("--keep-errors", action="store_true", help="do not retry files that failed")
    parser.add_argument("--overwrite", action="store_true", help="start over and replace the output")
    parser.add_argument("--json", action="store_true", help="print the totals as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="write no progress, notes and totals; only errors")
    parser.add_argument(
        "-0",
        "--null",
        action="store_true",
        help="the paths on standard input are separated by NUL, as find -print0 writes them",
    )
    parser._has_negative_number_optionals.clear()  # else `-1` is no value: -0 is an option
    add_worker_flags(parser, "work")


class _Undo(Action):
    """Takes the folder of a sorting; no model and no images are needed then."""

    def __init__(self, *arguments: Any, positionals: Sequence[Action], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._positionals = positionals

    def __call__(self, parser: Parser, namespace: Arguments, values: Any, option_string: str | None = None) -> None:
        namespace.undo = values
        for action in self._positionals:
            action.required = False


def run(arguments: Arguments) -> int:
    """Classify files, a row for each; or undo a sorting."""
    if arguments.undo:
        return _undo(arguments)
    with quiet(arguments.quiet):
        return _classify(arguments)


def _classify(arguments: Arguments) -> int:
    from pipeline.files.names import composed
    from pipeline.prediction.formats import format_for
    from pipeline.prediction.inputs import Inputs
    from pipeline.prediction.sort import SourceCheck
    from pipeline.prediction.total import FileTotal

    workers = chosen_workers(arguments)
    format = format_for(arguments.output, arguments.format)
    if arguments.output == "-":
        for flag in ("copy_to", "move_to", "workers", "dask"):
            if getattr(arguments, flag):
                raise InputError(f"--{flag.replace('_', '-')}: give an output file, too, with -o")
    classifier = load_model(arguments.model, arguments.inputs, "predict")
    if arguments.scale is not None:
        classifier = classifier.with_scale(arguments.scale)
    spelt = {composed(name): name for name in classifier.classes}
    arguments.only = [spelt.get(composed(name), name) for name in arguments.only]
    unknown = sorted(set(arguments.only) - set(classifier.classes))
    if unknown:
        raise InputError(f"--only {unknown[0]}: the model knows {', '.join(classifier.classes)}")
    target = arguments.copy_to or arguments.move_to
    check = SourceCheck(target, classifier.classes) if target else None
    check_folder, check_file = (check.check_folder, check.check_file) if check else (None, None)
    facts = {"outputs": _outputs(arguments), "scale": classifier.geometry.scale, "nul": arguments.null}
    with Clock("Reading lists and archives").ticking():
        inputs = Inputs(arguments.inputs, classifier.classes, **facts, check_folder=check_folder, check_file=check_file)
    for note in inputs.notes:
        say(f"Note: {note}")
    settings = _settings(arguments, classifier, format)
    if arguments.output == "-":
        with one_thread_of_blas():
            code = _to_standard_output(arguments, classifier, inputs, settings)
    else:
        again = [] if "-" in arguments.inputs else arguments.inputs  # standard input can be read once only
        with (
            one_thread_of_blas(),
            FileTotal(lambda: Inputs(again, **facts)) as total,
            progress_bar("Classifying", "files") as progress,
        ):
            code = _to_file(arguments, classifier, inputs, settings, workers, lambda done, _: progress(done, total.n))
    if inputs.ignored:
        say(f"Ignored: {', '.join(f'{count:,} {reason}' for reason, count in sorted(inputs.ignored.items()))}")
    return code


def _outputs(arguments: Arguments) -> list[Path]:
    """Return what this command writes, which is no input even if it lies among the images."""
    from pipeline.files.store import store_path

    target = arguments.copy_to or arguments.move_to
    files = [] if arguments.output == "-" else [Path(arguments.output), store_path(Path(arguments.output))]
    return [*files, *([Path(target)] if target else [])]


def _undo(arguments: Arguments) -> int:
    from pipeline.prediction.undo import undo_sorting
    from pipeline.text import count

    if arguments.model or arguments.inputs or arguments.copy_to or arguments.move_to:
        raise InputError("--undo: give only the folder that images were sorted into, without a model or images")
    with progress_bar("Undoing", "files") as progress:
        result = undo_sorting(arguments.undo, progress)
    for path, reason in result.left[:_MOST_NAMED]:
        say(f"{escape(path)}: {reason}")
    if len(result.left) > _MOST_NAMED:
        say(f"and {len(result.left) - _MOST_NAMED:,} more")
    found = [f"{n:,} {what}" for what, n in sorted(result.outcomes.items())]
    left = f"; {count(len(result.left), 'file')} left alone" if result.left else ""
    say(f"{arguments.undo}: {', '.join(found) or 'nothing to undo'}{left}")
    if arguments.json:
        print(json.dumps({**result.outcomes, "left": [[escape(path), reason] for path, reason in result.left]}))
    return 3 if result.left else 0


@contextmanager
def one_thread_of_blas() -> Iterator[None]:
    """Keep BLAS from starting threads: each of our threads does its own products, always in the same way."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def _settings(arguments: Arguments, classifier: ImageClassifier, format: str) -> Settings:
    from pipeline.prediction.predict import Settings

    uncertainty_threshold = math.inf
    if not 0 <= arguments.threshold <= 1:
        likely = f", such as {arguments.threshold / 100:g}" if 1 < arguments.threshold <= 100 else ""
        raise InputError(f"--threshold: give a probability from 0 to 1{likely}")
    if arguments.reject is not None:
        if not 0 < arguments.reject < 1:
            raise InputError("--reject: give a share between 0 and 1, such as 0.05")
        uncertainty_threshold = classifier.uncertainty_threshold(arguments.reject)
        assert classifier.calibration
        m = classifier.calibration.m
        say(
            f"Abstaining if the uncertainty is above {uncertainty_threshold:.3g}: the threshold rests on {m:,} "
            f"validation images, of which about {arguments.reject * m:,.0f} would be lost"
        )
    return Settings(
        topk=min(arguments.topk, len(classifier.classes)),
        threshold=arguments.threshold,
        uncertainty_threshold=uncertainty_threshold,
        only_classes=tuple(sorted(set(arguments.only))),
        format=format,
    )


def _to_standard_output(arguments: Arguments, classifier: ImageClassifier, inputs: Inputs, settings: Settings) -> int:
    """Write rows as they come."""
    from pipeline.prediction.chunks import split_into_chunks
    from pipeline.prediction.formats import OUTPUT_FORMATS
    from pipeline.prediction.job import write_chunk
    from pipeline.prediction.rows import Tally
    from pipeline.workers import Threads

    tally = Tally(len(classifier.classes), classifier.were_trained_on)
    results_in_utf8()
    header = OUTPUT_FORMATS[settings.format].header(settings.topk)
    chunks = split_into_chunks(inputs, classifier.geometry.n_x)
    for _, done in Threads(arguments.jobs).map(write_chunk, (classifier, settings), chunks):
        tally.merge(done.record.counts)
        tally.classified_now += done.record.m
        sys.stdout.write((header + done.lines).decode())
        sys.stdout.flush()
        header = b""
    labels = tally.describe_labels()
    return _report(arguments, tally, f"{tally.describe()}\n{labels}" if labels else tally.describe())


def _to_file(
    arguments: Arguments,
    classifier: ImageClassifier,
    inputs: Inputs,
    settings: Settings,
    workers: Workers,
    progress: Callable,
) -> int:
    """Write rows to a file, which appears complete or not at all, and sort the images if that was asked for."""
    from pipeline.files.store import store_path
    from pipeline.prediction.job import JobResult, PredictionJob, predict_to_file, unfinished_move
    from pipeline.prediction.sort import check_target, sort_images
    from pipeline.text import count

    target, output = arguments.copy_to or arguments.move_to, Path(arguments.output)
    if target and inputs.containers:
        raise InputError(f"{inputs.containers[0]}: its images cannot be sorted; unpack it, and give the folder")
    if target:
        check_target(target, classifier.classes)
    stored = store_path(output)
    try:
        outcome: JobResult | None = None
        if not arguments.overwrite:
            outcome = unfinished_move(classifier, output, arguments.move_to)
        if outcome is None:
            job = PredictionJob(
                classifier, inputs, output, settings, keep_errors=arguments.keep_errors, overwrite=arguments.overwrite
            )
            outcome = predict_to_file(job, workers, notify=lambda text: say(f"Note: {escape(text)}"), progress=progress)
        with outcome.journal as journal:
            tally = outcome.tally
            only = settings.only_classes
            rows = f"{count(sum(tally.labels[name] for name in only), 'row')} " if only else ""
            text, hints = f"{tally.describe()}; {rows}written to {arguments.output}", [tally.describe_labels()]
            if target:
                if arguments.move_to:
                    journal.mark(moving=os.path.abspath(target))  # noqa: PTH100
                sorted_ = sort_images(journal, outcome.keys, target, move=bool(arguments.move_to))
                text += f"; in {target}: {', '.join(f'{n:,} {what}' for what, n in sorted_.items()) or 'nothing'}"
                if any(sorted_[what] for what in ("copied", "moved", "copied only")):
                    hints.append(f"To take this back:  {command_line('predict', '--undo', escape(target))}")
            if not tally.statuses["error"] or arguments.keep_errors or arguments.move_to:
                journal.remove()
            else:
                hints.append(f"{stored} is kept: the same command tries the errors again, --keep-errors accepts them")
    except KeyboardInterrupt:
        if stored.exists():
            say(f"What was done is kept in {stored}: the same command resumes")
        raise
    except BrokenPipeError:
        raise
    except OSError as error:
        when = "when there is room again, " if is_full(error) else ""
        kept = f"; what was done is kept in {stored}: {when}the same command resumes" if stored.exists() else ""
        say(f"facette predict: {arguments.output}: {error.strerror or error}{kept}", is_error=True)
        return 1
    return _report(arguments, tally, "\n".join(filter(None, [text, *hints])))


def _report(arguments: Arguments, tally: Tally, text: str) -> int:
    say(text)
    if arguments.json:
        print(json.dumps(tally.to_json()), file=sys.stderr if arguments.output == "-" else sys.stdout)
    return 3 if tally.statuses["error"] else 0
