"""The geometry that "auto" stands for."""

import pytest

from pipeline.data.config import DataConfig
from pipeline.images.geometry import Geometry
from pipeline.ingestion.survey import Survey, resolve_geometry


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
