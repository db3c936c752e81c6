"""The command `predict`: rows, exit codes, a closed pipe."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from pipeline.classifier import ImageClassifier


def test_predict_writes_to_standard_output_and_tells_errors_by_the_exit_code(facette, faces, run_path):
    good = faces / "face" / "0000.png"
    code, out, err = facette("predict", run_path, good, "nothing.jpg", "--format", "jsonl")

    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 3
    assert [row["status"] for row in rows] == ["ok", "error"]
    assert "1 not_found" in err


def test_closed_pipe_ends_quietly(faces, run_path):
    command = [sys.executable, "-m", "pipeline.cli", "predict", str(run_path), *[str(faces)] * 40]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stderr
        child.stdout.readline()
        child.stdout.close()
        assert b"Traceback" not in child.stderr.read()
        child.wait()


def test_class_names_outlast_a_locale_without_them(run_path, faces, tmp_path):
    """In the C locale, file names and standard output know ASCII only."""
    classifier = ImageClassifier.load(run_path)
    replace(classifier, classes=("Bär", "猫")).save("model.h5")
    Path("photos/Bär").mkdir(parents=True)
    shutil.copy(faces / "face" / "0000.png", "photos/Bär")
    locale = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    words = ["predict", "model.h5", "photos", "-o", "out.csv", "--copy-to", "sorted"]
    code = "import sys; from pipeline.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=os.environ | locale, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    (row,) = csv.DictReader(Path("out.csv").read_text("utf-8").splitlines())
    assert row["true_label"] == "Bär"
    assert Path("sorted", row["label"], "0000.png").exists()


def test_the_totals_count_each_label_and_a_second_run_says_that_nothing_has_changed(facette, faces, run_path):
    words = ("predict", run_path, faces / "face", "none.png", "-o", "out.csv")
    code, _, err = facette(*words)
    labels = [row["label"] for row in csv.DictReader(Path("out.csv").read_text().splitlines())]
    assert code == 3
    assert f"Labels: face {labels.count('face')}" in err
    code, out, err = facette(*words, "--json")
    assert "all rows are from an earlier run, nothing has changed" in err
    assert json.loads(out)["labels"]["face"] == labels.count("face")


def test_quiet_writes_errors_only(facette, faces, run_path):
    words = ("predict", run_path, faces / "face", "none.png", "-q", "-o", "out.csv")
    assert facette(*words) == (3, "", "")
    code, out, err = facette(*words, "--json")
    assert json.loads(out)["errors"] == {"not_found": 1}
    code, out, err = facette("predict", run_path, faces, "--quiet", "-o", "no/such/folder.csv")
    assert (code, out) == (2, "")
    assert "there is no folder" in err


def test_paths_on_standard_input_may_be_separated_by_nul(faces, run_path, tmp_path):
    odd = tmp_path / "two\nlines.png"
    shutil.copy(faces / "face" / "0000.png", odd)
    paths = b"\0".join([os.fsencode(odd), os.fsencode(faces / "face" / "0001.png"), b""])
    command = [sys.executable, "-m", "pipeline.cli", "predict", str(run_path), "-", "-0", "--format", "jsonl"]
    done = subprocess.run(command, input=paths, capture_output=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert rows[0]["path"].endswith("two%0Alines.png")


def test_a_percentage_is_told_from_a_probability(facette, faces, run_path):
    code, _, err = facette("predict", run_path, faces, "--threshold", "80")
    assert code == 2
    assert "give a probability from 0 to 1, such as 0.8" in err
