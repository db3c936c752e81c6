"""HTML of the pages: names are text, percentages are never certain, and colours are where they should be."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pipeline.pages.widgets.markup import (
    AGAINST,
    FOR,
    bars,
    enlarged,
    framed,
    html_table,
    legend,
    overlaid,
    percentage,
    photo,
    plain,
    stacks,
    tiles,
    views,
)

NAME = "<b onclick='x'>&"


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, ">\xa099.9%"), (0.9995, ">\xa099.9%"), (0.5, "50.0%"), (0.001, "0.1%"), (0.0, "<\xa00.1%")],
)
def test_a_probability_never_rounds_to_certainty(share, text):
    assert percentage(share) == text


def test_markdown_in_a_name_is_escaped():
    assert plain("*a*_b_[c](d):red[$e$]") == r"\*a\*\_b\_\[c\](d)\:red\[\$e\$\]"


@pytest.mark.parametrize(
    "markup",
    [
        bars([(NAME, 0.5)], NAME),
        tiles([("data:", NAME, NAME)]),
        views([("data:", NAME, NAME, NAME)]),
        stacks(NAME, [(NAME, [1, 2])], [FOR, AGAINST]),
        html_table(NAME, [NAME], [[NAME]]),
        photo("data:", NAME, NAME),
        legend([(FOR, NAME)]),
    ],
)
def test_html_in_a_name_is_escaped(markup):
    assert "<b " not in markup
    assert "'x'" not in markup
    assert "&lt;b onclick=&#x27;x&#x27;&gt;&amp;" in markup


def test_evidence_for_and_against_is_coloured_and_the_rest_is_gray():
    evidence = np.array([[2.0, 0.0, -2.0]])
    found = overlaid(np.full((1, 3, 1), 100, np.uint8), evidence)
    for pixel, color in ((found[0, 0], FOR), (found[0, 2], AGAINST)):
        np.testing.assert_allclose(pixel, 15 + 0.85 * np.array(color), atol=0.51)
    np.testing.assert_array_equal(found[0, 1], 100)
    np.testing.assert_array_equal(overlaid(np.full((1, 3, 1), 100, np.uint8), 0 * evidence), np.full((1, 3, 3), 100))


def test_outside_the_frame_an_image_is_faded():
    found = np.asarray(framed(Image.new("RGB", (40, 20), (250, 0, 0)), (10, 5, 20, 15)))
    np.testing.assert_array_equal(found[10, 15], (250, 0, 0))
    np.testing.assert_array_equal(found[5, 10], FOR)
    assert found[0, 0][0] < 200


def test_pixels_of_a_small_image_become_squares():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    np.testing.assert_array_equal(enlarged(image, side=6), image.repeat(2, axis=0).repeat(2, axis=1))
    assert enlarged(image, side=1).shape == image.shape
