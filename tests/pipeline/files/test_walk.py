"""Folders are walked in a fixed order, and everything in them is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.files.walk import list_image_files, sort_key, walk


@pytest.fixture
def root(tmp_path):
    for name in (
        "b/x.png",
        "b/sub/y.png",
        "b.d/z.png",
        "ünder/ö.png",
        "a.png",
        "Z.png",
        ".hidden/n.png",
        "b/Thumbs.db",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    return tmp_path


def test_the_walk_is_sorted_and_the_listing_has_what_it_finds(root):
    found = list(walk(root))
    files = [entry.path for entry in found if entry.kind == "file"]
    assert files == sorted(files, key=sort_key)
    assert files == ["Z.png", "a.png", "b/sub/y.png", "b/x.png", "b.d/z.png", "gone.png", "ünder/ö.png"]
    listing = list_image_files(root)
    assert listing.files == tuple(files)
    assert listing.ignored == {"hidden": 1, "system file": 1, "symbolic link": 1}
    assert listing.empty_folders == ("empty",)
    assert listing.unreadable == ()
    assert listing.links == ("b/loop",)


def test_one_file_is_a_listing_of_itself(root):
    assert list_image_files(root / "a.png").files == ("a.png",)
    assert list_image_files(root / "a.png").root == root


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: there is no such file or folder"):
        list_image_files(tmp_path / "nowhere")
    with pytest.raises(InputError, match="cannot be read"):
        list_image_files(Path("/proc/self/mem/x"))


def test_what_the_command_writes_and_runs_are_ignored(root):
    (root / "runs" / "a").mkdir(parents=True)
    for name in ("config.toml", "checkpoint.h5", "filters.png"):
        (root / "runs" / "a" / name).touch()
    (root / "sorted").mkdir()
    (root / "sorted" / "x.png").touch()
    outputs = [str((root / name).resolve()) for name in ("a.png", "sorted", "missing")]
    found = {entry.path: entry.reason for entry in walk(root, outputs) if entry.kind == "ignored"}
    assert {path: reason for path, reason in found.items() if path in ("a.png", "sorted", "runs/a")} == {
        "a.png": "output of this command",
        "sorted": "output of this command",
        "runs/a": "run of Facette",
    }


@pytest.mark.parametrize(
    ("names", "is_run"),
    [
        (("model.h5",), False),  # a model among the images of a class
        (("data.h5", "report.html"), False),
        (("model.h5", "metrics.json"), True),
        (("checkpoint.h5", "history.csv", "data.h5"), True),
        (("data.h5", "config.toml"), True),  # the beginning of a run
    ],
)
def test_what_makes_a_folder_a_run(root, names, is_run):
    for name in names:
        (root / "b" / name).touch()
    assert ("b/x.png" not in list_image_files(root).files) is is_run
