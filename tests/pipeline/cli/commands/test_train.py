"""The command `train`: sources, settings, interruption and resuming."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.storage.checkpoint import load_state
from pipeline.classifier import ImageClassifier
from pipeline.cli.commands.train import _interrupted
from pipeline.training.prepare import prepare
from pipeline.training.resume import resume

PLAIN = ["--pretrain", "none", "--augment", "none"]
QUICK = ["--hidden", "16", "--epochs", "2", *PLAIN]


@pytest.mark.slow
def test_training_with_rejected_files_exits_as_ingestion_does(facette, tmp_path, link_classes):
    link_classes(tmp_path / "photos", cats=20, dogs=20)
    (tmp_path / "photos" / "cats" / "bad.jpg").write_text("no image")
    code, _, err = facette("train", "photos", "--epochs", "1", *PLAIN)
    assert code == 3
    assert "Rejected: cats/bad.jpg" in err


@pytest.mark.slow
def test_find_learning_rate_draws_and_suggests(facette, faces, tmp_path):
    code, out, _ = facette("train", faces, "--find-learning-rate", "--name", "lr 1", "--hidden", "32", *PLAIN)
    assert code == 0
    assert [path.name for path in tmp_path.glob("runs/*")] == ["lr 1-learning-rate.png"]  # no run is left behind
    assert (tmp_path / "runs" / "lr 1-learning-rate.png").stat().st_size > 5000
    command = shlex.split(out.splitlines()[-1].removeprefix("Train with:"))
    code, _, err = facette(*command[1:])  # as it stands
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
def test_bad_sources_get_one_message_and_leave_nothing(facette, faces, tmp_path, name):
    make, message = BAD_SOURCES[name]
    make(tmp_path / "photos", faces)
    code, out, err = facette("train", "photos", *QUICK)

    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert out == ""
    assert not list(tmp_path.glob("runs/*"))


def test_diverging_run_is_explained(facette, faces, tmp_path):
    wild = [*PLAIN, "--optimizer", "sgd", "--learning-rate", "1e9", "--no-batch-norm", "--activation", "identity"]
    code, _, err = facette("train", faces, *wild)
    assert code == 1
    assert "diverged" in err
    assert "learning_rate" in err
    assert not list(tmp_path.glob("runs/*/*"))


class Interrupted:
    """A data set that Ctrl-C reaches as soon as the model is about to be written."""

    def __init__(self, dataset):
        self._dataset = dataset

    def __getattr__(self, name):
        if name == "sha256":
            raise KeyboardInterrupt
        return getattr(self._dataset, name)


def test_a_second_ctrl_c_says_that_what_was_trained_is_safe(faces, small, tmp_path, capsys):
    run = prepare(faces, tmp_path / "run", recipe=small)
    with run.dataset:
        records = run.epochs()
        next(records)
        records.close()
        assert _interrupted(replace(run, dataset=Interrupted(run.dataset))) == 130
    err = capsys.readouterr().err
    assert "Interrupted again. What was trained is safe in" in err
    assert f"train --resume {tmp_path / 'run'}" in err
    with (resumed := resume(tmp_path / "run")).dataset:
        assert resumed.state.epoch == 1


@pytest.mark.slow
def test_a_run_that_ends_says_what_it_is_worth_how_long_it_took_and_what_next(facette, faces):
    code, out, err = facette("train", faces, "--name", "a b", *QUICK)
    assert code == 0
    assert re.search(r"^Verdict: \d+% on training images, \d+% on 30 test images", out, flags=re.MULTILINE)
    assert re.search(r"^Elapsed time: ", out, flags=re.MULTILINE)
    assert re.search(r"about .* on 1 thread, and then about .* for scores and figures", err)
    commands = [shlex.split(line) for line in out.splitlines() if re.match(r"  \S*facette ", line)]
    assert [command[1] for command in commands] == ["app", "predict"]
    assert facette(*commands[1][1:])[0] == 0  # as it stands
    report = Path("runs/a b/report.html").read_text()
    verdict = re.search(r"Verdict: (.*)", out)[1]
    assert verdict in report
    assert "elapsed time" in report
    for setting, value in (("hidden", "16"), ("augment", "none"), ("epochs", "2"), ("batch_norm", "on")):
        assert f"<td>{setting}</td><td>{value}</td>" in report
    metrics = json.loads(Path("runs/a b/metrics.json").read_text())
    assert metrics["verdict"]["sentence"] == verdict
    assert metrics["seconds"]["training"] > 0


def test_ctrl_c_in_the_preparation_leaves_everything_as_it_was(faces, tmp_path):
    code = f"""
import os, signal, sys
from pipeline.cli.main import main
from pipeline.training import prepare

def interrupt(*arguments, **options):
    os.kill(os.getpid(), signal.SIGINT)

prepare.batch_sources = interrupt
sys.exit(main(["train", {str(faces)!r}]))
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert child.returncode == 130
    assert child.stderr.splitlines()[-1] == "Interrupted before the training began: everything is as it was"
    assert not list(tmp_path.glob("runs/*"))


def test_resume_refuses_other_settings(facette, faces):
    code, _, err = facette("train", "--resume", "runs/x", "--epochs", "3")
    assert code == 2
    assert "leave out --epochs" in err


def test_resume_takes_the_checkpoint_for_its_folder(run_path, facette, tmp_path):
    shutil.copytree(run_path, tmp_path / "runs" / "x")
    code, _, err = facette("train", "--resume", "runs/x/checkpoint.h5")
    assert code == 0
    assert "runs/x is finished, after epoch 15" in err


@pytest.mark.parametrize(
    ("name", "message"),
    [("nothing", "no such folder"), ("model.h5", "is a file"), ("empty", "no checkpoint.h5")],
)
def test_resume_says_what_is_missing(facette, tmp_path, run_path, name, message):
    shutil.copy(run_path / "model.h5", tmp_path)
    (tmp_path / "empty").mkdir()
    code, _, err = facette("train", "--resume", name)
    assert code == 2
    assert message in err


@pytest.mark.slow
def test_config_repeats_what_the_run_was_given(facette, faces, tmp_path):
    words = ["--memory", "7", "--threads", "1", "--hidden", "6", "--epochs", "1", *PLAIN]
    assert facette("train", faces, "--name", "first", *words)[0] == 0
    first = tmp_path / "runs" / "first"
    again = ["--config", first / "config.toml"]
    assert facette("train", faces, "--name", "second", *again)[0] == 0
    assert facette("train", faces, "--name", "third", *again, "--memory", "8")[0] == 0
    stored = [tomllib.loads((tmp_path / "runs" / name / "config.toml").read_text()) for name in ("first", "second")]
    assert stored[0] == stored[1]
    assert stored[0]["run"] == {"start_from": "", "pretrain_on": "", "memory": 7.0, "threads": 1}
    assert load_state(tmp_path / "runs" / "third" / "checkpoint.h5")[1]["settings"]["memory"] == 8.0

    (tmp_path / "further.toml").write_text(f'[run]\nstart_from = "{first}"\n')
    code, _, err = facette("train", faces, "--name", "fourth", "--config", "further.toml", "--epochs", "1")
    assert code == 0
    assert "Starting from the weights" in err


@pytest.mark.parametrize("setting", ["memory = 0", "memory = true", "threads = 1.5", "start_from = 3", "colour = 1"])
def test_run_settings_that_do_not_work(facette, faces, tmp_path, setting):
    (tmp_path / "bad.toml").write_text(f"[run]\n{setting}\n")
    code, _, err = facette("train", faces, "--config", "bad.toml")
    assert code == 2
    assert setting.split()[0] in err


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
