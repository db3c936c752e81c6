"""Folders around the class folders are found, and folders without images are named."""

import pytest

from pipeline.sources.layout import folders_without_images, outer_folder


@pytest.mark.parametrize(
    ("paths", "outer"),
    [
        (("a/cat/1.png", "a/dog/1.png"), "a/"),
        (("a/b/cat/1.png", "a/b/dog/1.png", "preview.png"), "a/b/"),
        (("cat/1.png", "dog/1.png"), ""),
        (("a/cat/1.png", "a/dog/1.png", "a/own.png"), ""),  # a is a class
        (("a/b/1.png",), ""),  # a, or b: nobody knows
        (("1.png",), ""),
        ((), ""),
    ],
)
def test_outer_folders(paths, outer):
    assert outer_folder(paths) == outer


def test_folders_without_images_are_named_with_what_they_hold():
    others = {"dog/a/1.txt": "text", "dog/2.txt": "text", "dog/link": "link", "cat/3.txt": "text", "fox/": "empty"}
    assert folders_without_images(["cat/1.png"], others) == (
        "folders without images: dog (1 link, 2 text), fox (empty)",
    )
    assert folders_without_images(["cat/1.png"], {"cat/a.txt": "text", "b.txt": "text"}) == ()
