"""Paths as text: valid UTF-8 on one line, whatever bytes a file system holds."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path


def escape(path: Path | str) -> str:
    """Return a path as valid UTF-8 on one line; other bytes, and control characters, become ``%XX``."""
    text = os.fsencode(path).decode("utf-8", errors="percent-escape")
    return re.sub(r"[\x00-\x1f\x7f]", lambda match: f"%{ord(match[0]):02X}", text)


_ESCAPED = re.compile(rb"%([01][0-9A-F]|7F|[89A-F][0-9A-F])")


def unescape(text: str) -> Path:
    """Return the path from which `escape` made a text; a path that itself contains ``%XX`` becomes another path."""
    return Path(os.fsdecode(_ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), os.fsencode(text))))


def _percent_escape(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)  # for the type checker; only `escape` uses this handler
    return "".join(f"%{byte:02X}" for byte in error.object[error.start : error.end]), error.end


codecs.register_error("percent-escape", _percent_escape)
