"""The pages of the documentation, and how to find links, commands and code in them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (ROOT, ROOT / "docs", ROOT / "data", ROOT / "benchmarks")
    for path in folder.glob("*.md")
)


class Fence(NamedTuple):
    """A block of code: its language ("" if none is given) and its text."""

    language: str
    text: str


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def fences(page: str) -> list[Fence]:
    found = re.findall(r"^```(\w*)\n(.*?)^```", text(page), flags=re.MULTILINE | re.DOTALL)
    return [Fence(language, block) for language, block in found]


def prose(page: str) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text(page), flags=re.MULTILINE | re.DOTALL)


def code_spans(page: str) -> list[str]:
    """Return what stands between backticks in the prose, with line breaks as spaces."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def python(page: str) -> list[str]:
    return [fence.text for fence in fences(page) if fence.language == "python"]


def commands(page: str) -> list[list[str]]:
    """Return the words that follow `facette` on every command line in a block of code."""
    blocks = [fence.text.replace("\\\n", "") for fence in fences(page) if fence.language in ("", "sh")]
    lines = [line for block in blocks for line in block.splitlines()]
    return [_words(line) for line in lines if _words(line)]


def mentions(page: str) -> list[list[str]]:
    """Return the words that follow `facette` between backticks; arguments may be missing there."""
    return [_words(span) for span in code_spans(page) if _words(span)]


def _words(line: str) -> list[str]:
    found = re.search(r"(?:^|\| |/)facette (?=[a-zA-Z])([^|]*)", line.replace(r"\|", "|"))
    return shlex.split(found[1], comments=True) if found else []


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub makes of the headings of a page."""
    headings = [line.lstrip("# ") for line in prose(page).splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def links(page: str) -> list[str]:
    """Return the targets of the links and images of a page, web addresses left out."""
    words = re.sub(r"`[^`]+`|^    .*$", "", prose(page), flags=re.MULTILINE)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", words) if "://" not in target]
