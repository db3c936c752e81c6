"""The command `demo`: from images to predictions."""

from __future__ import annotations

import pytest

PLAIN = ["--pretrain", "none", "--augment", "none"]
QUICK = ["--hidden", "16", "--epochs", "2", *PLAIN]


@pytest.mark.slow
def test_demo_does_it_all(facette, tmp_path):
    code, out, err = facette("demo", *QUICK)

    assert code == 0
    assert "200 images ingested" in err
    assert "What next" in out
    assert len((tmp_path / "runs" / "demo-faces" / "predictions.csv").read_text().splitlines()) == 201
    assert len(list((tmp_path / "data" / "faces" / "face").iterdir())) == 100
    code, _, _ = facette("demo", *QUICK)  # once more over the same folders
    assert code == 0


@pytest.mark.slow
def test_digits_demo(facette, tmp_path):
    code, _, err = facette("demo", "digits", "--epochs", "3")
    assert code == 0
    assert "Classes (10)" in err
    assert (tmp_path / "runs" / "demo-digits" / "report.html").exists()
