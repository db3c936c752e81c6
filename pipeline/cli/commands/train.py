"""`facette train`."""

from __future__ import annotations

import os
import shlex
from argparse import ArgumentParser as Parser
from argparse import Namespace as Arguments
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from model.errors import Diverged
from pipeline.cli.console import progress_bar, say, say_for_a_moment
from pipeline.errors import InputError
from pipeline.text import count

if TYPE_CHECKING:
    from model.training import EpochRecord
    from pipeline.training.recipe import Recipe
    from pipeline.training.run import TrainingRun


def add_training_flags(parser: Parser) -> None:
    """Add the flags of every command that trains."""
    from pipeline.data.config import DataConfig
    from pipeline.settings import CONFIGURATIONS, add_flags
    from pipeline.training.recipe import RunConfig

    group = parser.add_argument_group("results")
    group.add_argument("--name", help="name of the run: results go to RUNS/NAME (default: from the source)")
    group.add_argument("--runs", default="runs", help="folder of all runs (default: runs)")
    group.add_argument("--overwrite", action="store_true", help="replace a run of this name")
    group.add_argument("--config", help="TOML file of settings, such as a run's config.toml")
    for title, kind in {"run": RunConfig, "data": DataConfig, **CONFIGURATIONS}.items():
        add_flags(parser, kind, title)


def add_arguments(parser: Parser) -> None:
    """Add the flags of `train`."""
    parser.add_argument("source", nargs="?", help="folder with a sub-folder for each class, or a data set (.h5)")
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="resume an interrupted run, such as runs/first; for a finished run, write its scores and report again",
    )
    parser.add_argument(
        "--find-learning-rate",
        action="store_true",
        help="try increasing learning rates for a moment, draw the cost, and stop",
    )
    add_training_flags(parser)


def run(arguments: Arguments) -> int:
    """Train, resume, or look for a learning rate."""
    if bool(arguments.source) == bool(arguments.resume):
        raise InputError("train needs either a SOURCE of images or --resume RUN")
    if arguments.find_learning_rate and (arguments.overwrite or arguments.resume):
        raise InputError("--find-learning-rate starts a run of its own; leave out --overwrite and --resume")
    run = _resume(arguments) if arguments.resume else prepare_run(arguments, arguments.source, arguments.overwrite)
    with run.dataset:
        if arguments.find_learning_rate:
            return _find_learning_rate(run, arguments.argv)
        code = run_to_the_end(run)
        return 3 if not code and run.ingested and run.ingested.rejected else code


def _resume(arguments: Arguments) -> TrainingRun:
    from pipeline.data.config import DataConfig
    from pipeline.settings import CONFIGURATIONS
    from pipeline.training.recipe import RunConfig
    from pipeline.training.resume import resume

    kinds = (RunConfig, DataConfig, *CONFIGURATIONS.values())
    fixed = {name for kind in kinds for name in _names(kind)} - {"threads"}
    _refuse_flags(arguments, fixed, "--resume continues with the configuration of the run")
    threads = vars(arguments).get("threads", "auto")
    run = resume(arguments.resume, threads=None if threads == "auto" else int(threads))
    if run.state.is_finished:
        say(f"{run.folder} is finished, after epoch {run.state.epoch}")
    else:
        say(f"Resuming {run.folder} after epoch {run.state.epoch}")
    return run


def _names(kind: type) -> Iterable[str]:
    return (field.name for field in fields(kind))


def _refuse_flags(arguments: Arguments, names: set[str], why: str) -> None:
    given = [f"--{name.replace('_', '-')}" for name in sorted(names & set(vars(arguments)))]
    if given:
        raise InputError(f"{why}; leave out {', '.join(given)}")


