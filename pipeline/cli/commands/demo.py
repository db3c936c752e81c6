"""`facette demo`."""

from __future__ import annotations

from argparse import ArgumentParser as Parser
from argparse import Namespace as Arguments
from pathlib import Path

from pipeline.cli.commands import predict
from pipeline.cli.commands.train import add_training_flags, prepare_run, run_to_the_end
from pipeline.cli.console import say


def add_arguments(parser: Parser) -> None:
    """Add the flags of `demo`."""
    parser.add_argument("demo", nargs="?", default="faces", help="faces or digits (default: faces)")
    parser.add_argument("--data", default="data", help="folder for the demo's images (default: data)")
    add_training_flags(parser)


def run(arguments: Arguments) -> int:
    """Write the demo's images, train on them and classify them."""
    from pipeline.sources.builtin import BUILTIN_SETS
    from pipeline.sources.demo import write_demo

    folder = write_demo(arguments.demo, Path(arguments.data) / arguments.demo)
    say(f"Demo: {BUILTIN_SETS[arguments.demo].about}\nThe images are in {folder}, a folder for each class.")
    overwrite = arguments.overwrite or not arguments.name  # the demo's own run may be replaced without asking
    arguments.name = arguments.name or f"demo-{arguments.demo}"
    say(f"\n$ facette train {folder} --name {arguments.name}")
    run = prepare_run(arguments, str(folder), overwrite)
    with run.dataset:
        code = run_to_the_end(run)
    if code:
        return code
    output, model = run.folder / "predictions.csv", run.folder / "model.h5"
    say(f"\n$ facette predict {model} {folder} -o {output}")
    predict.add_arguments(parser := Parser())
    code = predict.run(parser.parse_args([str(model), str(folder), "-o", str(output), "--overwrite"]))
    print(
        f"\nWhat next:\n"
        f"  look at {run.folder / 'report.html'} and {run.folder / 'filters.png'}\n"
        f"  facette app {model}\n"
        f"  facette train YOUR_PHOTOS/      (a folder with one sub-folder for each class)\n"
        f"  facette predict {model} IMAGES/ -o predictions.csv"
    )
    return code
