"""Paths as text: valid UTF-8 on one line, whatever bytes a file system holds."""

from __future__ import annotations

import codecs
import os
import re
import unicodedata
from pathlib import Path


def escape(path: Path | str) -> str:
    """Return a path as text that is valid UTF-8 on one line: other bytes and control characters become ``%XX``."""
    text = str(path)
    if text.isascii() and text.isprintable():
        return text
    text = os.fsencode(text).decode("utf-8", errors=PERCENT_ESCAPE)
    return re.sub(r"[\x00-\x1f\x7f]", lambda match: f"%{ord(match[0]):02X}", text)


def composed(text: str) -> str:
    """Return a name in Unicode's composed form (NFC); macOS stores the accents of file names apart (NFD)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


_ESCAPED = re.compile(rb"%([01][0-9A-F]|7F|[89A-F][0-9A-F])")


def unescape(text: str) -> Path:
    """Return the path from which `escape` made a text; a path that itself contains ``%XX`` becomes another path."""
    return Path(os.fsdecode(_ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), os.fsencode(text))))


PERCENT_ESCAPE = "percent-escape"  # the name of an error handler, for whatever writes text: files, stdout


def _percent_escape(error: UnicodeError) -> tuple[str, int]:
    """Replace bytes that are not UTF-8, or characters that the encoding lacks, by ``%XX``."""
    if isinstance(error, UnicodeDecodeError):
        wrong = error.object[error.start : error.end]
    else:
        assert isinstance(error, UnicodeEncodeError)
        wrong = error.object[error.start : error.end].encode("utf-8", errors="surrogateescape")
    return "".join(f"%{byte:02X}" for byte in wrong), error.end


codecs.register_error(PERCENT_ESCAPE, _percent_escape)
