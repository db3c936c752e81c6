"""Paths of any bytes are text on one line, and the text leads back to the path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.files.names import PERCENT_ESCAPE, escape, unescape


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"a/b.png", "a/b.png"),
        ("größe.png".encode(), "größe.png"),
        (b"photos-\xff.png", "photos-%FF.png"),
        (b"two\nlines\t\x7f.png", "two%0Alines%09%7F.png"),
        (b"100%.png", "100%.png"),
    ],
)
def test_a_path_is_text_on_one_line_and_can_be_found_again(name, text):
    path = Path(os.fsdecode(name))
    assert escape(path) == text
    assert text.encode().isascii() or "ö" in text
    assert unescape(text) == path


def test_a_stream_that_lacks_a_character_shows_its_bytes():
    assert "größe".encode("ascii", errors=PERCENT_ESCAPE) == b"gr%C3%B6%C3%9Fe"
