"""`facette train`."""

from __future__ import annotations

import os
from argparse import Namespace as Arguments
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from model.errors import Diverged
from pipeline.cli.console import Clock, command_list, print_result, say
from pipeline.cli.parser import Parser
from pipeline.errors import InputError
from pipeline.invocation import command_line
from pipeline.text import count, duration

if TYPE_CHECKING:
    from pipeline.training.phases import Phase
    from pipeline.training.recipe import Recipe
    from pipeline.training.run import TrainingRun


EXAMPLES = (
    ("data/faces", "train with settings that suit the images"),
    (
        "data/faces --size 32 --hidden 128,64 --epochs 40 --name small",
        "choose image size, layers and epochs",
    ),
    ("--resume runs/small", "resume a run that was interrupted"),
)
# The options that --help explains; --help-all explains all.
_MAIN = (
    *("resume", "find_learning_rate", "name", "overwrite", "config"),
    *("size", "color", "hidden", "epochs", "learning_rate", "dropout", "augment"),
)
_WORTH_A_LINE = 1.0  # seconds


def add_training_flags(parser: Parser) -> None:
    """Add the flags of every command that trains."""
    from pipeline.data.config import DataConfig
    from pipeline.settings import CONFIGURATIONS, add_flags
    from pipeline.training.recipe import RunConfig

    group = parser.add_argument_group("results")
    group.add_argument("--name", help="name of the run: results go to runs/NAME (default: from the source)")
    group.add_argument("--runs", metavar="FOLDER", default="runs", help="folder of all runs (default: runs)")
    group.add_argument("--overwrite", action="store_true", help="replace a run of this name")
    group.add_argument("--config", metavar="FILE", help="TOML file of settings, such as a run's config.toml")
    for title, kind in {"run": RunConfig, "data": DataConfig, **CONFIGURATIONS}.items():
        add_flags(parser, kind, title)
    parser.show_first(_MAIN)


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
    if arguments.find_learning_rate:
        return _find_learning_rate(arguments)
    run = _resume(arguments) if arguments.resume else prepare_run(arguments, _new_folder(arguments))
    with run.dataset:
        code = run_to_the_end(run)
    if not code:
        print_result(next_steps(run))
        code = 3 if run.ingested and run.ingested.rejected else 0
    return code


def _new_folder(arguments: Arguments) -> Path:
    from pipeline.training.run_folder import run_folder

    return run_folder(arguments.runs, arguments.name, arguments.source, overwrite=arguments.overwrite)


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


