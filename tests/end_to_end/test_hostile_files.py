"""Files that somebody else made, with names that are meant to do harm, from the model to everything that is written."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import h5py
import pytest

from model.storage.hdf5 import write_text
from pipeline.classifier import ImageClassifier
from pipeline.cli.main import main

EVIL = "\x1b[31mred\x1b]0;title\x07\nFAKE LINE\r\0\x9b31m\u202egnp.exe\u2066\u2028$\\frac{1}{</td><script>"
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture
def evil_model(run_path, tmp_path):
    """Return a model in which every text is hostile, in a folder of that name."""
    classifier = ImageClassifier.load(run_path)
    provenance = classifier.provenance | dict.fromkeys(("name", "source", "created", "python", "started_from"), EVIL)
    provenance |= {"versions": {EVIL: EVIL}, "images": {EVIL: 3}, "accuracy": {EVIL: 0.5}}
    folder = tmp_path / "\x1b[32mevil"
    folder.mkdir()
    replace(classifier, classes=(EVIL, f"other {EVIL}"), provenance=provenance).save(folder / "model.h5")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["inspect", "{model}"],
        ["evaluate", "{model}", "{faces}"],
        ["predict", "{model}", "{faces}/face/0000.png"],
        ["predict", "{model}", "{faces}/face/0000.png", "--format", "jsonl"],
        ["predict", "{model}", "{faces}/face/0000.png", "--json"],
        ["predict", "{model}", "{model}", "--only", "x"],
        ["predict", "{model}", "missing\x1b.png"],
        ["filters", "{model}", "-o", "filters.svg"],
        ["train", "{model}"],
        ["train", "--resume", "{model}"],
        ["train", "{faces}", "--config", "\x1b.toml"],
        ["inspect", "\x1b"],
    ],
)
def test_nothing_in_a_model_or_a_path_steers_the_terminal(words, evil_model, faces, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main([word.format(model=evil_model, faces=faces) for word in words])
    out, err = capsys.readouterr()
    assert out + err
    for text in (out, err):
        assert not UNSEEN.search(text)
        assert not re.search("^FAKE LINE", text, re.MULTILINE)


@pytest.fixture
def evil_data(run_path, tmp_path):
    """Return a data set in which every text is hostile."""
    path = tmp_path / "evil.h5"
    shutil.copy(run_path / "data.h5", path)
    with h5py.File(path, "r+") as file:
        texts = {
            "classes": [EVIL, f"other {EVIL}"],
            "paths": [f"{i}{EVIL}" for i in range(len(file["paths"]))],
            "kinds": [EVIL] * len(file["kinds"]),
            **{f"rejected/{name}": [EVIL] for name in ("path", "code", "message")},
        }
        for name, values in texts.items():
            del file[name]
            write_text(file, name, values)
    return path


@pytest.mark.parametrize(
    "words",
    [
        ["inspect", "{data}"],
        ["inspect", "{data}", "--json"],
        ["inspect", "{data}", "--html", "{html}"],
        ["evaluate", "{model}", "{data}", "--include-trained"],
        ["evaluate", "{run}", "{data}"],
        ["predict", "{run}", "{data}"],
        ["predict", "{run}", "{data}", "--format", "jsonl"],
        ["ingest", "{data}", "new.h5"],
    ],
)
def test_no_data_set_steers_the_terminal(words, evil_data, evil_model, run_path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    html = tmp_path / "report.html"
    main([word.format(data=evil_data, model=evil_model, run=run_path, html=html) for word in words])
    out, err = capsys.readouterr()
    assert out + err
    for text in (out, err, html.read_text() if html.exists() else ""):
        assert not UNSEEN.search(text)
        assert not re.search("^FAKE LINE", text, re.MULTILINE)
    assert not html.exists() or "</td><script>" not in html.read_text()
