"""The command line as a whole: the commands in a row, wrong usage, interrupts."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import pytest
from PIL import Image

from pipeline.cli.main import COMMANDS, main


@pytest.mark.slow
def test_the_whole_walk(facette, faces):
    code, out, err = facette("ingest", faces, "faces.h5", "--size", "16", "--color", "gray")
    assert code == 0
    assert "Found 200 files: 200 images ingested, 0 rejected, 0 skipped" in out

    code, out, err = facette("train", "faces.h5", "--hidden", "32,16", "--epochs", "5", "--name", "first")
    assert code == 0
    assert "256-32-16-1" in err
    assert "epoch 5/5" in err
    assert "majority class" in out
    assert "logistic regression" in out

    code, out, err = facette("predict", "runs/first/model.h5", faces, "-o", "predictions.csv", "--topk", "2")
    with open("predictions.csv", newline="") as file:  # noqa: PTH123
        rows = list(csv.DictReader(file))
    assert code == 0
    assert len(rows) == 200
    assert out == ""
    assert "200 files: 200 ok, 0 error" in err

    code, out, err = facette("evaluate", "runs/first", "faces.h5", "--json")
    assert code == 0
    assert json.loads(out)["m"] == 30

    code, out, err = facette("filters", "runs/first/model.h5", "-o", "filters.png")
    assert code == 0
    with Image.open("filters.png") as image:
        assert min(image.size) > 100

    code, out, err = facette("inspect", "runs/first/model.h5")
    assert "(32, 256)" in out
    assert "face, other" in out
    code, out, err = facette("inspect", "faces.h5")
    assert "200 images of 16x16 gray" in out
    code, out, err = facette("inspect")
    assert "numpy" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "SOURCE"),
        (["train", "--resume", "runs/none"], "there is no such folder"),
        (["train", "{faces}", "--batch-size", "1000"], "--batch-size: 1000 is more than the 140 training examples"),
        (["train", "{faces}", "--layer-rates", "1,2,3,4"], "--layer-rates: 4 given"),
        (["train", "{faces}", "--hidden", "0"], "hidden"),
        (["train", "{faces}", "--validation", "0.6", "--test", "0.5"], "nothing to train on"),
        (["train", "{faces}", "--size", "big"], "size"),
        (["train", "{run}/data.h5", "--test", "0.3"], "leave out --test"),
        (["train", "{faces}", "--hidden", "", "--batch-norm"], "no hidden layer to normalise"),
        (["train", "{faces}", "--pretrain", "none", "--pretrain-on", "{faces}"], "leave out one of them"),
        (["train", "{faces}", "--find-learning-rate", "--overwrite"], "leave out --overwrite"),
        (["train", "{faces}", "--activation", "sinus"], "relu"),
        (["train", "{faces}", "--config", "none.toml"], "none.toml"),
        (["predict", "none.h5", "{faces}"], "none.h5: there is no such file"),
        (["predict", "{foreign}", "{faces}"], "not an HDF5 file"),
        (["predict", "{run}/data.h5", "{faces}"], "is a data set of Facette, and a model of Facette is needed"),
        (["predict", "{run}", "{faces}", "-o", "no/such/folder.csv"], "no/such"),
        (["predict", "{run}", "{faces}", "-o", "out.xlsx"], "xlsx"),
        (["evaluate", "{run}", "{empty}"], "no images"),
        (["filters", "{run}", "-o", "no/such/filters.png"], "no/such"),
        (["inspect", "{empty}"], "holds no images"),
        (["inspect", "{run}", "--html", "x.html"], "for images"),
        (["ingest", "{faces}", "no/such/data.h5"], "no/such"),
        (["demo", "cats"], "choose one of faces, digits"),
    ],
)
def test_bad_usage_gets_one_message(facette, faces, run_path, tmp_path, words, message):
    (tmp_path / "foreign.h5").write_text("foreign")
    (tmp_path / "empty").mkdir()
    places = {"faces": faces, "run": run_path, "foreign": tmp_path / "foreign.h5", "empty": tmp_path / "empty"}
    code, out, err = facette(*(word.format(**places) for word in words))

    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert err.strip().count("\n") == 0
    assert out == ""


def test_wrong_flags_get_one_line(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["train", "x", "--hidden", "abc"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_ctrl_c_while_starting_is_no_traceback():
    code = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, *rest):
        if name == "numpy":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from pipeline.cli.main import main
sys.exit(main(["ingest", "a", "b.h5"]))
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert child.returncode == 130
    assert child.stderr == "Interrupted\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_page(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert COMMANDS[name][1:] in text
