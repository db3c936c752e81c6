"""What every kind of source has in common."""

from __future__ import annotations

import pickle

from pipeline.files.stamps import stamp_of
from pipeline.sources.source import Files, Sample, Source


def test_files_are_read_below_their_folder_and_in_other_processes_too(face_png, tmp_path):
    (tmp_path / "ant").mkdir()
    (tmp_path / "ant" / "1.png").write_bytes(face_png)
    files = pickle.loads(pickle.dumps(Files(str(tmp_path))))
    sample = Sample("photos/ant/1.png", "ant", key="ant/1.png")
    assert files(sample) == face_png
    assert files.stamp(sample) == stamp_of(tmp_path / "ant" / "1.png")


def test_a_source_is_ready_made_if_a_sample_has_a_split():
    samples = [Sample("a.png"), Sample("b.png", split="test")]
    assert Source("folder", "photos", samples, lambda sample: b"").ready_made
    assert not Source("folder", "photos", samples[:1], lambda sample: b"").ready_made
