"""The command line as a person meets it: output, messages, exit codes."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from PIL import Image

from model.storage.checkpoint import load_state
from pipeline.classifier import ImageClassifier
from pipeline.cli.main import main

PLAIN = ["--pretrain", "none", "--augment", "none"]
QUICK = ["--hidden", "16", "--epochs", "2", *PLAIN]

pytestmark = pytest.mark.usefixtures("own_folder")


def run(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.slow
def test_the_whole_walk(capsys, faces):
    code, out, err = run(capsys, "ingest", faces, "faces.h5", "--size", "16", "--color", "gray")
    assert code == 0
    assert "Found 200 files: 200 images ingested, 0 rejected, 0 passed over" in out

    code, out, err = run(capsys, "train", "faces.h5", "--hidden", "32,16", "--epochs", "5", "--name", "first")
    assert code == 0
    assert "256-32-16-1" in err
    assert "epoch 5/5" in err
    assert "majority class" in out
    assert "logistic regression" in out

    code, out, err = run(capsys, "predict", "runs/first/model.h5", faces, "-o", "predictions.csv", "--topk", "2")
    with open("predictions.csv", newline="") as file:  # noqa: PTH123
        rows = list(csv.DictReader(file))
    assert code == 0
    assert len(rows) == 200
    assert out == ""
    assert "200 files: 200 ok, 0 error" in err

    code, out, err = run(capsys, "evaluate", "runs/first", "faces.h5", "--json")
    assert code == 0
    assert json.loads(out)["m"] == 30

    code, out, err = run(capsys, "filters", "runs/first/model.h5", "-o", "filters.png")
    assert code == 0
    with Image.open("filters.png") as image:
        assert min(image.size) > 100

    code, out, err = run(capsys, "inspect", "runs/first/model.h5")
    assert "(32, 256)" in out
    assert "face, other" in out
    code, out, err = run(capsys, "inspect", "faces.h5")
    assert "200 images of 16x16 gray" in out
    code, out, err = run(capsys, "inspect")
    assert "numpy" in out


def test_predict_writes_to_standard_output_and_tells_errors_by_the_exit_code(capsys, faces, run_path):
    good = faces / "face" / "0000.png"
    code, out, err = run(capsys, "predict", run_path, good, "nothing.jpg", "--format", "jsonl")

    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 3
    assert [row["status"] for row in rows] == ["ok", "error"]
    assert "1 not_found" in err


def test_inspect_looks_through_images(capsys, faces, tmp_path):
    code, out, _ = run(capsys, "inspect", faces, "--html", "audit.html", "--contact-sheet", "sheet.png")
    assert code == 0
    assert "200 images" in out
    assert (tmp_path / "audit.html").exists()
    assert (tmp_path / "sheet.png").exists()
    code, out, _ = run(capsys, "inspect", faces, "--json")
    assert json.loads(out)["m"] == 200


def test_ingest_dry_run_append_and_rejected(capsys, faces, tmp_path):
    make_classes(cats=6, dogs=6)(tmp_path / "photos", faces)
    (tmp_path / "photos" / "cats" / "bad.jpg").write_text("no image")
    code, out, _ = run(capsys, "ingest", "photos", "p.h5", "--dry-run", "--rejected", "rejected.csv")
    assert code == 3
    assert "dry run" in out
    assert not (tmp_path / "p.h5").exists()
    assert "cats/bad.jpg,not_an_image" in (tmp_path / "rejected.csv").read_text()
    (tmp_path / "photos" / "cats" / "bad.jpg").unlink()
    assert run(capsys, "ingest", "photos", "p.h5")[0] == 0
    code, out, _ = run(capsys, "ingest", "photos", "p.h5", "--append", "--json")
    assert code == 0
    assert json.loads(out)["ingested"] == 0  # all there already


def test_an_existing_data_set_is_replaced_only_on_demand(capsys, faces, tmp_path):
    target = tmp_path / "a.h5"
    assert run(capsys, "ingest", faces, "a.h5", "--size", "16")[0] == 0
    before = target.read_bytes()
    code, _, err = run(capsys, "ingest", faces, "a.h5", "--size", "12")
    assert code == 2
    assert "a.h5: exists already; replace it with --overwrite" in err
    assert target.read_bytes() == before
    assert run(capsys, "ingest", faces, "a.h5", "--size", "12", "--overwrite")[0] == 0
    assert target.read_bytes() != before
    assert run(capsys, "ingest", faces, "a.h5", "--append", "--overwrite")[0] == 2


@pytest.mark.slow
def test_training_with_rejected_files_exits_as_ingestion_does(capsys, faces, tmp_path):
    make_classes(cats=20, dogs=20)(tmp_path / "photos", faces)
    (tmp_path / "photos" / "cats" / "bad.jpg").write_text("no image")
    code, _, err = run(capsys, "train", "photos", "--epochs", "1", *PLAIN)
    assert code == 3
    assert "Rejected: cats/bad.jpg" in err


@pytest.mark.slow
def test_find_learning_rate_draws_and_suggests(capsys, faces):
    code, out, _ = run(capsys, "train", faces, "--find-learning-rate", "--name", "lr 1", "--hidden", "32", *PLAIN)
    assert code == 0
    assert os.path.getsize("runs/lr 1/learning_rate.png") > 5000  # noqa: PTH202
    command = shlex.split(out.splitlines()[-1].removeprefix("Train with:"))
    code, _, err = run(capsys, *command[1:])  # as it stands
    assert code == 0
    assert f"learning rate {float(command[-1]):.3g}" in err
    assert "-32-1 " in err


def make_empty(path, faces):
    path.mkdir()


def make_flat(path, faces):
    path.mkdir()
    for i in range(5):
        os.link(faces / "face" / f"{i:04d}.png", path / f"{i}.png")


def make_classes(**counts):
    def make(path, faces):
        for name, count in counts.items():
            (path / name).mkdir(parents=True)
            for i in range(count):
                os.link(faces / "face" / f"{i:04d}.png", path / name / f"{i}.png")

    return make


def make_all_bad(path, faces):
    for name in ("a", "b"):
        (path / name).mkdir(parents=True)
        (path / name / "x.jpg").write_text("no image")
        (path / name / "y.jpg").write_text("no image")


def make_foreign(path, faces):
    path.write_text("not HDF5")


BAD_SOURCES = {
    "missing": (lambda path, faces: None, "there is no such file or folder"),
    "empty": (make_empty, "holds no images"),
    "flat": (make_flat, "has no classes; it needs two or more, with one folder of images for each"),
    "one class": (make_classes(cats=4), "one class"),
    "single image": (make_classes(cats=4, dogs=1), "'dogs'"),
    "case": (make_classes(Cat=4, cat=4), "differ only in upper and lower case"),
    "all bad": (make_all_bad, "none of the 4 files is a readable image"),
}


@pytest.mark.parametrize("name", BAD_SOURCES)
def test_bad_sources_get_one_message_and_leave_nothing(capsys, faces, tmp_path, name):
    make, message = BAD_SOURCES[name]
    make(tmp_path / "photos", faces)
    code, out, err = run(capsys, "train", "photos", *QUICK)

    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert out == ""
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "SOURCE"),
        (["train", "--resume", "runs/none"], "there is no such folder"),
        (["train", "{faces}", "--batch-size", "1000"], "batch_size: 1000 is more than the 140 training examples"),
        (["train", "{faces}", "--layer-rates", "1,2,3,4"], "layer_rates"),
        (["train", "{faces}", "--hidden", "0"], "hidden"),
        (["train", "{faces}", "--validation", "0.6", "--test", "0.5"], "nothing to train on"),
        (["train", "{faces}", "--size", "big"], "size"),
        (["train", "{run}/data.h5", "--test", "0.3"], "leave out test"),
        (["train", "{faces}", "--hidden", "", "--batch-norm"], "no hidden layer to normalise"),
        (["train", "{faces}", "--pretrain", "none", "--pretrain-on", "{faces}"], "leave out one of them"),
        (["train", "{faces}", "--find-learning-rate", "--overwrite"], "leave out --overwrite"),
        (["train", "{faces}", "--activation", "sinus"], "relu"),
        (["train", "{faces}", "--config", "none.toml"], "none.toml"),
        (["predict", "none.h5", "{faces}"], "none.h5: there is no such file"),
        (["predict", "{foreign}", "{faces}"], "not an HDF5 file"),
        (["predict", "{run}/data.h5", "{faces}"], "facette-dataset"),
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
def test_bad_usage_gets_one_message(capsys, faces, run_path, tmp_path, words, message):
    (tmp_path / "foreign.h5").write_text("foreign")
    (tmp_path / "empty").mkdir()
    places = {"faces": faces, "run": run_path, "foreign": tmp_path / "foreign.h5", "empty": tmp_path / "empty"}
    code, out, err = run(capsys, *(word.format(**places) for word in words))

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


def test_diverging_run_is_explained(capsys, faces, tmp_path):
    wild = [*PLAIN, "--optimizer", "sgd", "--learning-rate", "1e9", "--no-batch-norm", "--activation", "identity"]
    code, _, err = run(capsys, "train", faces, *wild)
    assert code == 1
    assert "diverged" in err
    assert "learning_rate" in err
    assert not list(tmp_path.glob("runs/*/*"))


def test_resume_refuses_other_settings(capsys, faces):
    code, _, err = run(capsys, "train", "--resume", "runs/x", "--epochs", "3")
    assert code == 2
    assert "leave out --epochs" in err


def test_inspect_compares_runs(capsys, run_path, tmp_path):
    for name in ("first", "second"):
        shutil.copytree(run_path, tmp_path / "runs" / name)
    metrics = json.loads((tmp_path / "runs" / "first" / "metrics.json").read_text())
    metrics["splits"][metrics["evaluated_on"]]["accuracy"] = 0.25
    (tmp_path / "runs" / "first" / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "runs" / "second" / "report.html").unlink()

    code, out, _ = run(capsys, "inspect", "runs")
    assert code == 0
    assert out.index("\n  second") < out.index("\n  first")
    assert "25.0%" in out
    code, out, _ = run(capsys, "inspect", "runs", "--json")
    assert {found["name"]: found["accuracy"] for found in json.loads(out)}["first"] == 0.25
    assert run(capsys, "inspect", "runs", "--html", "x.html")[0] == 2


def test_resume_takes_the_checkpoint_for_its_folder(run_path, capsys, tmp_path):
    shutil.copytree(run_path, tmp_path / "runs" / "x")
    code, _, err = run(capsys, "train", "--resume", "runs/x/checkpoint.h5")
    assert code == 0
    assert "runs/x is finished, after epoch 15" in err


@pytest.mark.parametrize(
    ("name", "message"),
    [("nothing", "no such folder"), ("model.h5", "is a file"), ("empty", "no checkpoint.h5")],
)
def test_resume_says_what_is_missing(capsys, tmp_path, run_path, name, message):
    shutil.copy(run_path / "model.h5", tmp_path)
    (tmp_path / "empty").mkdir()
    code, _, err = run(capsys, "train", "--resume", name)
    assert code == 2
    assert message in err


@pytest.mark.slow
def test_config_repeats_what_the_run_was_given(capsys, faces, tmp_path):
    words = ["--memory", "7", "--threads", "1", "--hidden", "6", "--epochs", "1", *PLAIN]
    assert run(capsys, "train", faces, "--name", "first", *words)[0] == 0
    first = tmp_path / "runs" / "first"
    again = ["--config", first / "config.toml"]
    assert run(capsys, "train", faces, "--name", "second", *again)[0] == 0
    assert run(capsys, "train", faces, "--name", "third", *again, "--memory", "8")[0] == 0
    stored = [tomllib.loads((tmp_path / "runs" / name / "config.toml").read_text()) for name in ("first", "second")]
    assert stored[0] == stored[1]
    assert stored[0]["run"] == {"start_from": "", "pretrain_on": "", "memory": 7.0, "threads": 1}
    assert load_state(tmp_path / "runs" / "third" / "checkpoint.h5")[1]["memory"] == 8_000_000

    (tmp_path / "further.toml").write_text(f'[run]\nstart_from = "{first}"\n')
    code, _, err = run(capsys, "train", faces, "--name", "fourth", "--config", "further.toml", "--epochs", "1")
    assert code == 0
    assert "Starting from the weights" in err


@pytest.mark.parametrize("setting", ["memory = 0", "memory = true", "threads = 1.5", "start_from = 3", "colour = 1"])
def test_run_settings_that_do_not_work(capsys, faces, tmp_path, setting):
    (tmp_path / "bad.toml").write_text(f"[run]\n{setting}\n")
    code, _, err = run(capsys, "train", faces, "--config", "bad.toml")
    assert code == 2
    assert setting.split()[0] in err


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


def test_closed_pipe_ends_quietly(faces, run_path):
    command = [sys.executable, "-m", "pipeline.cli", "predict", str(run_path), *[str(faces)] * 40]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stderr
        child.stdout.readline()
        child.stdout.close()
        assert b"Traceback" not in child.stderr.read()
        child.wait()


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_trained_and_resumes_to_the_same_end(capsys, faces, tmp_path):
    words = ["train", str(faces), "--hidden", "400,200", "--epochs", "100", *PLAIN, "--name"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pipeline.train", *words[1:], "cut"]
    seen = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stderr
        for line in child.stderr:
            seen.append(line)
            if line.startswith("epoch   1/100"):  # the first epoch is over, the last far away
                child.send_signal(signal.SIGINT)

    assert child.returncode == 130, "".join(seen)
    assert "facette train --resume runs/cut" in "".join(seen)
    assert "Traceback" not in "".join(seen)
    ImageClassifier.load(tmp_path / "runs" / "cut")  # usable as it is
    for last in (["--resume", "runs/cut"], [*words[1:], "whole"]):
        subprocess.run(
            [sys.executable, "-m", "pipeline.train", *last], check=True, env=environment, capture_output=True
        )
    cut, whole = (ImageClassifier.load(tmp_path / "runs" / name) for name in ("cut", "whole"))
    np.testing.assert_array_equal(cut.parameters.flat, whole.parameters.flat)


@pytest.mark.slow
def test_demo_does_it_all(capsys, tmp_path):
    code, out, err = run(capsys, "demo", *QUICK)

    assert code == 0
    assert "200 images ingested" in err
    assert "What next" in out
    assert len((tmp_path / "runs" / "demo-faces" / "predictions.csv").read_text().splitlines()) == 201
    assert len(list((tmp_path / "data" / "faces" / "face").iterdir())) == 100
    code, _, _ = run(capsys, "demo", *QUICK)  # once more over the same folders
    assert code == 0


@pytest.mark.slow
def test_digits_demo(capsys, tmp_path):
    code, _, err = run(capsys, "demo", "digits", "--epochs", "3")
    assert code == 0
    assert "Classes (10)" in err
    assert (tmp_path / "runs" / "demo-digits" / "report.html").exists()
