"""The command line: a table of commands, and what their ends mean.

Exit codes: 0 done; 1 failed; 2 wrong usage, configuration or input; 3 done, with rows in error; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from pipeline.commands import data, look, training, use
from pipeline.console import say
from pipeline.errors import InputError


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others, instead of a page of flags and then a line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the flags are explained."""
        say(f"{self.prog}: {message.removeprefix('argument ')} (see {self.prog} --help)")
        sys.exit(2)


class Command(NamedTuple):
    """A line of the table of commands."""

    help: str
    add_flags: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


COMMANDS = {
    "demo": Command(
        "train on real pictures that come with the installation, and look around", training.demo_flags, training.demo
    ),
    "ingest": Command("turn pictures into a data set file", data.ingest_flags, data.ingest),
    "inspect": Command("describe a model, a data set, or the installation", data.inspect_flags, data.inspect),
    "train": Command("train a classifier on a folder of labelled pictures", training.train_flags, training.train),
    "evaluate": Command("measure a classifier on labelled pictures", use.evaluate_flags, use.evaluate),
    "predict": Command("classify picture files, a row for each", use.predict_flags, use.predict),
    "filters": Command("draw and score what a classifier's layers look at", look.filters_flags, look.filters),
    "app": Command("open the app in a browser", use.app_flags, use.app),
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
    except MemoryError as error:
        say(
            f"facette {arguments.command}: does not fit into memory ({error}); take smaller pictures, batches or layers"
        )
        return 1
    except (ValueError, ArithmeticError, OSError) as error:
        from model.checkpoint import FormatError
        from model.config import ConfigError
        from model.training import Diverged

        if not isinstance(error, (InputError, ConfigError, FormatError, Diverged, OSError)):
            raise  # a mistake of the program, not of the person
        say(f"facette {arguments.command}: {error}")
        return 1 if isinstance(error, Diverged) else 2


def _parse(argv: list[str]) -> argparse.Namespace:
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
    return parser.parse_args(argv, argparse.Namespace(argv=argv))


if __name__ == "__main__":
    sys.exit(main())
