"""Numbers and lists as people write them."""

import pytest

from pipeline.text import count, duration, shortened, value_text


def test_a_number_agrees_with_its_noun():
    assert [count(n, "image") for n in (0, 1, 2000)] == ["0 images", "1 image", "2,000 images"]
    assert count(3, "class", "classes") == "3 classes"


def test_a_long_list_is_shortened_and_the_rest_is_counted():
    assert shortened(["a", "b"]) == "a, b"
    assert shortened(list("abcde")) == "a, b, c, d, e"
    assert shortened(list("abcdef")) == "a, b, c, d, e and 1 more"
    assert shortened(["x"] * 1203, limit=3, separator="; ") == "x; x; x and 1,200 more"
    assert shortened([]) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "less than a second"),
        (1, "1 s"),
        (89.4, "89 s"),
        (89.6, "1 min 30 s"),
        (120, "2 min"),
        (599, "9 min 59 s"),
        (600, "10 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
    ],
)
def test_duration_has_a_suitable_unit(seconds, text):
    assert duration(seconds) == text


def test_a_value_is_written_as_it_is_typed():
    values = {"on": True, "off": False, "128,64": (128, 64), "0.3,1": [0.3, 1.0], "": (), "0.00025": 0.00025, "7": 7}
    assert {value_text(value) for value in values.values()} == set(values)
    assert value_text("relu") == "relu"
