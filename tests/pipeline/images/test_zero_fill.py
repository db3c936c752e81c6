"""WebP and AVIF files with zeros in place of data."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.images.decode import open_image
from pipeline.images.errors import ImageError


def encode(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


KINDS = [("webp", {}), ("webp", {"lossless": True}), ("avif", {"speed": 10})]


@pytest.mark.parametrize(("format", "options"), KINDS)
def test_zeros_in_place_of_data_are_noticed(photo_image, format, options):
    data = encode(photo_image, format, **options)
    open_image(data)
    half = len(data) // 2
    with pytest.raises(ImageError) as caught:
        open_image(data[:half] + bytes(len(data) - half))
    assert caught.value.code in ("truncated", "corrupt")


@pytest.mark.parametrize(("format", "options"), KINDS)
@pytest.mark.slow
def test_an_image_of_one_colour_is_whole(format, options):
    flat = Image.fromarray(np.full((2000, 3000, 3), 90, np.uint8))
    assert np.abs(np.asarray(open_image(encode(flat, format, **options)).image).astype(int) - 90).max() <= 2
