"""The command line: parse, call, print, exit code. Work is done elsewhere, and imported only when a command needs it.

Exit codes: 0 done; 1 failed; 2 wrong usage, configuration or input; 3 done, with rows in error; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from pipeline.console import progress_bar, say
from pipeline.errors import InputError

if TYPE_CHECKING:
    from pipeline.classifier import ImageClassifier
    from pipeline.train import TrainingRun

Arguments = argparse.Namespace


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others, instead of a page of flags and then a line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the flags are explained."""
        say(f"{self.prog}: {message.removeprefix('argument ')} (see {self.prog} --help)")
        sys.exit(2)


def _add_training_flags(parser: Parser) -> None:
    from model.config import NetworkConfig, TrainingConfig
    from pipeline.config import DataConfig
    from pipeline.flags import add_flags

    group = parser.add_argument_group("run")
    group.add_argument("--name", help="of the run: results go to RUNS/NAME (default: from the source)")
    group.add_argument("--runs", default="runs", help="folder of all runs (default: runs)")
    group.add_argument("--overwrite", action="store_true", help="replace a run of this name")
    group.add_argument("--config", help="TOML file with [data], [network], [training], such as a run's config.toml")
    group.add_argument("--memory", type=float, default=1000, help="MB of pictures to hold in memory (default: 1000)")
    group.add_argument("--threads", type=int, help="processor threads (default: all)")
    add_flags(parser, DataConfig, "data")
    add_flags(parser, NetworkConfig, "network")
    add_flags(parser, TrainingConfig, "training")


def _train_flags(parser: Parser) -> None:
    parser.add_argument("source", nargs="?", help="folder with a sub-folder for each class, or a data set (.h5)")
    parser.add_argument("--resume", metavar="RUN", help="go on with an interrupted run, such as runs/first")
    parser.add_argument(
        "--start-from", metavar="MODEL", help="train this model.h5 further, with its layers, classes and picture size"
    )
    parser.add_argument(
        "--find-learning-rate",
        action="store_true",
        help="try ever larger learning rates for a moment, draw the cost, and stop",
    )
    _add_training_flags(parser)


def _train(arguments: Arguments) -> int:
    if bool(arguments.source) == bool(arguments.resume):
        raise InputError("train needs either a SOURCE of pictures or --resume RUN")
    with _threads(arguments.threads):
        if arguments.resume:
            from model.config import NetworkConfig, TrainingConfig
            from pipeline.config import DataConfig
            from pipeline.train import resume

            names = {field.name for kind in (DataConfig, NetworkConfig, TrainingConfig) for field in fields(kind)}
            _refuse_flags(arguments, names, "--resume goes on with the configuration that the run began with")
            run = resume(arguments.resume)
            say(f"Resuming {run.folder} after epoch {run.state.epoch}")
        else:
            run = _prepare(arguments, arguments.source, arguments.overwrite)
        with run.dataset:
            if arguments.find_learning_rate:
                return _find_learning_rate(run)
            return _run_to_the_end(run)


def _refuse_flags(arguments: Arguments, names: set[str], why: str) -> None:
    given = [f"--{name.replace('_', '-')}" for name in sorted(names & set(vars(arguments)))]
    if given:
        raise InputError(f"{why}; leave out {', '.join(given)}")


def _prepare(arguments: Arguments, source: str, overwrite: bool) -> TrainingRun:
    from model.config import NetworkConfig, TrainingConfig
    from pipeline.config import DataConfig
    from pipeline.console import describe_ingest
    from pipeline.flags import config_from_flags, read_toml
    from pipeline.train import prepare, run_folder

    start_from = getattr(arguments, "start_from", None)
    if start_from:
        fixed = {field.name for field in fields(NetworkConfig)} - {"dropout", "input_dropout"}
        _refuse_flags(arguments, fixed | {"size", "color", "fit"}, "--start-from keeps MODEL's layers and pictures")
        say(
            "Starting from the weights of a saved model: its batch normalisation is folded into them and stays off, "
            "and the optimiser starts anew"
        )
    stored = read_toml(arguments.config) if arguments.config else {}
    with progress_bar("Reading pictures", "pictures") as progress:
        run = prepare(
            source,
            run_folder(arguments.runs, arguments.name, source, overwrite=overwrite),
            data=config_from_flags(DataConfig, arguments, stored.get("data", {})),
            network=config_from_flags(NetworkConfig, arguments, stored.get("network", {})),
            training=config_from_flags(TrainingConfig, arguments, stored.get("training", {})),
            start_from=start_from,
            memory=int(arguments.memory * 1e6),
            jobs=os.cpu_count() or 1,
            progress=progress,
        )
    if run.ingested:
        say(describe_ingest(run.ingested))
    return run