def prepare_run(arguments: Arguments, source: str, overwrite: bool) -> TrainingRun:
    """Prepare the run that the flags describe."""
    from pipeline.cli.describe import describe_ingest
    from pipeline.data.config import DataConfig
    from pipeline.files.toml import read_toml
    from pipeline.settings import CONFIGURATIONS, config_from_flags
    from pipeline.training.prepare import prepare
    from pipeline.training.recipe import Recipe, RunConfig
    from pipeline.training.run_folder import run_folder

    stored = read_toml(arguments.config) if arguments.config else {}
    configs: dict[str, Any] = {
        section: config_from_flags(kind, arguments, stored.get(section, {}))
        for section, kind in {**CONFIGURATIONS, "run": RunConfig}.items()
    }
    recipe = Recipe(**configs)
    if recipe.run.start_from:
        _check_fine_tuning(arguments, recipe)
    with progress_bar("Reading images", "images") as progress:
        run = prepare(
            source,
            run_folder(arguments.runs, arguments.name, source, overwrite=overwrite),
            data=config_from_flags(DataConfig, arguments, stored.get("data", {})),
            recipe=recipe,
            overwrite=overwrite,
            jobs=os.cpu_count() or 1,
            progress=progress,
        )
    if run.ingested:
        say(describe_ingest(run.ingested))
    return run


def _check_fine_tuning(arguments: Arguments, recipe: Recipe) -> None:
    from model.config import NetworkConfig
    from model.edges.config import PretrainConfig

    fixed = {*_names(NetworkConfig), *_names(PretrainConfig), "size", "color", "fit", "exact", "scale"}
    _refuse_flags(arguments, fixed - {"dropout", "input_dropout"}, "--start-from keeps MODEL's layers and images")
    if recipe.run.pretrain_on:
        raise InputError("--start-from keeps MODEL's first layer; leave out --pretrain-on")
    say(
        "Starting from the weights of a saved model: its batch normalisation is folded into them and stays off, "
        "and the optimiser starts over"
    )


def run_to_the_end(run: TrainingRun) -> int:
    """Train, evaluate and report; return the exit code."""
    from pipeline.cli.describe import describe_plan, describe_result
    from pipeline.training.finish import finish, save_model

    if not run.state.is_finished:
        say(describe_plan(run))
    total = run.state.training.epochs
    try:
        for record in run.epochs():
            _show_epoch(record, total)
    except KeyboardInterrupt:
        return _interrupted(run)
    except Diverged as error:
        say(f"facette: {error}")
        if run.state.epoch:
            save_model(run)
            say(f"The best weights of the {count(run.state.epoch, 'epoch')} before are in {run.folder / 'model.h5'}")
        else:
            run.discard()
        return 1
    say("Evaluating, and writing the report")
    try:
        result = finish(run)
    except KeyboardInterrupt:
        say(f"Interrupted; the training is done. For scores and report:  facette train --resume {run.folder}")
        return 130
    print(describe_result(result))
    print(f"The run is in {run.folder}: model.h5, report.html, filters.png, metrics.json, history.csv, config.toml")
    return 0


def _show_epoch(record: EpochRecord, epochs: int) -> None:
    """Write a line for about every tenth epoch; on a terminal, show the epochs between for a moment."""
    from pipeline.cli.describe import describe_epoch

    text = describe_epoch(record, epochs)
    if record.epoch in (1, epochs) or record.epoch % max(1, epochs // 10) == 0 or record.seconds > 5:
        say(text)
    else:
        say_for_a_moment(text)


def _interrupted(run: TrainingRun) -> int:
    from pipeline.training.finish import save_model

    if not run.state.epoch:
        run.discard()
        say("Interrupted before the end of the first epoch: nothing is kept")
        return 130
    save_model(run)
    say(
        f"Interrupted after epoch {run.state.epoch}; {run.folder / 'model.h5'} holds the weights so far.\n"
        f"Resume with:  facette train --resume {run.folder}"
    )
    return 130


def _find_learning_rate(run: TrainingRun, words: list[str]) -> int:
    from model.learning_rate_range import find_learning_rate, suggest
    from pipeline.explanation.figures import save_figure
    from pipeline.explanation.report import draw_rate_range

    points = list(find_learning_rate(run.state, run.train_source))
    run.discard()  # only the figure stays
    rates, costs = [rate for rate, _ in points], [cost for _, cost in points]
    path = run.folder / "learning_rate.png"
    try:
        rate = suggest(rates, costs)
    except ValueError as error:
        raise InputError(str(error)) from None
    run.folder.mkdir(parents=True, exist_ok=True)
    save_figure(draw_rate_range(rates, costs, rate), path)
    print(f"A good peak learning rate is about {rate:.2g}: the cost falls steepest there ({path})")
    again = [word for word in words if word != "--find-learning-rate"]
    print(f"Train with:  {shlex.join(['facette', *again, '--learning-rate', f'{rate:.2g}'])}")
    return 0
