"""The errors of the model. They stand apart from the code that raises them, so that importing them loads nothing."""

from __future__ import annotations


class ConfigError(ValueError):
    """A hyperparameter has a value that cannot work; the message names the field, the value and the remedy."""


class DimensionError(ValueError):
    """A matrix has the wrong shape; the message names the layer, the matrix, the expected shape and the found one."""


class FormatError(ValueError):
    """A file is not what it should be: foreign, damaged, or of a newer version. The message says which."""


class NotWritten(OSError):
    """A file cannot be written; the message names it, and says why and what to do. `errno` is that of the cause."""

    def __init__(self, path: object, cause: OSError) -> None:
        super().__init__(cause.errno, cause.strerror or str(cause), str(path))

    def __str__(self) -> str:
        return f"{self.filename}: cannot be written ({self.strerror}); free some space, or choose another path"


class Diverged(ArithmeticError):
    """The cost became NaN or infinite. The state holds the weights from before the epoch in which it happened."""
