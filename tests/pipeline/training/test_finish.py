"""What a finished run says about itself; and its report can be written again."""

from __future__ import annotations

import shutil

import pytest

from pipeline.classifier import ImageClassifier
from pipeline.cli.main import main
from pipeline.data.config import DataConfig


@pytest.mark.slow
def test_without_test_images_says_what_it_was_evaluated_on(train_in, faces, small, tmp_path):
    result = train_in(tmp_path / "run", faces, data=DataConfig(test=0.0), recipe=small)

    assert result.evaluated_on == "validation"
    assert "this accuracy is optimistic" in (tmp_path / "run" / "report.html").read_text()


def test_a_finished_run_is_reported_again_from_its_folder(run_path, tmp_path, capsys):
    folder = shutil.copytree(run_path, tmp_path / "faces")
    written = ("report.html", "metrics.json", "history.csv", "filters.png", "model.h5")
    for name in written:
        (folder / name).unlink()

    assert main(["train", "--resume", str(folder)]) == 0

    said = capsys.readouterr()
    assert "is finished, after epoch 15" in said.err
    assert "Training 0 epochs" not in said.err
    for name in ("metrics.json", "history.csv", "filters.png"):
        assert (folder / name).read_bytes() == (run_path / name).read_bytes()
    again, before = ImageClassifier.load(folder), ImageClassifier.load(run_path)
    assert again.model_id == before.model_id
    assert again.provenance | {"created": ""} == before.provenance | {"created": ""}
    accuracy = f"Accuracy {100 * before.provenance['accuracy']['test']:.1f} % on 30 test images"
    assert accuracy in " ".join((folder / "report.html").read_text().split())
