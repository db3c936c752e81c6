"""Paths and names as text: valid UTF-8 on one line, whatever bytes a file system or a file from outside holds."""

from __future__ import annotations

import codecs
import os
import re
import unicodedata
from pathlib import Path
from typing import Any

# Characters that steer a terminal or a reader's eye instead of being seen: control characters (C0, DEL, C1), separators
# of lines and paragraphs, what reverses the direction of the text around it, and halves of a character.
_UNSEEN = "\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_unseen, _unseen_in_lines = re.compile(f"[{_UNSEEN}]"), re.compile(f"(?![\t\n])[{_UNSEEN}]")


def escape(path: Path | str) -> str:
    """Return a path, or any text, as valid UTF-8 on one line: other bytes and unseen characters become ``%XX``."""
    text = str(path)
    return text if text.isascii() and text.isprintable() else _unseen.sub(_percent, _text(text))


def one_line(value: Any) -> Any:
    """Return a text as `escape` does, and any other value as it is: for templates, which write both."""
    return escape(value) if type(value) is str else value


def printable(text: str) -> str:
    """Return a text of several lines in which nothing steers a terminal: other unseen characters become ``%XX``."""
    return _unseen_in_lines.sub(_percent, text)


def _text(path: Path | str) -> str:
    """Return a path as text, in which surrogates stand for the bytes that are not UTF-8."""
    try:
        return os.fsencode(path).decode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError:  # a text that is no file name of this system
        return str(path)


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in _utf8(match[0]))


def _utf8(text: str) -> bytes:
    """Return the bytes of a text: a surrogate is the byte that it stands for, or is written like other characters."""
    try:
        return text.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", errors="surrogatepass")


def composed(text: str) -> str:
    """Return a name in Unicode's composed form (NFC); macOS stores the accents of file names apart (NFD)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


_ESCAPED = re.compile(rb"%([01][0-9A-F]|7F|[89A-F][0-9A-F])")


def unescape(text: str) -> Path:
    """Return the path from which `escape` made a text; a path that itself contains ``%XX`` becomes another path."""
    return Path(os.fsdecode(_ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), _utf8(text))))


PERCENT_ESCAPE = "percent-escape"  # the name of an error handler, for whatever writes text: files, stdout


def _percent_escape(error: UnicodeError) -> tuple[str, int]:
    """Replace bytes that are not UTF-8, or characters that the encoding lacks, by ``%XX``."""
    if isinstance(error, UnicodeDecodeError):
        wrong = error.object[error.start : error.end]
    else:
        assert isinstance(error, UnicodeEncodeError)
        wrong = b"".join(map(_utf8, error.object[error.start : error.end]))
    return "".join(f"%{byte:02X}" for byte in wrong), error.end


codecs.register_error(PERCENT_ESCAPE, _percent_escape)
