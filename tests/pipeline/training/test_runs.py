"""The list of the finished runs in a folder."""

from __future__ import annotations

from pipeline.training.runs import list_runs, summarize


def test_there_is_no_summary_of_what_is_not_there(tmp_path):
    assert summarize(tmp_path / "model.h5") is None
    assert list_runs(tmp_path / "missing") == []
    (tmp_path / "empty").mkdir()
    assert list_runs(tmp_path) == []
