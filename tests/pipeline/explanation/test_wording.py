"""The words that say how certain a model is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipeline.explanation.wording import (
    describe_change,
    describe_geometry,
    describe_seconds,
    headline,
    verdict,
    what_probabilities_are,
)
from pipeline.images.geometry import Geometry


@pytest.mark.parametrize(
    ("probabilities", "text"),
    [
        ((0.99, 0.01), "is sure"),
        ((0.8, 0.2), "fairly sure"),
        ((0.6, 0.4), "leans towards a"),
        ((0.52, 0.48), "cannot decide"),
        ((0.3, 0.28, 0.2), "cannot decide"),
    ],
)
def test_verdict(probabilities, text):
    ranking = list(zip("abc", probabilities, strict=False))
    assert text in verdict(ranking)
    assert headline(ranking) == ("a or b?" if text == "cannot decide" else "a")


def test_a_model_that_abstains_names_no_class_in_its_headline():
    ranking = [("a", 0.97), ("b", 0.03)]
    assert headline(ranking, "unlike") == "Unlike the training data"
    assert headline(ranking, "unsure") == "Not sure"
    assert "Its best guess is a." in verdict(ranking, "unsure")
    assert "is sure" not in verdict(ranking, "unlike")


def test_describe_geometry_names_height_width_and_colour():
    assert describe_geometry(Geometry(20, 40, "gray")) == "20×40 gray"
    assert describe_geometry(Geometry(20, 40, "rgb")) == "20×40 RGB"


@pytest.mark.parametrize(
    ("m", "temperature", "text"),
    [(30, 1.0, "30 validation images are too few"), (200, 1.0, "did not improve"), (200, 1.5, "temperature 1.50")],
)
def test_what_is_said_of_probabilities_depends_on_their_calibration(m, temperature, text):
    assert text in what_probabilities_are(SimpleNamespace(m=m, temperature=temperature))


def test_without_calibration_a_model_is_said_never_to_abstain():
    assert "never abstains" in what_probabilities_are(None)


def test_a_first_layer_that_has_become_another_one_is_not_described_by_a_huge_percentage():
    assert describe_change(0.753) == "training with labels changed the layer by 75% of its norm"
    assert describe_change(18.228).startswith("training with labels changed the layer by 18.2 times its norm")


def test_the_time_of_a_run_names_the_phases_that_matter():
    seconds = {"reading images": 4.4, "choosing augmentation": 0.2, "training": 35.0}
    assert describe_seconds(seconds) == "40 s (reading images 4 s, training 35 s)"
    assert describe_seconds({"training": 0.1}) == "less than a second"
