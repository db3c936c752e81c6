"""The demonstration images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from pipeline.errors import InputError
from pipeline.sources.demo import write_demo


def test_digits_are_written_without_loss(tmp_path):
    folder = write_demo("digits", tmp_path / "digits")
    digits = load_digits()

    assert len(list(folder.rglob("*.png"))) == len(digits.images)
    for i in (0, 1000):
        with Image.open(folder / str(digits.target[i]) / f"{i:04d}.png") as image:
            np.testing.assert_allclose(np.asarray(image) * (16 / 255), digits.images[i], atol=0.04)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="does not hold the demo images"):
        write_demo("digits", tmp_path / "digits")
    assert (tmp_path / "digits" / "mine.txt").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]
