"""Files are found under the spelling that they have on the disk."""

import os
import unicodedata

import pytest

from pipeline.files.lookup import find_file, is_doubtful, why_missing


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


NFD = unicodedata.normalize("NFD", "Bär")


@pytest.mark.parametrize(
    ("on_disk", "asked"),
    [
        ("img/cat/0.png", "img\\cat\\0.png"),
        (f"{NFD}/{NFD}.png", "Bär/Bär.png"),
        ("Bär/0.png", f"{NFD}/0.png"),
        (f"Bär/{NFD}.png", "Bär/Bär.png"),  # a folder made on Linux, a file from a Mac
        (f"{NFD}/Möwe.png", f".\\{NFD}\\Möwe.png"),
        ("Bär.png", "B\udce4r.png"),
        (os.fsdecode(b"a\xff.png"), "a%FF.png"),
    ],
)
def test_other_spellings_are_tried(tmp_path, on_disk, asked):
    put(tmp_path, on_disk)
    assert is_doubtful(asked)
    folder, spelling = find_file(asked, [str(tmp_path)])
    assert (folder, spelling) == (str(tmp_path), on_disk)


def test_the_spelling_as_given_comes_first(tmp_path):
    put(tmp_path, "a\\b.png", "a/b.png", "50%FF.png")
    assert find_file("a\\b.png", [str(tmp_path)]) == (str(tmp_path), "a\\b.png")
    assert find_file("50%FF.png", [str(tmp_path)]) == (str(tmp_path), "50%FF.png")


def test_the_first_folder_that_has_the_file_counts(tmp_path):
    put(tmp_path, "one/Bär.png", f"two/{NFD}.png", "two/only.png")
    folders = [str(tmp_path / "two"), str(tmp_path / "one")]
    assert find_file("Bär.png", folders) == (folders[0], f"{NFD}.png")
    assert find_file("only.png", folders[::-1]) == (folders[0], "only.png")
    assert find_file("Bär/none.png", folders) is None


def test_a_path_of_windows_is_explained():
    assert "a path of another computer (Windows)" in why_missing("C:\\photos\\a.png")
    assert "a path of another computer (Windows)" in why_missing("\\\\server\\photos\\a.png")
    assert why_missing("img\\a.png") == r"there is no such file, and none if \ is read as /"
    assert why_missing("img/a.png") == "there is no such file"
