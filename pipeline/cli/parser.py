"""The parser of a command line: short and full help, examples that can be pasted, and a hint for what is mistyped."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from pipeline.cli.console import command_list, say
from pipeline.invocation import command_line


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all other errors, without the list of all options above it.

    If some options are marked as the main ones (`show_first`), ``--help`` explains only these, and ``--help-all`` all.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(add_help=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)
        self._main: frozenset[str] | None = None
        self.add_argument("-h", "--help", action=_Help, help="show this help and exit")

    def show_first(self, names: Iterable[str]) -> None:
        """Mark the options that ``--help`` explains, by their destinations; the others are left to ``--help-all``."""
        self._main = frozenset({*names, "help", "help_all"})
        self.add_argument("--help-all", action=_Help, help="show all options and exit")

    def add_examples(self, examples: Sequence[tuple[str, str]]) -> None:
        """Show commands and what each of them does below the help; they can be pasted after ``facette demo``.

        Parameters
        ----------
        examples : sequence of (words, what it does)
            The words follow the name of this parser's command.
        """
        commands = [(self._command(*shlex.split(words)), does) for words, does in examples]
        self.epilog = command_list(f"examples, with the files that  {command_line('demo')}  writes:", commands)

    def format_usage(self) -> str:
        """Return the usage in one line: there may be seventy options."""
        names = [_positional(action) for action in self._get_positional_actions()]
        return f"usage: {' '.join([self.prog, '[options]', *names])}\n"

    def format_help(self) -> str:
        """Return the help about all options."""
        self.usage = self.format_usage().removeprefix("usage: ").strip().replace("%", "%%")
        text = super().format_help()
        self.usage = None
        return text

    def format_short_help(self) -> str:
        """Return the help about the main options."""
        if self._main is None:
            return self.format_help()
        with self._hidden(action for action in self._get_optional_actions() if action.dest not in self._main):
            return f"{self.format_help()}\nall other options:\n  {self._command('--help-all')}\n"

    @contextmanager
    def _hidden(self, actions: Iterable[argparse.Action]) -> Iterator[None]:
        texts = [(action, action.help) for action in actions]
        for action, _ in texts:
            action.help = argparse.SUPPRESS
        yield
        for action, text in texts:
            action.help = text

    def error(self, message: str) -> NoReturn:
        """Write what is wrong and where the options are explained, and exit."""
        explained = self._command("--help" if self._main is None else "--help-all")
        say(f"{self.prog}: {message.removeprefix('argument ')} (see  {explained} )")
        sys.exit(2)

    def _command(self, *words: str) -> str:
        return command_line(*self.prog.split()[1:], *words)

    def check_options(self, words: Sequence[str]) -> None:
        """Refuse the first option that does not exist, with those that may be meant.

        argparse would find it last, and first complain of what it takes for its value.
        """
        before_dashes = words[: words.index("--")] if "--" in words else words
        for option in (word.partition("=")[0] for word in before_dashes if re.match(r"--?[A-Za-z]", word)):
            if not any(known.startswith(option) for known in self._options()) and not self._begins_with_short(option):
                self.refuse(option)

    def refuse(self, word: str) -> NoReturn:
        """Refuse an option or argument that does not exist, with the options that may be meant; exit."""
        if not word.startswith("-"):
            self.error(f"{word!r} is one argument too many")
        meant = near_matches(word, self._options())
        self.error(f"there is no option {word}" + (f"; did you mean {' or '.join(meant)}?" if meant else ""))

    def _options(self) -> list[str]:
        """Return the names of all options, the main ones first."""
        main = self._main or frozenset()
        actions = sorted(self._get_optional_actions(), key=lambda action: action.dest not in main)
        return [name for action in actions for name in action.option_strings]

    def _begins_with_short(self, word: str) -> bool:
        """Tell whether a word is a short option and its value: -oFILE."""
        names = [name for action in self._get_optional_actions() if action.nargs != 0 for name in action.option_strings]
        return any(len(name) == 2 and word.startswith(name) for name in names if not word.startswith("--"))


class _Help(argparse.Action):
    """Print the help that the option asks for: the short one, or all of it."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        assert isinstance(parser, Parser)
        sys.stdout.write(parser.format_help() if self.dest == "help_all" else parser.format_short_help())
        sys.exit(0)


def _positional(action: argparse.Action) -> str:
    name = action.metavar if isinstance(action.metavar, str) else action.dest
    forms: dict[object, str] = {None: name, "?": f"[{name}]", "+": f"{name} [{name} ...]", "*": f"[{name} ...]"}
    return forms.get(action.nargs, f"{name} ...")


def near_matches(word: str, known: Sequence[str]) -> list[str]:
    """Return the names that may be meant by a mistyped word, the likeliest first; at most three.

    Capitals and underscores do not matter, nor do letters too many or too few; initials (``--lr``) and parts of a name
    (``--rate``) are understood.
    """
    from difflib import get_close_matches

    names = {name.strip("-"): name for name in known}
    wanted = re.sub(r"[\W_]+", "-", word.lower()).strip("-")
    letters = wanted.replace("-", "")
    if not wanted:
        return []
    found = (
        [name for name in names if name == wanted],
        [name for name in names if "".join(part[:1] for part in name.split("-")) == letters],
        get_close_matches(wanted, names, n=2, cutoff=0.7),
        [name for name in names if len(letters) > 2 and wanted in name.split("-")],
        [name for name in names if len(letters) > 2 and wanted in name],
        get_close_matches(wanted, names, n=1, cutoff=0.55),
    )
    return [names[name] for name in next(filter(None, found), [])[:3]]
