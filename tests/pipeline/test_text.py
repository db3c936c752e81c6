"""Numbers and lists as people write them."""

from pipeline.text import count, shortened


def test_a_number_agrees_with_its_noun():
    assert [count(n, "image") for n in (0, 1, 2000)] == ["0 images", "1 image", "2,000 images"]
    assert count(3, "class", "classes") == "3 classes"


def test_a_long_list_is_shortened_and_the_rest_is_counted():
    assert shortened(["a", "b"]) == "a, b"
    assert shortened(list("abcde")) == "a, b, c, d, e"
    assert shortened(list("abcdef")) == "a, b, c, d, e and 1 more"
    assert shortened(["x"] * 1203, limit=3, separator="; ") == "x; x; x and 1,200 more"
    assert shortened([]) == ""
