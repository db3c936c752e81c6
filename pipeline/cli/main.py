"""The command line: a table of commands, and what their ends mean.

Exit codes: 0 done; 1 failed; 2 wrong usage, configuration or input; 3 done, with rows in error; 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from model.errors import Diverged
from pipeline.errors import USER_ERRORS
from pipeline.files.names import PERCENT_ESCAPE


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others, instead of a page of flags and then a line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the flags are explained."""
        from pipeline.cli.console import say

        say(f"{self.prog}: {message.removeprefix('argument ')} (see {self.prog} --help)")
        sys.exit(2)


class _Version(argparse.Action):
    """Looks the version up only when asked for it: that takes longer than all of this module."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"facette {version('facette')}")
        sys.exit(0)


# Command -> what it does. Each is a module of `pipeline.cli.commands` with the functions `add_arguments` and `run`.
# Modules are imported by name, and only when they are needed: `facette --help` has to answer at once.
COMMANDS = {
    "demo": "train on real images that come with the installation, and look around",
    "ingest": "turn images into a data set file",
    "inspect": "describe a model, a data set, runs, or the installation",
    "train": "train a classifier on a folder of labelled images",
    "evaluate": "measure a classifier on labelled images",
    "predict": "classify image files, a row for each",
    "filters": "draw and score what a classifier's layers look at",
    "app": "open the app in a browser",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    command = ""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PERCENT_ESCAPE)  # a path need not be text
    try:  # from here on, an interrupt is no traceback: what takes time to import is imported below
        from pipeline.cli.console import say

        arguments = _parse(argv)
        command = arguments.command
        from pipeline.images.decode import quiet_decoders

        quiet_decoders()
        return int(_command(command).run(arguments))
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError as error:
        say(f"facette {command}: does not fit into memory ({error}); take smaller images, batches or layers")
        return 1
    except (ValueError, ArithmeticError, OSError) as error:
        if not isinstance(error, USER_ERRORS):
            raise  # a mistake of the program, not of the user
        say(f"facette {command}: {error}")
        return 1 if isinstance(error, Diverged) else 2


def _command(name: str) -> Any:
    return import_module(f"pipeline.cli.commands.{name}")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(prog="facette", description="Turn a folder of labelled images into a classifier you can look into.")
    parser.add_argument("--version", action=_Version, nargs=0, help="say which version this is")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, about in COMMANDS.items():
        sub = commands.add_parser(name, help=about, description=about)
        if name in argv:  # other commands' flags would only cost time
            _command(name).add_arguments(sub)
    if not argv:
        parser.print_help(sys.stderr)
        sys.exit(2)
    return parser.parse_args(argv, argparse.Namespace(argv=argv))
