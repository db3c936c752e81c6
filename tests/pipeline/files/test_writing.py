"""A file that is written is whole or absent, and what fails is one message."""

from __future__ import annotations

import os

import pytest

from pipeline.errors import InputError
from pipeline.files.writing import writing


def test_a_file_appears_whole_when_the_block_ends(tmp_path):
    target = tmp_path / "rows.csv"
    with writing(target) as stream:
        stream.write(b"some rows\n")
        assert not target.exists()
    assert target.read_bytes() == b"some rows\n"
    assert os.listdir(tmp_path) == ["rows.csv"]  # noqa: PTH208


def test_a_full_disk_is_one_message_and_leaves_the_old_file(tmp_path):
    target = tmp_path / os.fsdecode(b"rows-\xff.csv")
    target.write_bytes(b"old")
    message = r"rows-%FF\.csv: cannot be written \(No space left on device\); free some space"
    with pytest.raises(InputError, match=message), writing(target, discard=True):
        raise OSError(28, "No space left on device")
    assert target.read_bytes() == b"old"
    assert len(os.listdir(tmp_path)) == 1  # noqa: PTH208


def test_a_folder_that_does_not_exist_is_one_message(tmp_path):
    target = tmp_path / "nowhere" / "rows.csv"
    with pytest.raises(InputError, match=r"nowhere/rows\.csv: cannot be written"), writing(target):
        pass


def test_a_worker_that_dies_is_not_blamed_on_the_file(tmp_path):
    with pytest.raises(ChildProcessError), writing(tmp_path / "rows.csv", discard=True):
        raise ChildProcessError("a worker died")
