"""Errors meant for the user: one message that says what is wrong, where, and what to do."""

from __future__ import annotations

import errno

from model.errors import ConfigError, Diverged, FormatError
from pipeline.invocation import install_command


class InputError(ValueError):
    """Input, options or files that cannot work as given. The command line ends with exit code 2."""


class DiskFull(InputError):
    """The disk is full, or a limit of it is reached: the command fails, and works when there is room."""


class MissingExtra(InputError):
    """An optional library is not installed; the message says what to install."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional library: run  {install_command(extra)}")


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_full(error: BaseException) -> bool:
    """Return whether an error means that the disk is full, or that a limit of it is reached."""
    return isinstance(error, DiskFull) or (isinstance(error, OSError) and error.errno in _FULL)


def not_written(path: str, error: OSError) -> InputError:
    """Return the error for the user that a file cannot be written."""
    kind = DiskFull if is_full(error) else InputError
    return kind(f"{path}: cannot be written ({error.strerror or error}); free some space, or choose another path")


def explain(error: BaseException) -> str:
    """Return the message of an error without the number that the system gives it."""
    if type(error).__str__ is OSError.__str__ and error.strerror:  # type: ignore[attr-defined]
        where = f"{error.filename}: " if error.filename else ""  # type: ignore[attr-defined]
        return f"{where}{error.strerror}"  # type: ignore[attr-defined]
    return str(error)


# The errors whose message is shown to the user as it is. Every other error is a mistake of the program.
USER_ERRORS = (InputError, ConfigError, FormatError, Diverged, OSError)
