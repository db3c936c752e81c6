"""PNG files made from arrays of pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.images.encode import to_png


@pytest.mark.parametrize("shape", [(12, 9), (12, 9, 1), (12, 9, 3)])
def test_a_png_shows_exactly_the_pixels(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with Image.open(io.BytesIO(to_png(image))) as shown:
        assert shown.format == "PNG"
        np.testing.assert_array_equal(np.asarray(shown), image.squeeze())