def prepare_run(arguments: Arguments, folder: Path) -> TrainingRun:
    """Prepare the run that the flags describe."""
    from pipeline.cli.describe import describe_ingest
    from pipeline.data.config import DataConfig
    from pipeline.files.toml import read_toml
    from pipeline.settings import CONFIGURATIONS, config_from_flags
    from pipeline.training.prepare import prepare
    from pipeline.training.recipe import Recipe, RunConfig

    stored = read_toml(arguments.config) if arguments.config else {}
    configs: dict[str, Any] = {
        section: config_from_flags(kind, arguments, stored.get(section, {}))
        for section, kind in {**CONFIGURATIONS, "run": RunConfig}.items()
    }
    recipe = Recipe(**configs)
    if recipe.run.start_from:
        _check_fine_tuning(arguments, recipe)
    phases = PhaseLines()
    try:
        run = prepare(
            arguments.source,
            folder,
            data=config_from_flags(DataConfig, arguments, stored.get("data", {})),
            recipe=recipe,
            overwrite=arguments.overwrite,
            jobs=os.cpu_count() or 1,
            progress=phases.progress,
            watch=phases,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("before the training began: everything is as it was") from None
    if run.ingested:
        say(describe_ingest(run.ingested))
    return run


class PhaseLines:
    """Shows the phases of a run: each with a clock while it lasts, and with a line that stays if it was long."""

    def __init__(self) -> None:
        self._clock = Clock("")

    @contextmanager
    def __call__(self, phase: Phase) -> Iterator[None]:
        """Show a phase."""
        what = phase.value[0].upper() + phase.value[1:]
        with Clock(what).ticking() as self._clock:
            yield
        if self._clock.seconds >= _WORTH_A_LINE:
            say(f"{what}: {duration(self._clock.seconds)}")

    def progress(self, done: int, total: int) -> None:
        """Show how many images are read."""
        self._clock.progress(done, total, "images")


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
    try:
        _train(run)
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
    try:
        result = finish(run, watch=PhaseLines())
    except KeyboardInterrupt:
        say(f"Interrupted; the training is done. For scores and report:  {_resuming(run)}")
        return 130
    print_result(describe_result(result))
    print_result(
        f"The run is in {run.folder}: model.h5, report.html, filters.png, metrics.json, history.csv, config.toml"
    )
    return 0


def _train(run: TrainingRun) -> None:
    """Take all epochs. Write a line for about every tenth one; on a terminal, show the others for a moment."""
    from pipeline.cli.describe import describe_epoch

    epochs, before = run.state.training.epochs, run.state.epoch
    with closing(run.epochs()) as records, Clock("Training", lines=False).ticking() as clock:
        for record in records:
            text = describe_epoch(record, epochs)
            if record.epoch in (1, epochs) or record.epoch % max(1, epochs // 10) == 0 or record.seconds > 5:
                say(text)
            left = clock.seconds / (record.epoch - before) * (epochs - record.epoch)
            clock.note = f"{duration(left)} left, {text}"


def next_steps(run: TrainingRun, *more: tuple[str, str]) -> str:
    """Return what can be done with a finished run, as commands to paste; `more` are further ones, with what they do."""
    model, rows = run.folder / "model.h5", run.folder / "predictions.csv"
    is_folder = bool(run.dataset.counts) and run.dataset.counts[-1].get("kind") == "folder"
    images = run.source if is_folder and Path(run.source).is_dir() else "IMAGES"
    predicting = command_line("predict", model, images, "-o", rows, "--overwrite")
    return command_list(
        f"What next? The report is {run.folder / 'report.html'}.",
        [
            (command_line("app", model), "try the model in a browser, and look into its layers"),
            (predicting, "classify images; put a folder of your own in place of this one"),
            *more,
        ],
    )


def _resuming(run: TrainingRun) -> str:
    return command_line("train", "--resume", run.folder)


def _interrupted(run: TrainingRun) -> int:
    from pipeline.training.finish import save_model

    checkpoint = run.folder / "checkpoint.h5"
    if not checkpoint.exists():
        run.discard()
        say("Interrupted before the end of the first epoch: nothing is kept")
        return 130
    try:
        save_model(run)
        say(
            f"Interrupted after epoch {run.state.epoch}; {run.folder / 'model.h5'} holds the weights so far.\n"
            f"Resume with:  {_resuming(run)}"
        )
    except KeyboardInterrupt:
        say(f"Interrupted again. What was trained is safe in {checkpoint}.\nResume with:  {_resuming(run)}")
    return 130


def _find_learning_rate(arguments: Arguments) -> int:
    """Draw the cost against the learning rate; only the figure stays."""
    from pipeline.explanation.figures import save_figure
    from pipeline.explanation.report import draw_rate_range
    from pipeline.training.run_folder import run_folder

    if arguments.overwrite or arguments.resume:
        raise InputError("--find-learning-rate writes a figure and no run; leave out --overwrite and --resume")
    runs = Path(arguments.runs)
    name = run_folder(runs, arguments.name, arguments.source, overwrite=True).name
    path, existed = runs / f"{name}-learning-rate.png", runs.is_dir()
    runs.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(prefix=".learning-rate-", dir=runs) as folder:
            rates, costs, rate = _rate_range(prepare_run(arguments, Path(folder) / "run"))
        save_figure(draw_rate_range(rates, costs, rate), path)
    finally:
        if not existed:
            with suppress(OSError):  # not empty: the figure is there
                runs.rmdir()
    print_result(f"A good peak learning rate is about {rate:.2g}: the cost falls steepest there ({path})")
    again = [word for word in arguments.argv if not (len(word) > 4 and "--find-learning-rate".startswith(word))]
    print_result(f"Train with:  {command_line(*again, '--learning-rate', f'{rate:.2g}')}")
    return 0


def _rate_range(run: TrainingRun) -> tuple[list[float], list[float], float]:
    """Return learning rates, the cost at each, and the rate at which the cost falls steepest."""
    from model.learning_rate_range import find_learning_rate, suggest

    with run.dataset, Clock("Trying learning rates").ticking():
        points = list(find_learning_rate(run.state, run.train_source))
    rates, costs = [rate for rate, _ in points], [cost for _, cost in points]
    try:
        return rates, costs, suggest(rates, costs)
    except ValueError as error:
        raise InputError(str(error)) from None
