"""The record of a sorting holds what was done, also after a process was killed, and for one process at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.errors import InputError
from pipeline.prediction.sorting_record import RECORD_NAME, Transfer, sorting_record

TRANSFER = Transfer("move", "/photos/\udcff.png", "face/\udcff.png", "ab" * 32, 1, 0o644)


def test_what_was_written_down_is_read_again(tmp_path):
    with sorting_record(tmp_path, create=True) as record:
        record.add_folder("face")
        first = record.add(TRANSFER)
        second = record.add(replace(TRANSFER, target="face/b.png"))
        record.drop(first)
        record.begin_undo(second)
    with sorting_record(tmp_path, create=False) as record:
        assert record.transfers == {second: replace(TRANSFER, target="face/b.png")}
        assert record.undoing == {second}
        assert record.folders == ["face"]
        third = record.add(TRANSFER)
    with sorting_record(tmp_path, create=False) as record:
        assert list(record.transfers) == [second, third]


def test_a_line_that_was_cut_short_does_not_count(tmp_path):
    path = tmp_path / RECORD_NAME
    with sorting_record(tmp_path, create=True) as record:
        record.add(TRANSFER)
    with path.open("ab") as file:
        file.write(b'{"action": "mo')
    with sorting_record(tmp_path, create=False) as record:
        record.add(replace(TRANSFER, target="face/b.png"))
    with sorting_record(tmp_path, create=False) as record:
        assert [transfer.target for transfer in record.transfers.values()] == [TRANSFER.target, "face/b.png"]


@pytest.mark.parametrize(
    "text",
    ["words\n", '{"format": "facette-sorting", "version": 2}\n', "[1]\n"],
)
def test_something_else_is_not_written_to(tmp_path, text):
    (tmp_path / RECORD_NAME).write_text(text)
    with pytest.raises(InputError, match="is not the record of a sorting"), sorting_record(tmp_path, create=True):
        pass
    assert (tmp_path / RECORD_NAME).read_text() == text


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / RECORD_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is no file of its own"), sorting_record(tmp_path, create=True):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_two_processes_do_not_sort_into_one_folder(tmp_path):
    with (
        sorting_record(tmp_path, create=True),
        pytest.raises(InputError, match="another process"),
        sorting_record(tmp_path, create=True),
    ):
        pass
