"""The command line: the table of commands, their parser, and the exit codes.

Exit codes: 0 done; 1 failed; 2 wrong usage, configuration or input; 3 done, with rows in error; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from model.errors import Diverged
from pipeline.cli.console import printable_streams, say
from pipeline.errors import USER_ERRORS, explain, is_full
from pipeline.files.names import escape
from pipeline.files.search_path import leave_out_working_directory


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all other errors, without the list of all flags above it."""

    def error(self, message: str) -> NoReturn:
        """Write what is wrong and where the flags are explained, and exit."""
        say(f"{self.prog}: {message.removeprefix('argument ')} (see {self.prog} --help)")
        sys.exit(2)


class _Version(argparse.Action):
    """Look the version up only if it is asked for: that takes longer than importing this module."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"facette {version('facette')}")
        sys.exit(0)


# Command -> what it does. Each is a module of `pipeline.cli.commands` with the functions `add_arguments` and `run`.
# A module is imported by its name, and only if its command is used: with an import for each command, `facette --help`
# would have to load all that any command needs, and would take several times as long.
COMMANDS = {
    "demo": "train a classifier on images that come with the installation, and try it",
    "ingest": "turn images into a data set file",
    "inspect": "check images or a data set, describe a model, runs, or the installation",
    "train": "train a classifier on a folder of labelled images",
    "evaluate": "measure the accuracy of a classifier on labelled images",
    "predict": "classify image files and write one row for each",
    "filters": "draw and score what the layers of a classifier have learned",
    "app": "open the app in a browser",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    leave_out_working_directory()
    with printable_streams():
        return _main(list(sys.argv[1:] if argv is None else argv))


def _main(argv: list[str]) -> int:
    command = ""
    try:  # everything slow is imported below, so that an interrupt never ends in a traceback
        arguments = parse(argv)
        command = arguments.command
        from pipeline.images.decode import quiet_decoders

        quiet_decoders()
        return int(_command(command).run(arguments))
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of the output has closed it, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError as error:
        say(f"facette {command}: does not fit into memory ({error}); use smaller images, batches or layers")
        return 1
    except UnicodeEncodeError as error:
        if sys.getfilesystemencoding() == "utf-8":
            raise  # a bug
        say(f"facette {command}: {error.object!r} holds characters that this locale lacks; set  PYTHONUTF8=1")
        return 2
    except (ValueError, ArithmeticError, OSError) as error:
        if not isinstance(error, USER_ERRORS):
            raise  # a bug, not a wrong input
        say(f"facette {command}: {escape(explain(error))}")
        return 1 if isinstance(error, Diverged | ChildProcessError) or is_full(error) else 2


def _command(name: str) -> Any:
    return import_module(f"pipeline.cli.commands.{name}")


def build_parser(argv: Sequence[str]) -> Parser:
    """Return the parser of the command line; it knows the flags only of the command that `argv` names."""
    parser = Parser(prog="facette", description="Turn a folder of labelled images into a classifier you can inspect.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, about in COMMANDS.items():
        sub = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        if name in argv:
            _command(name).add_arguments(sub)
    return parser


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse a command line; on a wrong one, write an error and exit."""
    parser = build_parser(argv)
    if not argv:
        parser.print_help(sys.stderr)
        sys.exit(2)
    return parser.parse_args(argv, argparse.Namespace(argv=argv))
