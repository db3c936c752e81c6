"""Errors meant for the user: one message that says what is wrong, where, and what to do."""

from __future__ import annotations

from model.errors import ConfigError, Diverged, FormatError
from pipeline.invocation import install_command


class InputError(ValueError):
    """Input, options or files that cannot work as given. The command line ends with exit code 2."""


class MissingExtra(InputError):
    """An optional library is not installed; the message says what to install."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional library: run  {install_command(extra)}")


# The errors whose message is shown to the user as it is. Every other error is a mistake of the program.
USER_ERRORS = (InputError, ConfigError, FormatError, Diverged, OSError)
