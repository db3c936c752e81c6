"""Geometries: their shapes, what they reject, and their text form."""

import pytest

from model.config import ConfigError
from pipeline.images.geometry import Geometry, parse_size


def test_gray_has_one_channel_and_rgb_three():
    assert Geometry(20, 30, "gray").shape == (20, 30, 1)
    assert Geometry(20, 30, "rgb").shape == (20, 30, 3)
    assert Geometry(20, 30, "rgb").n_x == 1800


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((20, 30, "cmyk"), "color: 'cmyk' is unknown; choose one of gray, rgb"),
        ((20, 30, "rgb", "zoom"), "fit: 'zoom' is unknown; choose one of crop, pad, stretch"),
        ((0, 30), "size: 0x30 does not work"),
        ((20, 5000), "size: 20x5000 does not work"),
        ((20.0, 30), "size: 20.0x30 does not work; give whole numbers"),
    ],
)
def test_an_impossible_geometry_raises(fields, message):
    with pytest.raises(ConfigError, match=message):
        Geometry(*fields)


@pytest.mark.parametrize("exact", [True, False])
def test_a_geometry_comes_back_from_its_text(exact):
    geometry = Geometry(20, 30, "gray", "pad", exact)
    again = Geometry.from_json(geometry.to_json())
    assert again == geometry
    assert again.exact is exact


def test_exact_decoding_does_not_make_another_geometry():
    assert Geometry(20, 30, exact=True) == Geometry(20, 30, exact=False)
    assert Geometry(20, 30) != Geometry(30, 20)


@pytest.mark.parametrize(
    ("text", "size"),
    [("auto", None), ("64", (64, 64)), ("64x48", (64, 48)), (" 64 X 48 ", (64, 48)), ("64×48", (64, 48))],
)
def test_a_size_is_read_as_height_and_width(text, size):
    assert parse_size(text) == size
