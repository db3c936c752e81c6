"""JPEG files with zeros in place of data, with too many scans, and of kinds that are not decoded."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.images.decode import decode_image, open_image
from pipeline.images.errors import ImageError
from pipeline.images.geometry import Geometry
from pipeline.images.jpeg_scans import MOST_SCANS, read_scans


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "jpeg", **options)
    return file.getvalue()


def code_of(data):
    codes = set()
    for decode in (open_image, lambda data: decode_image(data, Geometry(16, 16, exact=False))):
        with pytest.raises(ImageError) as caught:
            decode(data)
        codes.add(caught.value.code)
    (code,) = codes
    return code


KINDS = [{}, {"progressive": True}, {"optimize": True}, {"subsampling": 0}, {"quality": 95, "progressive": True}]


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_zeros_in_place_of_data_are_noticed(photo_image, options, mode):
    data = jpeg(photo_image.convert(mode), **options)
    half = len(data) // 2
    assert read_scans(data).zeros_at == -1
    assert code_of(data[:half] + bytes(len(data) - half)) == "truncated"


@pytest.mark.parametrize("options", KINDS)
def test_a_hole_of_zeros_is_noticed(photo_image, options):
    data = jpeg(photo_image, **options)
    at = len(data) // 3
    assert code_of(data[:at] + bytes(4096) + data[at + 4096 :]) == "truncated"


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("value", [0, 90, 255])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_image_of_one_colour_is_whole(options, value, mode):
    flat = Image.fromarray(np.full((900, 1200), value, np.uint8)).convert(mode)
    assert np.abs(np.asarray(open_image(jpeg(flat, **options)).image).astype(int) - value).max() <= 1


def test_bytes_after_the_end_do_not_matter(photo_image):
    data = jpeg(photo_image)
    assert open_image(data + bytes(5000)).size == open_image(data).size


def test_a_file_of_many_scans_is_refused_before_it_is_decoded(photo_image):
    data = jpeg(photo_image, progressive=True)
    n, last = read_scans(data).n, data.rindex(b"\xff\xda")
    assert 1 < n <= 12
    many = data[:-2] + data[last:-2] * (MOST_SCANS + 1 - n)
    assert read_scans(many + b"\xff\xd9").n == MOST_SCANS + 1
    assert code_of(many + b"\xff\xd9") == "too_large"


@pytest.mark.parametrize(("marker", "bits"), [(0xC3, 8), (0xC1, 12), (0xC7, 8)])
def test_a_kind_that_is_not_decoded_is_called_unsupported(photo_image, marker, bits):
    data = bytearray(jpeg(photo_image))
    frame = data.index(b"\xff\xc0")
    data[frame + 1], data[frame + 4] = marker, bits
    assert code_of(bytes(data)) == "unsupported_format"
