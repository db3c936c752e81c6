"""Options that several commands have in common."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.cli.flags import chosen_workers
from pipeline.cli.main import parse
from pipeline.errors import InputError
from pipeline.workers import DaskCluster, Processes, Threads

COMMANDS = {"ingest": ["photos", "photos.h5"], "predict": ["model.h5", "photos"]}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("words", "kind", "n"),
    [
        (["--jobs", "3"], Threads, 3),
        (["--workers", "2"], Processes, 2),
        (["--jobs", "3", "--workers", "2"], Processes, 2),
        (["--dask", "tcp://scheduler:8786"], DaskCluster, "tcp://scheduler:8786"),
    ],
)
def test_both_commands_take_the_same_workers(command, words, kind, n):
    workers = chosen_workers(parse([command, *COMMANDS[command], *words]))
    assert isinstance(workers, kind)
    assert n in vars(workers).values()


@pytest.mark.parametrize("command", COMMANDS)
def test_both_commands_refuse_the_same(command, capsys):
    words = [command, *COMMANDS[command]]
    for flag in ("--jobs", "--workers"):
        for number in ("0", "-1", "two", "1.5"):
            with pytest.raises(SystemExit):
                parse([*words, flag, number])
            assert f"{flag}: '{number}' does not work; give a whole number of 1 or more" in capsys.readouterr().err
    with pytest.raises(InputError, match="--workers and --dask exclude each other; leave one out"):
        chosen_workers(parse([*words, "--workers", "2", "--dask", "tcp://scheduler:8786"]))


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize("model", ["{run}", "{run}/model.h5"])
@pytest.mark.parametrize(
    ("first", "what"),
    [
        ("{faces}", "a folder of images"),
        ("{faces}/face/0000.png", "no model"),
        ("{run}/data.h5", "a data set of Facette"),
        ("photos", "no file"),
    ],
)
def test_a_model_and_images_in_the_wrong_order_are_recognised(facette, run_path, faces, command, model, first, what):
    first, model = (text.format(run=run_path, faces=faces) for text in (first, model))
    code, out, err = facette(command, first, model)
    assert (code, out) == (2, "")
    assert f"{first} is {what}, and {model} is a model; give the model first:" in err
    assert f"{command} {model} {first}" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("predict {run} {run}", "{run}: is the folder of a run, and images are needed; the images of its run are in "),
        (
            "predict {run} {run}/model.h5",
            "model.h5: is a model of Facette, and images are needed; the images of",
        ),
        ("predict {run} {run}/checkpoint.h5", "checkpoint.h5: is a checkpoint of a run, and images are needed"),
        ("predict {run} flowers", "flowers: is a model of Facette, and images are needed"),
        ("evaluate {run} {run}/model.h5", "model.h5: is a model of Facette, and images are needed"),
        ("train {run}/model.h5", "model.h5: is a model of Facette, and images are needed"),
        ("train {run}", "{run}: is the folder of a run, and images are needed"),
        ("ingest {run}/checkpoint.h5 a.h5", "checkpoint.h5: is a checkpoint of a run, and images are needed"),
        ("predict {run}/checkpoint.h5 {faces}", "is a checkpoint of a run, and a model of Facette is needed"),
        ("filters {run}/data.h5", "is a data set of Facette, and a model of Facette is needed"),
        ("app {run}/data.h5", "is a data set of Facette, and a model of Facette is needed"),
        ("train {faces} --start-from {run}/data.h5", "is a data set of Facette, and a model of Facette is needed"),
        ("evaluate {faces} {faces}", "is a folder without a model.h5, and a model is needed"),
        ("predict unfinished {faces}", "unfinished: is the folder of a run that has no model.h5 yet; resume it with"),
    ],
)
def test_our_own_files_are_named_where_others_are_needed(facette, run_path, faces, words, message):
    Path("unfinished").mkdir()
    shutil.copy(run_path / "checkpoint.h5", "unfinished")
    shutil.copy(run_path / "model.h5", "flowers")
    code, out, err = facette(*words.format(run=run_path, faces=faces).split())
    assert (code, out) == (2, "")
    assert message.format(run=run_path) in err
    assert "facette-" not in err
