"""What the Playground can train on: sources that lie in the folders, and uploads."""

from __future__ import annotations

import shutil

import pytest

from pipeline.errors import InputError
from pipeline.playground.images import find_sources, from_files, read_image_set


def test_sources_are_data_sets_archives_and_folders(tmp_path):
    data, runs = tmp_path / "data", tmp_path / "runs"
    (data / "photos").mkdir(parents=True)
    (data / ".hidden").mkdir()
    for name in ("a.h5", "b.zip", "notes.txt"):
        (data / name).touch()
    (runs / "first").mkdir(parents=True)
    (runs / "first" / "data.h5").touch()
    assert find_sources(data, runs) == [
        str(path) for path in (data / "a.h5", data / "b.zip", data / "photos", runs / "first" / "data.h5")
    ]
    assert find_sources(tmp_path / "none", tmp_path / "none") == []


@pytest.mark.parametrize("root", ["", "mine/"])
def test_uploaded_files_have_their_class_in_their_path(faces, tmp_path, root):
    files = [
        (f"{root}{path.parent.name}/{path.name}", path.read_bytes()) for path in sorted(faces.glob("*/*.png"))[50:150]
    ]
    files += [(f"{root}face/.DS_Store", b"x"), (f"{root}face/empty.png", b"")]
    found = read_image_set(from_files(files, "mine"), tmp_path)
    assert found.source == "mine"
    assert found.classes == ("face", "other")
    assert sum(found.counts.values()) == 100
    assert found.report.ignored == {"hidden or system": 1}
    assert [code for _, code, _ in found.report.rejected] == ["empty_file"]


def test_files_without_a_folder_are_no_images_to_train_on():
    with pytest.raises(InputError, match="one sub-folder of images for each class"):
        from_files([("a.png", b"x")], "mine")


def test_a_data_set_is_used_in_place(run_path, tmp_path):
    data = shutil.copy(run_path / "data.h5", tmp_path / "mine.h5")
    found = read_image_set(str(data), tmp_path / "elsewhere")
    assert (found.source, str(found.data)) == (str(data), str(data))
    assert found.report is None
