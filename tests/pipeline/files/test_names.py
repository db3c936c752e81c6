"""Paths of any bytes are text on one line, and the text leads back to the path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.files.names import PERCENT_ESCAPE, escape, one_line, printable, unescape


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


HOSTILE = {
    "\x1b[31mred": "%1B[31mred",
    "a\0b\r\n": "a%00b%0D%0A",
    "\x9b31m": "%C2%9B31m",
    "\u202egnp.exe\u2066": "%E2%80%AEgnp.exe%E2%81%A6",
    "one\u2028two": "one%E2%80%A8two",
    "half \ud800 of it": "half %ED%A0%80 of it",
}


@pytest.mark.parametrize(("name", "text"), HOSTILE.items())
def test_nothing_in_a_name_steers_a_terminal(name, text):
    assert escape(name) == text
    assert printable(f"{name}\tend\n") == text.replace("%0A", "\n") + "\tend\n"
    assert text.encode("ascii")  # on any terminal


def test_half_a_character_that_reaches_a_stream_is_no_error():
    assert "a\ud800b".encode("utf-8", errors=PERCENT_ESCAPE) == b"a%ED%A0%80b"


@pytest.mark.parametrize("name", ["größe", "日本語", "👩\u200d🚀", "שלום", "a b\u00a0c"])
def test_names_in_any_language_stay_as_they_are(name):
    assert escape(name) == printable(name) == name


def test_a_template_writes_texts_on_one_line_and_leaves_other_values():
    assert one_line("a\nb") == "a%0Ab"
    assert one_line(3) == 3
