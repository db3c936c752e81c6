"""The demonstration images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.ingestion.ingest import ingest
from pipeline.sources.demo import DEMOS, write_demo


def test_digits_are_written_without_loss(tmp_path):
    folder = write_demo("digits", tmp_path / "digits")
    digits = load_digits()

    assert len(list(folder.rglob("*.png"))) == len(digits.images)
    for i in (0, 1000):
        with Image.open(folder / str(digits.target[i]) / f"{i:04d}.png") as image:
            np.testing.assert_allclose(np.asarray(image) * (16 / 255), digits.images[i], atol=0.04)


@pytest.mark.parametrize("name", DEMOS)
def test_a_demo_is_the_built_in_set_of_its_name(tmp_path, name):
    ingest(name, tmp_path / "builtin.h5")
    ingest(write_demo(name, tmp_path / name), tmp_path / "folder.h5")
    with Dataset.open(tmp_path / "builtin.h5") as builtin, Dataset.open(tmp_path / "folder.h5") as folder:
        assert folder.classes == builtin.classes
        pixels = [
            {(image.tobytes(), label) for image, label in zip(data.images[:], data.labels.tolist(), strict=True)}
            for data in (builtin, folder)
        ]
        assert pixels[0] == pixels[1]


def test_a_demo_that_does_not_exist_is_named_with_those_that_do(tmp_path):
    with pytest.raises(InputError, match="demo 'olivetti' is unknown; choose one of faces, digits"):
        write_demo("olivetti", tmp_path / "olivetti")


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="does not hold the demo images"):
        write_demo("digits", tmp_path / "digits")
    assert (tmp_path / "digits" / "mine.txt").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]
