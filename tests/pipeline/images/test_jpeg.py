"""Decoding a JPEG directly gives what Pillow's reader gives, or None."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.images import jpeg


@pytest.fixture(scope="module")
def scene(photo_image):
    return photo_image.crop((100, 60, 323, 211))  # 223 x 151


def encode(image, **options):
    data = io.BytesIO()
    image.save(data, "JPEG", **options)
    return data.getvalue()


ORDINARY = {
    "colour": ("RGB", {}),
    "gray": ("L", {}),
    "progressive": ("RGB", {"progressive": True}),
    "with a comment": ("RGB", {"comment": b"seen at noon"}),
    "with a colour profile": ("RGB", {"icc_profile": b"profile" * 20_000}),
    "with restart markers": ("RGB", {"restart_marker_rows": 1}),
    "RGB as it is": ("RGB", {"keep_rgb": True}),
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_an_ordinary_file_gives_the_same_pixels_as_pillow(scene, kind):
    mode, options = ORDINARY[kind]
    data = encode(scene.convert(mode), **options)
    assert jpeg.read_header(data) == (mode, 223, 151)
    with Image.open(io.BytesIO(data)) as expected:
        assert (np.asarray(jpeg.decode_jpeg(data, mode, (223, 151))) == np.asarray(expected)).all()


@pytest.mark.parametrize("eighths", [1, 2, 4])
def test_fractions_that_pillow_offers_give_the_same_pixels(scene, eighths):
    data = encode(scene)
    with Image.open(io.BytesIO(data)) as expected:
        expected.draft(None, (223 * eighths // 8, 151 * eighths // 8))
        assert (np.asarray(jpeg.decode_jpeg(data, "RGB", (223, 151), eighths)) == np.asarray(expected)).all()


def test_three_eighths_look_like_the_whole_image_shrunk(scene):
    data = encode(scene, quality=95)
    small = jpeg.decode_jpeg(data, "RGB", (223, 151), 3)
    assert small.size == (84, 57)
    whole = scene.resize((40, 27), Image.Resampling.BICUBIC)
    again = small.resize((40, 27), Image.Resampling.BICUBIC, box=(0, 0, 223 * 3 / 8, 151 * 3 / 8))
    assert np.abs(np.asarray(again).astype(int) - np.asarray(whole)).mean() < 1.5


@pytest.mark.parametrize(
    ("needed", "eighths"), [((57, 84), 4), ((56, 80), 3), ((37, 55), 2), ((1, 1), 1), ((151, 1), 8)]
)
def test_fraction_is_the_smallest_that_leaves_the_size_needed(needed, eighths):
    assert jpeg.fraction((151, 223), needed) == eighths


def test_files_with_orientation_cmyk_or_several_images_give_none(scene):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert jpeg.read_header(encode(scene, exif=exif)) is None
    assert jpeg.read_header(encode(scene, xmp=b"<x:xmpmeta/>")) is None
    assert jpeg.read_header(encode(scene.convert("CMYK"))) is None
    several = io.BytesIO()
    scene.save(several, "MPO", save_all=True, append_images=[scene])
    assert jpeg.read_header(several.getvalue()) is None


@pytest.mark.parametrize("wrong", [(100, 151), (223, 100), (223, 200)])
def test_a_wrong_size_gives_none(scene, wrong):
    assert jpeg.decode_jpeg(encode(scene), "RGB", wrong) is None


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_file_gives_none_or_the_same_pixels_as_pillow(scene, data):
    """Whenever decoding directly gives an image, Pillow's reader gives the same pixels."""
    content = bytearray(encode(scene.resize((24, 16))))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=4)):
        content[at] = value
    content = bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    header = jpeg.read_header(content)
    if header is None or header[1] * header[2] > 1_000_000:
        return
    image = jpeg.decode_jpeg(content, header[0], header[1:])
    if image is not None:
        with Image.open(io.BytesIO(content)) as expected:
            assert (np.asarray(image) == np.asarray(expected)).all()
