"""`facette demo`."""

from __future__ import annotations

from argparse import Namespace as Arguments
from pathlib import Path

from pipeline.cli.commands import predict
from pipeline.cli.commands.train import add_training_flags, next_steps, prepare_run, run_to_the_end
from pipeline.cli.console import print_result, say
from pipeline.cli.parser import Parser
from pipeline.invocation import command_line

EXAMPLES = (
    ("", "tell faces from other images"),
    ("digits", "read handwritten digits"),
    ("--hidden 64 --epochs 10 --name small", "train a smaller network, for fewer epochs"),
)


def add_arguments(parser: Parser) -> None:
    """Add the flags of `demo`."""
    parser.add_argument("demo", nargs="?", default="faces", help="faces or digits (default: faces)")
    parser.add_argument("--data", metavar="FOLDER", default="data", help="folder for the demo's images (default: data)")
    add_training_flags(parser)


def run(arguments: Arguments) -> int:
    """Write the demo's images, train on them and classify them."""
    from pipeline.sources.builtin import BUILTIN_SETS
    from pipeline.sources.demo import write_demo
    from pipeline.training.run_folder import run_folder

    folder = write_demo(arguments.demo, Path(arguments.data) / arguments.demo)
    say(f"Demo: {BUILTIN_SETS[arguments.demo].about}\nThe images are in {folder}, a folder for each class.")
    arguments.overwrite |= not arguments.name  # the demo's own run may be replaced without asking
    arguments.name, arguments.source = arguments.name or f"demo-{arguments.demo}", str(folder)
    say(f"\n  {command_line('train', folder, '--name', arguments.name)}")
    run = prepare_run(arguments, run_folder(arguments.runs, arguments.name, folder, overwrite=arguments.overwrite))
    with run.dataset:
        code = run_to_the_end(run)
    if code:
        return code
    words = ["predict", run.folder / "model.h5", folder, "-o", run.folder / "predictions.csv"]
    say(f"\n  {command_line(*words)}")
    predict.add_arguments(parser := Parser())
    code = predict.run(parser.parse_args([*map(str, words[1:]), "--overwrite"]))
    own = (
        command_line("train", "YOUR_PHOTOS"),
        "train on images of your own: a folder with a sub-folder for each class",
    )
    print_result(f"\n{next_steps(run, own)}")
    return code
