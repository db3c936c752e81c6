"""Values from JSON are checked by their types, and the message names the field."""

from __future__ import annotations

import math

import pytest

from model.storage.values import check_value

PATTERN = {"name": str, "m": int, "rate": float, "on": bool, "classes": [str], "images": {str: int}, "more": object}


def test_values_of_the_right_types_and_unknown_fields_are_taken():
    value = {
        "name": "ö",
        "m": 3,
        "rate": 1,
        "on": True,
        "classes": ["a"],
        "images": {"b": 2},
        "more": [{}],
        "new": None,
    }
    check_value(value, PATTERN, "facts")
    check_value({}, PATTERN, "facts")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], r"facts is \[\]; it should be a table"),
        ({"name": 7}, "facts.name is 7; it should be text"),
        ({"m": True}, "facts.m is true; it should be a whole number"),
        ({"m": 1.0}, "facts.m is 1.0; it should be a whole number"),
        ({"rate": "high"}, 'facts.rate is "high"; it should be a number'),
        ({"rate": math.nan}, "facts.rate is NaN; it should be a number"),
        ({"rate": math.inf}, "facts.rate is Infinity"),
        ({"rate": 10**400}, "facts.rate is 1000"),
        ({"on": 1}, "facts.on is 1; it should be true or false"),
        ({"classes": "ab"}, 'facts.classes is "ab"; it should be a list'),
        ({"classes": ["a", None]}, r"facts.classes\[1\] is null; it should be text"),
        ({"images": {"test": "many"}}, 'facts.images.test is "many"'),
        ({"name": "\ud800"}, "facts holds half a character"),
        ({"new": {"\udfff": 1}}, "facts holds half a character"),
        ({"name": ["x" * 1000]}, "…; it should be text"),
    ],
)
def test_the_message_names_the_field_and_what_it_should_be(value, message):
    with pytest.raises(ValueError, match=message):
        check_value(value, PATTERN, "facts")
