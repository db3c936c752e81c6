"""A file appears complete, or the one from before stays."""

from __future__ import annotations

import pytest

from model.storage.atomic import replacing, stream


@pytest.mark.parametrize("name", ["a.txt", "n" * 250 + ".txt"])
def test_replacing_puts_the_file_in_its_place_only_if_the_block_ends_well(tmp_path, name):
    path = tmp_path / name
    for text in ("old", "new"):
        with replacing(path) as temporary:
            temporary.write_text(text)
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_without_overwriting_an_existing_file_stays(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path, overwrite=False) as temporary:
        temporary.write_text("first")
    with pytest.raises(FileExistsError), replacing(path, overwrite=False) as temporary:
        temporary.write_text("second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_stream_becomes_the_file_or_nothing(tmp_path):
    path = tmp_path / "a.bin"
    with stream(path) as file:
        file.write(b"old")
    with stream(path, discard=True) as file:
        file.write(b"discarded")
    with pytest.raises(ZeroDivisionError), stream(path) as file:  # noqa: PT012
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_an_error_at_the_end_and_not_in_the_middle(tmp_path):
    with pytest.raises(OSError, match="No space left"), stream(tmp_path / "a.bin") as file:  # noqa: PT012
        file.error = OSError(28, "No space left on device")
        assert file.write(b"lost") == 4
    assert list(tmp_path.iterdir()) == []