def _run_to_the_end(run: TrainingRun) -> int:
    from model.training import Diverged
    from pipeline.console import describe_plan, describe_result, show_epoch

    say(describe_plan(run))
    total = int(run.state.training.epochs)
    try:
        for record in run.epochs():
            show_epoch(record, total)
    except KeyboardInterrupt:
        return _interrupted(run)
    except Diverged as error:
        say(f"facette: {error}")
        if run.state.epoch:
            run.save_model()
            say(f"The best weights of the {run.state.epoch} epochs before are in {run.folder / 'model.h5'}")
        else:
            run.discard()
        return 1
    say("Evaluating, and writing the report")
    result = run.finish()
    print(describe_result(result))
    print(f"The run is in {run.folder}: model.h5, report.html, filters.png, metrics.json, history.csv, config.toml")
    return 0


def _interrupted(run: TrainingRun) -> int:
    if not run.state.epoch:
        run.discard()
        say("Interrupted before the first epoch was done: nothing is kept")
        return 130
    run.save_model()
    say(
        f"Interrupted after epoch {run.state.epoch}; {run.folder / 'model.h5'} holds the best weights so far.\n"
        f"Go on with:  facette train --resume {run.folder}"
    )
    return 130


def _find_learning_rate(run: TrainingRun) -> int:
    from model.rate_range import find_learning_rate, suggest
    from pipeline.figures import save_figure
    from pipeline.report import draw_rate_range

    points = list(find_learning_rate(run.state, run.train_source))
    rates, costs = [rate for rate, _ in points], [cost for _, cost in points]
    path = run.folder / "learning_rate.png"
    try:
        rate = suggest(rates, costs)
    except ValueError as error:
        raise InputError(str(error)) from None
    save_figure(draw_rate_range(rates, costs, rate), path)
    print(f"A good peak learning rate is about {rate:.2g}: the cost falls steepest there ({path})")
    print(f"Train with:  facette train {run.source} --learning-rate {rate:.2g} --name NAME")
    return 0


def _demo_flags(parser: Parser) -> None:
    parser.add_argument("demo", nargs="?", default="faces", help="faces or digits (default: faces)")
    parser.add_argument("--data", default="data", help="folder for the demo's pictures (default: data)")
    _add_training_flags(parser)


def _demo(arguments: Arguments) -> int:
    from pipeline.demo import DEMOS, write_demo
    from pipeline.predict import find_items, predict, write_csv

    folder = write_demo(arguments.demo, Path(arguments.data) / arguments.demo)
    say(f"Demo: {DEMOS[arguments.demo].about}\nThe pictures are in {folder}, a folder for each class.")
    arguments.name = arguments.name or f"demo-{arguments.demo}"
    say(f"\n$ facette train {folder} --name {arguments.name}")
    with _threads(arguments.threads):
        run = _prepare(arguments, str(folder), overwrite=True)
        with run.dataset:
            code = _run_to_the_end(run)
    if code:
        return code
    output, model = run.folder / "predictions.csv", run.folder / "model.h5"
    say(f"\n$ facette predict {model} {folder} -o {output}")
    classifier = _load(model)
    items, _ = find_items([str(folder)], classifier.classes)
    code = _write_rows(classifier, predict(classifier, items), str(output), write_csv, topk=1)
    print(
        f"\nWhat next:\n"
        f"  look at {run.folder / 'report.html'} and {run.folder / 'filters.png'}\n"
        f"  facette app {model}\n"
        f"  facette train YOUR_PHOTOS/      (a folder with one sub-folder for each class)\n"
        f"  facette predict {model} PICTURES/ -o predictions.csv"
    )
    return code


def _ingest_flags(parser: Parser) -> None:
    from pipeline.config import DataConfig
    from pipeline.flags import add_flags

    parser.add_argument("source", help="folder with a sub-folder for each class")
    parser.add_argument("target", help="data set file to make, such as faces.h5")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="decoding threads (default: all cores)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    add_flags(parser, DataConfig, "data")


def _ingest(arguments: Arguments) -> int:
    from pipeline.config import DataConfig
    from pipeline.console import describe_ingest
    from pipeline.flags import config_from_flags
    from pipeline.ingest import ingest

    with progress_bar("Reading pictures", "pictures") as progress:
        report = ingest(
            arguments.source,
            arguments.target,
            config_from_flags(DataConfig, arguments, {}),
            jobs=arguments.jobs,
            progress=progress,
        )
    print(json.dumps(report.to_dict(), indent=2) if arguments.json else describe_ingest(report))
    if not arguments.json:
        print(f"The data set is in {arguments.target}. Train on it with:  facette train {arguments.target}")
    return 0


def _inspect_flags(parser: Parser) -> None:
    parser.add_argument("what", nargs="?", help="a model or a data set (.h5); nothing: the installation")


def _inspect(arguments: Arguments) -> int:
    from pipeline.inspection import describe

    print(describe(arguments.what))
    return 0


def _evaluate_flags(parser: Parser) -> None:
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


