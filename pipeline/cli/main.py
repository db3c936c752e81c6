"""The command line: the table of commands, their parser, and the exit codes.

Exit codes: 0 done; 1 failed; 2 wrong usage, configuration or input; 3 done, with rows in error; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from model.errors import Diverged
from pipeline.cli.console import printable_streams, say
from pipeline.cli.parser import Parser, near_matches
from pipeline.errors import USER_ERRORS, explain, is_full
from pipeline.files.names import escape
from pipeline.files.search_path import leave_out_working_directory
from pipeline.invocation import command_line


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
    command, has_file_of_settings = "", False
    try:  # everything slow is imported below, so that an interrupt never ends in a traceback
        arguments = parse(argv)
        command, has_file_of_settings = arguments.command, bool(vars(arguments).get("config"))
        from pipeline.images.decode import quiet_decoders

        quiet_decoders()
        return int(_command(command).run(arguments))
    except KeyboardInterrupt as interrupt:
        say(" ".join(["Interrupted", *map(str, interrupt.args)]))
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
        say(f"facette {command}: {escape(_for_the_shell(explain(error), in_flags=not has_file_of_settings))}")
        return 1 if isinstance(error, Diverged | ChildProcessError) or is_full(error) else 2


def _for_the_shell(message: str, *, in_flags: bool) -> str:
    from pipeline.settings import with_flags, with_words_of_the_shell

    message = with_words_of_the_shell(message)
    return with_flags(message) if in_flags else message


def _command(name: str) -> Any:
    return import_module(f"pipeline.cli.commands.{name}")


_FIRST_STEPS = (
    ("demo", "train on images that come with the installation"),
    ("train data/faces", "train on a folder with a sub-folder of images for each class"),
    ("app", "open the app in a browser"),
)


def build_parser(argv: Sequence[str]) -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of the command line and those of the commands.

    Only the command that `argv` names knows its options.
    """
    parser = Parser(prog="facette", description="Turn a folder of labelled images into a classifier you can inspect.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    parser.add_examples(_FIRST_STEPS)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers = {}
    for name, about in COMMANDS.items():
        sub = parsers[name] = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        if name == _first_word(argv):
            module = _command(name)
            module.add_arguments(sub)
            sub.add_examples(module.EXAMPLES)
    return parser, parsers


def _first_word(argv: Sequence[str]) -> str:
    return next((word for word in argv if not word.startswith("-")), "")


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse a command line; on a wrong one, write an error and exit."""
    parser, parsers = build_parser(argv)
    if not argv:
        parser.print_help(sys.stderr)
        sys.exit(2)
    name = _first_word(argv)
    at = argv.index(name) if name else len(argv)
    parser.check_options(argv[:at])
    if name in parsers:
        parsers[name].check_options(argv[at + 1 :])
    elif name:
        parser.error(_no_command(name))
    arguments, unknown = parser.parse_known_args(argv, argparse.Namespace(argv=argv))
    if unknown:
        parsers[name].refuse(unknown[0])
    return arguments


def _no_command(name: str) -> str:
    """Say what may be meant by a word that is no command."""
    meant = near_matches(name, [*COMMANDS])
    if meant:
        return f"there is no command {name}; did you mean {' or '.join(meant)}?"
    if Path(name).exists():
        return f"{name} is no command; to train on it, run  {command_line('train', name)} "
    return f"there is no command {name}; the commands are {', '.join(COMMANDS)}"
