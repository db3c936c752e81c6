"""Options that several commands have in common."""

from __future__ import annotations

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