def _evaluate(arguments: Arguments) -> int:
    from pipeline.console import describe_evaluation
    from pipeline.evaluate import evaluate

    classifier = _load(arguments.model)
    with progress_bar("Reading pictures", "pictures") as progress:
        found, notes = evaluate(
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


def _predict_flags(parser: Parser) -> None:
    parser.add_argument("model", help="model.h5 of a run")
    parser.add_argument("inputs", nargs="+", metavar="input", help="picture files and folders")
    parser.add_argument("-o", "--output", default="-", help="file to write, .csv or .jsonl (default: standard output)")
    parser.add_argument("--format", choices=("csv", "jsonl"), default="", help="of the output (default: by its ending)")
    parser.add_argument("--topk", type=int, default=1, help="labels for each picture (default: 1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="decoding threads (default: all cores)")


def _predict(arguments: Arguments) -> int:
    from pipeline.predict import find_items, predict, writer_for

    if arguments.topk < 1 or arguments.jobs < 1:
        raise InputError("--topk and --jobs: give 1 or more")
    write = writer_for("" if arguments.output == "-" else arguments.output, arguments.format)
    classifier = _load(arguments.model)
    items, ignored = find_items(arguments.inputs, classifier.classes)
    if ignored:
        say(f"Passed over: {', '.join(f'{count} {reason}' for reason, count in sorted(ignored.items()))}")
    with progress_bar("Classifying", "files") as progress:
        rows = predict(classifier, items, topk=arguments.topk, jobs=arguments.jobs, progress=progress)
        return _write_rows(classifier, rows, arguments.output, write, topk=min(arguments.topk, len(classifier.classes)))


def _write_rows(classifier: ImageClassifier, rows: Iterator, output: str, write: Callable, *, topk: int) -> int:
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


def _filters_flags(parser: Parser) -> None:
    parser.add_argument("model", help="model.h5 of a run")
    parser.add_argument("-o", "--output", default="filters.png", help="picture to write (default: filters.png)")
    parser.add_argument("--max-units", type=int, default=100, help="draw at most so many units (default: 100)")


def _filters(arguments: Arguments) -> int:
    from pipeline.figures import draw_filters, save_figure

    if arguments.max_units < 1:
        raise InputError("--max-units: give 1 or more")
    classifier = _load(arguments.model)
    title = f"First layer of {classifier.provenance.get('name', Path(arguments.model).parent.name)}"
    W1 = classifier.parameters[1].W
    figure = draw_filters(W1, classifier.geometry.shape, title=title, max_units=arguments.max_units)
    save_figure(figure, arguments.output)
    print(f"The weights of {min(len(W1), arguments.max_units)} first-layer units are drawn in {arguments.output}")
    return 0


def _app_flags(parser: Parser) -> None:
    parser.add_argument("model", nargs="?", help="model.h5 to start with (default: the newest in runs/)")
    parser.add_argument("--runs", default="runs", help="folder of runs to choose from (default: runs)")
    parser.add_argument("--port", type=int, default=8501, help="of the local server (default: 8501)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser window")


def _app(arguments: Arguments) -> int:
    from pipeline.launch import launch

    if arguments.model:
        _load(arguments.model)  # a wrong file is told here, not in the browser
    return launch(arguments.model, arguments.runs, arguments.port, browser=not arguments.no_browser)


class Command(NamedTuple):
    """A line of the table of commands."""

    help: str
    add_flags: Callable[[Parser], None]
    run: Callable[[Arguments], int]


COMMANDS = {
    "demo": Command("train on real pictures that come with the installation, and look around", _demo_flags, _demo),
    "ingest": Command("turn pictures into a data set file", _ingest_flags, _ingest),
    "inspect": Command("describe a model, a data set, or the installation", _inspect_flags, _inspect),
    "train": Command("train a classifier on a folder of labelled pictures", _train_flags, _train),
    "evaluate": Command("measure a classifier on labelled pictures", _evaluate_flags, _evaluate),
    "predict": Command("classify picture files, a row for each", _predict_flags, _predict),
    "filters": Command("draw the weights of a classifier's first layer", _filters_flags, _filters),
    "app": Command("open the app in a browser", _app_flags, _app),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    arguments = _parse(argv)
    try:
        return COMMANDS[arguments.command].run(arguments)
    except KeyboardInterrupt:
        say("Interrupted")
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        from model.checkpoint import FormatError
        from model.config import ConfigError

        if not isinstance(error, (InputError, ConfigError, FormatError, OSError)):
            raise  # a mistake of the program, not of the person
        say(f"facette {arguments.command}: {error}")
        return 2


def _parse(argv: list[str]) -> Arguments:
    from importlib.metadata import version

    parser = Parser(
        prog="facette", description="Turn a folder of labelled pictures into a classifier you can look into."
    )
    parser.add_argument("--version", action="version", version=f"facette {version('facette')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.help, description=command.help)
        if name in argv:  # other commands' flags would only cost time
            command.add_flags(sub)
    if not argv:
        parser.print_help(sys.stderr)
        sys.exit(2)
    return parser.parse_args(argv)


def _load(path: str | Path) -> ImageClassifier:
    from pipeline.classifier import ImageClassifier

    return ImageClassifier.load(path)


@contextmanager
def _threads(n: int | None) -> Iterator[None]:
    if n is None:
        yield
        return
    if n < 1:
        raise InputError("--threads: give 1 or more")
    import numpy as np  # noqa: F401  (its BLAS has to be loaded to be limited)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(n):
        yield


if __name__ == "__main__":
    sys.exit(main())
