"""Names tell which files are plainly no images."""

import pytest

from pipeline.files.kinds import names_an_image, names_another_kind


@pytest.mark.parametrize(
    "name", ["README", "readme[1].txt", "README.en", "LICENSE", "labels.CSV", "film.MP4", "data.h5", "out.csv.parts"]
)
def test_other_files_by_name(name):
    assert names_another_kind(name)
    assert not names_an_image(name)


@pytest.mark.parametrize("name", ["cat.jpg", "README.png", "version.2.TIFF", "notes.txt.jpeg"])
def test_images_by_name(name):
    assert names_an_image(name)
    assert not names_another_kind(name)


@pytest.mark.parametrize("name", ["0001", "cat.xyz", "cat", "IMG_1.CR2", "txt"])
def test_names_that_tell_nothing(name):
    assert not names_an_image(name)
    assert not names_another_kind(name)
