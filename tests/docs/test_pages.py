"""What the pages of the documentation name exists: link targets, files, functions, commands and flags."""

from __future__ import annotations

import importlib
import re
from functools import cache

import pytest

from pipeline.cli.main import COMMANDS
from pipeline.cli.parser import Parser
from tests.docs.pages import PAGES, ROOT, anchors, code_spans, commands, links, mentions, python, text

ROOMS = "model|pipeline|tests|benchmarks|docs|data|requirements"
OTHER_PROGRAMS = ("pip", "dask", "git", "streamlit", "uv", "apt-get")


@cache
def parser(command: str) -> Parser:
    made = Parser(prog=f"facette {command}")
    importlib.import_module(f"pipeline.cli.commands.{command}").add_arguments(made)
    return made


def flags(words: str) -> list[str]:
    return re.findall(r"(?<!\S)--[a-z][\w-]*", words)


def is_flag(flag: str, known: str) -> bool:
    return re.search(rf"{flag}(?![\w-])", known) is not None


def find(name: str) -> object:
    """Return the module, class, function or attribute of a dotted name."""
    words = name.split(".")
    for n in range(len(words), 0, -1):
        try:
            found: object = importlib.import_module(".".join(words[:n]))
        except ModuleNotFoundError:
            continue
        for word in words[n:]:
            found = getattr(found, word)
        return found
    raise ModuleNotFoundError(name)


def test_there_are_pages():
    assert {"README.md", "CONTRIBUTING.md", "docs/architecture.md", "benchmarks/NOTES.md", "data/README.md"} <= {*PAGES}


def test_the_page_about_the_architecture_names_every_room_and_every_file_of_the_model():
    page = text("docs/architecture.md")
    for path in sorted((ROOT / "pipeline").iterdir()) + sorted((ROOT / "model").iterdir()):
        if not path.name.startswith(("_", ".", "py.typed")):
            name = f"{path.name}/" if path.is_dir() else path.name
            assert f"`{name}`" in page, name


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        linked = (ROOT / page).parent / path if path else ROOT / page
        assert linked.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(linked.resolve().relative_to(ROOT).as_posix()), f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page):
    for name in re.findall(rf"(?<![\w/.])(?:{ROOMS})/[\w/.-]*\w\.(?:py|md|toml|txt|png)\b", text(page)):
        if not name.startswith("data/faces/"):  # written by the example of the README
            assert (ROOT / name).is_file(), f"{page}: {name}"


def dotted_names(page: str) -> list[str]:
    return [
        name
        for span in code_spans(page)
        for name in re.findall(r"(?<![\w/.-])(?:model|pipeline)(?:\.[A-Za-z_]\w*)+", span)
        if not name.startswith("model.h5")
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_module_and_function_that_a_page_names_exists(page):
    for name in dotted_names(page):
        assert find(name) is not None, f"{page}: {name}"


@pytest.mark.parametrize("page", PAGES)
def test_every_import_in_an_example_works(page):
    for block in python(page):
        for module, names in re.findall(r"^from ([\w.]+) import (.+)$", block, flags=re.MULTILINE):
            for name in names.split(","):
                assert find(f"{module}.{name.strip()}") is not None, f"{page}: {module}.{name}"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_is_understood(page):
    for command, *words in commands(page):
        assert command in COMMANDS, f"{page}: facette {command}"
        parser(command).parse_args(words)  # exits if a flag is unknown or an argument is missing


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_mentions_has_the_flags_it_says(page):
    for command, *words in mentions(page):
        if command != "COMMAND":
            assert command in COMMANDS, f"{page}: facette {command}"
            for flag in flags(" ".join(words)):
                assert is_flag(flag, parser(command).format_help()), f"{page}: facette {command} {flag}"


def test_the_functions_that_the_page_about_the_course_names_are_found():
    assert len({*dotted_names("docs/course.md")}) > 5


def test_the_commands_are_found():
    assert sum(len(commands(page)) for page in PAGES) >= 10
    assert sum(len(mentions(page)) for page in PAGES) >= 50


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_that_a_page_names_exists(page):
    known = " ".join(parser(command).format_help() for command in COMMANDS)
    known += " ".join(path.read_text() for path in (ROOT / "benchmarks").glob("*.py"))
    for span in code_spans(page):
        if not span.startswith(OTHER_PROGRAMS):
            for flag in flags(span):
                assert is_flag(flag, known), f"{page}: {flag}"
