"""A stamp notices that a file has changed."""

from __future__ import annotations

import os

from pipeline.files.stamps import Stamp, stamp_of


def test_another_size_or_time_is_another_stamp(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"some")
    os.utime(path, ns=(1, 1_000))
    assert stamp_of(path) == Stamp(4, 1_000)
    os.utime(path, ns=(1, 1_001))
    assert stamp_of(path) == Stamp(4, 1_001)
    path.write_bytes(b"longer")
    os.utime(path, ns=(1, 1_000))
    assert stamp_of(str(path)) == Stamp(6, 1_000)


def test_a_file_that_does_not_exist_has_a_stamp_too(tmp_path):
    assert stamp_of(tmp_path / "gone.png") == Stamp(-1, -1)
    assert stamp_of("a\0b") == Stamp(-1, -1)
