"""The names of run folders."""

from __future__ import annotations

import os

import pytest

from pipeline.errors import InputError
from pipeline.training.run_folder import run_folder


def test_names_of_runs(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "model.h5").touch()

    assert run_folder(tmp_path, None, "a/photos/") == tmp_path / "photos-2"
    with pytest.raises(InputError, match="holds a run already"):
        run_folder(tmp_path, "photos", "x")
    with pytest.raises(InputError, match="give a plain one"):
        run_folder(tmp_path, "../escape", "x")
    assert run_folder(tmp_path, "photos", "x", overwrite=True) == tmp_path / "photos"


@pytest.mark.parametrize(
    ("files", "resumable", "message"),
    [
        (["data.h5"], False, "stopped before its first checkpoint"),
        (["data.h5", "model.h5"], False, "holds a run already; it cannot be resumed"),
        (["data.h5", "checkpoint.h5"], True, "holds a run already; choose another name"),
    ],
)
def test_resuming_is_proposed_only_if_there_is_a_checkpoint(tmp_path, files, resumable, message):
    (tmp_path / "first").mkdir()
    for name in files:
        (tmp_path / "first" / name).touch()
    with pytest.raises(InputError, match=message) as caught:
        run_folder(tmp_path, "first", "x")
    assert ("facette.resume" in str(caught.value)) == resumable
    assert "overwrite=True" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("photos/", "photos"),
        ("a/b.zip", "b"),
        ("runs/first/data.h5", "first"),
        (".h", "h"),
        ("/", "run"),
        (os.fsdecode(b"photos-\xff\n"), "photos-%FF%0A"),
    ],
)
def test_a_run_is_named_after_its_source(tmp_path, source, name):
    assert run_folder(tmp_path, None, source) == tmp_path / name
