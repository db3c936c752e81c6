"""What a location is, is recognised; what is no source is rejected with the kinds that are."""

from pipeline.sources.open import open_source


def test_what_is_no_source(tmp_path, error_of):
    (tmp_path / "a.txt").write_text("x")
    assert "is not a source of images" in error_of(tmp_path / "a.txt")
    assert "no such file or folder" in error_of("nonsense")
    assert open_source("faces").kind == "faces"
