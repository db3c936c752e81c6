"""The geometry that "auto" stands for."""

import pytest

from pipeline.data.config import DataConfig
from pipeline.images.geometry import Geometry
from pipeline.ingestion.survey import Survey, resolve_geometry, shrinking_note


@pytest.mark.parametrize(
    ("sizes", "gray", "m", "expected"),
    [
        ([(25, 25)], True, 200, (25, 25, "gray")),  # small and all the same: kept
        ([(400, 500), (640, 427)], False, 10_000, (64, 64, "rgb")),
        ([(400, 500), (640, 427)], False, 398, (32, 32, "rgb")),  # too many inputs for so few images
        ([(400, 500), (640, 427)], False, 8, (16, 16, "rgb")),
        ([(112, 92)], True, 400, (64, 53, "gray")),  # one aspect is kept
        ([(1200, 1600), (600, 800)], True, 10_000, (48, 64, "gray")),
    ],
)
def test_the_stated_rules_for_auto(sizes, gray, m, expected):
    geometry = resolve_geometry(DataConfig(), Survey(m, tuple(sizes), gray))
    assert (geometry.height, geometry.width, geometry.color) == expected
    assert geometry.fit == "crop"
    assert Geometry.from_json(geometry.to_json()) == geometry


@pytest.mark.parametrize(
    ("sizes", "m", "size", "note"),
    [
        ([(128, 128)], 24, (16, 16), "images of 128x128 are shrunk to 16x16: with 24 images, a network that sees more"),
        ([(128, 128)], 24, (16, 16), "(at most 16 inputs for each image); --size 64 keeps more"),
        ([(40, 40), (40, 48)], 24, (16, 16), "images with sides up to 48 pixels are shrunk to 16x16"),
        ([(40, 40), (40, 48)], 24, (16, 16), "--size 48 keeps more"),
        ([(112, 92)], 400, (64, 53), "--size 112x92 keeps more"),
        ([(1200, 1600)], 10_000, (48, 64), "--size 128 keeps more"),
        ([(1200, 1600)], 10_000, (48, 64), "64 pixels a side are the most that is chosen without --size"),
    ],
)
def test_the_reason_for_shrinking_images_is_said(sizes, m, size, note):
    assert note in shrinking_note(Geometry(*size), Survey(m, tuple(sizes), False))


def test_images_that_are_not_shrunk_need_no_note():
    assert shrinking_note(Geometry(25, 25), Survey(24, ((25, 25),), False)) == ""
    assert shrinking_note(Geometry(64, 64), Survey(24, (), False)) == ""
