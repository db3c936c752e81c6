"""The Python examples of the README and of the page about data run as they stand."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import python


@pytest.mark.slow
def test_the_example_of_the_readme_trains_and_classifies(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for example in python("README.md"):
        exec(compile(example, "README.md", "exec"), names)

    out = capsys.readouterr().out
    assert float(re.search(r"test accuracy ([\d.]+)", out)[1]) > 0.85
    assert "'face'" in out


@pytest.mark.slow
def test_the_example_of_the_page_about_data_audits_ingests_and_reads(tmp_path, monkeypatch, capsys):
    from pipeline.sources.demo import write_demo

    monkeypatch.chdir(tmp_path)
    write_demo("digits", "photos")
    (example,) = python("docs/data.md")
    exec(compile(example, "docs/data.md", "exec"), {})

    assert "1797 1797 0" in capsys.readouterr().out
