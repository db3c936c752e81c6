"""A run of the Playground: it goes on after its model is kept, and what is kept is a run like any other."""

from __future__ import annotations

import pytest

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED
from pipeline.classifier import ImageClassifier
from pipeline.errors import InputError
from pipeline.playground.images import read_image_set
from pipeline.playground.session import begin_session, keep_run, model_bytes
from pipeline.training.recipe import Recipe
from pipeline.training.resume import resume

RECIPE = Recipe(NetworkConfig(hidden=(8,)), TrainingConfig(epochs=3), NOT_PRETRAINED)


def test_a_kept_run_can_be_resumed_and_the_session_goes_on(faces, tmp_path):
    (tmp_path / "images").mkdir()
    images = read_image_set(str(faces), tmp_path / "images")
    run = begin_session(images, RECIPE, tmp_path / "session")
    with run.dataset:
        epochs = run.epochs()
        next(epochs)
        model = keep_run(run, tmp_path / "kept")
        records = list(epochs)
        (tmp_path / "downloaded.h5").write_bytes(model_bytes(run))

    assert [record.epoch for record in records] == [2, 3]
    kept = ImageClassifier.load(model)
    assert kept.provenance["source"] == str(faces)
    assert len(kept.history) == 1
    assert {"config.toml", "data.h5", "report.html"} <= {path.name for path in (tmp_path / "kept").iterdir()}
    with (resumed := resume(tmp_path / "kept")).dataset:
        list(resumed.epochs())
        assert (resumed.state.result.flat == run.state.result.flat).all()
    assert ImageClassifier.load(tmp_path / "downloaded.h5").calibration is not None
    with pytest.raises(InputError, match="holds a run already"):
        keep_run(run, tmp_path / "kept")


def test_images_that_have_gone_are_one_message(faces, tmp_path):
    (tmp_path / "images").mkdir()
    images = read_image_set(str(faces), tmp_path / "images")
    images.data.unlink()
    with pytest.raises(InputError, match=r"data\.h5"):
        begin_session(images, RECIPE, tmp_path / "session")
    assert not (tmp_path / "session").exists()
