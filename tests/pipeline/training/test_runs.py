"""The list of the finished runs in a folder."""

from __future__ import annotations

import json
import os

import pytest

from pipeline.training.runs import list_runs, summarize


def test_there_is_no_summary_of_what_is_not_there(tmp_path):
    assert summarize(tmp_path / "model.h5") is None
    assert list_runs(tmp_path / "missing") == []
    (tmp_path / "empty").mkdir()
    assert list_runs(tmp_path) == []


@pytest.mark.parametrize(
    "damage",
    [
        {"evaluated_on": 3},
        {"evaluated_on": "half \ud800"},
        {"splits": []},
        {"splits": {"test": {"m": float("inf")}}},
        {"splits": {"test": {"m": 7, "accuracy": float("nan"), "low": 0.1, "high": 0.2}}},
        {"baselines": [{"name": ["a"], "accuracy": 0.5}]},
        {"baselines": 5},
    ],
)
def test_figures_of_wrong_types_count_as_none(damage, tmp_path):
    (tmp_path / "model.h5").touch()
    figures = {"m": 7, "accuracy": 0.5, "low": 0.4, "high": 0.6}
    metrics = {"evaluated_on": "test", "splits": {"test": figures}, "baselines": [{"name": "a", "accuracy": 0.5}]}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert summarize(tmp_path / "model.h5").m == 7
    (tmp_path / "metrics.json").write_text(json.dumps(metrics | damage))
    assert summarize(tmp_path / "model.h5").m == 0
    (tmp_path / "metrics.json").write_text("[" * 100_000)
    assert summarize(tmp_path / "model.h5").m == 0


def test_a_pipe_in_the_place_of_the_figures_is_not_waited_for(tmp_path):
    (tmp_path / "model.h5").touch()
    os.mkfifo(tmp_path / "metrics.json")
    assert summarize(tmp_path / "model.h5").m == 0
