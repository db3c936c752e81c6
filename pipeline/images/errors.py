"""The error of a file that cannot be decoded to an image, and its codes."""

from __future__ import annotations

ERROR_CODES = (
    "not_found",
    "permission",
    "io_error",
    "empty_file",
    "not_an_image",
    "unsupported_format",
    "truncated",
    "corrupt",
    "too_large",
)


class ImageError(Exception):
    """A file that cannot be decoded to an image: `code` is one of `ERROR_CODES`, the message gives the reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
