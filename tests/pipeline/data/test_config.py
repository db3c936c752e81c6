"""Settings of the data: values that cannot work are named."""

import pytest

from model.config import ConfigError
from pipeline.data.config import DataConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "64x"}, "size: '64x' does not work"),
        ({"size": "0"}, "size: '0'"),
        ({"size": "99999"}, "size: '99999'"),
        ({"color": "green"}, "color: 'green' is unknown; choose one of auto, gray, rgb"),
        ({"fit": "cut"}, "fit: 'cut' is unknown"),
        ({"validation": 0.6, "test": 0.4}, "leave nothing to train on"),
        ({"max_pixels": 10**12}, "max_pixels"),
    ],
)
def test_options_that_cannot_work(options, message):
    with pytest.raises(ConfigError) as caught:
        DataConfig(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize("word", ["gray", "grey", "Grey", "greyscale", "grayscale"])
def test_gray_is_spelled_as_people_do(word):
    assert DataConfig(color=word) == DataConfig(color="gray")
    assert DataConfig(color="RGB").color == "rgb"
