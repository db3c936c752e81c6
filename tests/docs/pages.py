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
    """Return the words that follow `facette` on every command line of a page, in blocks and between backticks."""
    lines = [line for fence in fences(page) if fence.language in ("", "sh") for line in fence.text.splitlines()]
    spans = [span.replace(r"\|", "|") for span in code_spans(page) if span.count("facette ")]
    found = []
    for line in lines + spans:
        for match in re.finditer(r"(?:^|\| |\$ |/)facette (?=[a-zA-Z])([^|]*)", line):
            found.append(shlex.split(match[1], comments=True))
    return found


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub makes of the headings of a page."""
    headings = [line.lstrip("# ") for line in prose(page).splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def links(page: str) -> list[str]:
    """Return the targets of the links and images of a page, web addresses left out."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if "://" not in target]
