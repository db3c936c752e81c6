"""Facette's own files are recognised, whatever their names."""

from __future__ import annotations

import shutil

import h5py
import pytest

from model.storage.kinds import format_of, is_run, own_kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.h5", "a model of Facette"),
        ("data.h5", "a data set of Facette"),
        ("checkpoint.h5", "a checkpoint of a run"),
        ("config.toml", ""),
        (".", "the folder of a run"),
    ],
)
def test_the_files_of_a_run(run_path, name, kind):
    assert own_kind(run_path / name) == kind


def test_names_do_not_matter(run_path, tmp_path):
    assert own_kind(shutil.copy(run_path / "model.h5", tmp_path / "flowers")) == "a model of Facette"
    assert not is_run(tmp_path)


def test_other_files_are_none_of_ours(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["format"] = [1, 2]
    (tmp_path / "b.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    for name in ("a.h5", "b.h5", "none.h5", "."):
        assert format_of(tmp_path / name) == own_kind(tmp_path / name) == ""
