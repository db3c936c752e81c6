"""Images go into a folder for each class; none is lost, and none is written over."""

from __future__ import annotations

import csv
import io
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from pipeline.cli.main import main
from pipeline.errors import InputError
from pipeline.prediction import sort
from pipeline.prediction.sorting_record import RECORD_NAME


@pytest.fixture
def photos(faces, tmp_path, monkeypatch):
    """Ten images, two of them with one base name, two copies of one, and a file that is none."""
    monkeypatch.chdir(tmp_path)
    for kind in ("face", "other"):
        Path("photos", kind).mkdir(parents=True)
        for path in sorted((faces / kind).iterdir())[:4]:
            shutil.copy(path, Path("photos", kind))
    Path("photos/more").mkdir()
    Image.open("photos/face/0000.png").rotate(3).save("photos/more/0001.png")
    shutil.copy("photos/face/0002.png", "photos/more/0002.png")
    Path("photos/bad.png").write_text("words")
    return Path("photos")


def contents(folder):
    return sorted(path.read_bytes() for path in Path(folder).rglob("*") if path.is_file() and path.name != RECORD_NAME)


def predict(*words):
    return main(["predict", *map(str, words)])


def labels(path="out.csv"):
    with Path(path).open(newline="") as file:
        return {row["path"]: row["label"] or "_errors" for row in csv.DictReader(file)}


def test_copies_lie_where_the_rows_say(run_path, photos):
    before = contents(photos)
    assert predict(run_path, photos, "-o", "out.csv", "--copy-to", "sorted") == 3
    assert contents(photos) == before
    for path, label in labels().items():
        copies = [found.read_bytes() for found in Path("sorted", label).iterdir()]
        assert copies.count(Path(path).read_bytes()) == 1
    assert set(contents("sorted")) == set(before)


def test_images_it_abstains_on_get_a_folder_of_their_own(run_path, photos):
    predict(run_path, photos, "-o", "out.csv", "--copy-to", "sorted", "--threshold", "1")
    assert len(list(Path("sorted/_unsure").iterdir())) == 9  # the copy of an image is there once
    assert [path.name for path in Path("sorted/_errors").iterdir()] == ["bad.png"]


def test_nothing_is_written_over(run_path, photos):
    Path("sorted/face").mkdir(parents=True)
    Path("sorted/face/0000.png").write_text("my own work")
    predict(run_path, photos, "-o", "out.csv", "--copy-to", "sorted", "--only", "face")
    assert Path("sorted/face/0000.png").read_text() == "my own work"
    assert Path("sorted/face/0000-2.png").read_bytes() == Path("photos/face/0000.png").read_bytes()
    assert [path.name for path in Path("sorted").iterdir() if path.is_dir()] == ["face"]


def test_copying_again_adds_nothing(run_path, photos):
    predict(run_path, photos, "-o", "out.csv", "--copy-to", "sorted")
    once = sorted(Path("sorted").rglob("*"))
    predict(run_path, photos, "-o", "out.csv", "--copy-to", "sorted")
    assert sorted(Path("sorted").rglob("*")) == once


@pytest.mark.parametrize("links", [True, False])
def test_moving_leaves_nothing_behind_and_loses_nothing(run_path, photos, monkeypatch, links):
    if not links:  # as on a memory stick, or from one disk to another
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(1, "not permitted")))
    before = contents(photos)
    assert predict(run_path, photos, "-o", "out.csv", "--move-to", "sorted") == 3
    assert contents(photos) == []
    assert set(contents("sorted")) == set(before)
    assert not Path("out.csv.parts").exists()
    assert not list(Path("sorted").rglob("*.tmp"))


def test_a_move_that_was_stopped_is_resumed(capsys, run_path, photos, monkeypatch):
    before, link, calls = contents(photos), os.link, []

    def failing(source, target):
        calls.append(source)
        if len(calls) > 4:
            raise OSError(28, "No space left on device")
        link(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", failing)
        patch.setattr(shutil, "copy2", failing)
        assert predict(run_path, photos, "-o", "out.csv", "--move-to", "sorted") == 1
    written = Path("out.csv").read_bytes()
    assert predict(run_path, photos, "-o", "out.csv", "--move-to", "elsewhere") == 2
    assert "resume with --move-to" in capsys.readouterr().err

    here = Path.cwd()
    Path("elsewhere").mkdir()
    os.chdir("elsewhere")  # where the images lie was written down when they were found
    assert predict(run_path, here / photos, "-o", here / "out.csv", "--move-to", here / "sorted") == 3
    os.chdir(here)
    assert contents(photos) == []
    assert set(contents("sorted")) == set(before)
    assert Path("out.csv").read_bytes() == written


def test_a_move_whose_store_is_damaged_does_not_go_on(capsys, run_path, photos, monkeypatch):
    def broken(*_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", broken)
        patch.setattr(shutil, "copy2", broken)
        assert predict(run_path, photos, "-o", "out.csv", "--move-to", "sorted") == 1
    assert "is kept in out.csv.parts: the same command resumes" in capsys.readouterr().err
    content = Path("out.csv.parts").read_bytes()
    Path("out.csv.parts").write_bytes(content.replace(b"bad.png,error", b"bad.png,ERROR"))
    assert predict(run_path, photos, "-o", "out.csv", "--move-to", "sorted") == 2
    assert "is damaged, and what is left to move is not known; keep a copy of out.csv" in capsys.readouterr().err


def test_what_may_not_be_taken_away_is_copied_and_said(capsys, run_path, photos, monkeypatch):
    before, unlink = contents(photos), Path.unlink

    def refused(path, **options):
        if photos.absolute() in path.parents:
            raise PermissionError(13, "Permission denied")
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", refused)
    assert predict(run_path, photos, "-o", "out.csv", "--move-to", "sorted") == 3
    assert "in sorted: 11 copied only" in capsys.readouterr().err
    assert contents(photos) == before
    assert set(contents("sorted")) == set(before)


@pytest.fixture
def listed(photos):
    """Other ways to name images: a list, a table, links to a folder and to a file."""
    Path("list.txt").write_text("photos/face/0000.png\nphotos/other/0100.png\n")
    Path("table.csv").write_text("path\nphotos/face/0000.png\n")
    Path("link").symlink_to("photos")
    Path("links").mkdir()
    Path("links/0000.png").symlink_to(Path("photos/face/0000.png").absolute())
    return photos


INTO_ITSELF = [
    ("photos", "photos"),
    ("photos", "photos/face"),
    ("photos", "photos/new/sorted"),
    ("photos", "."),
    ("photos", "photos/../photos/"),
    ("photos", "link"),
    ("link", "photos/sorted"),
    ("photos/face", "photos"),
    ("photos/face/0000.png", "photos/face/sorted"),
    ("links/0000.png", "photos/face/sorted"),
    ("photos/*/*.png", "photos"),
    ("photo*", "photos/sorted"),
    ("list.txt", "photos"),
    ("list.txt", "photos/other/sorted"),
    ("table.csv", "photos/face"),
]


@pytest.mark.parametrize("flag", ["--copy-to", "--move-to"])
@pytest.mark.parametrize(("images", "target"), INTO_ITSELF)
def test_images_are_not_sorted_into_their_own_folders(capsys, run_path, listed, images, target, flag):
    before = sorted(Path().rglob("*"))
    assert predict(run_path, images, "-o", "out.csv", flag, target) == 2
    error = capsys.readouterr().err
    assert f"{target}: " in error
    assert "Choose a folder apart from all images" in error
    assert sorted(Path().rglob("*")) == before


def test_a_list_on_standard_input_does_not_lead_around_the_check(capsys, run_path, photos, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"photos/face/0000.png\n")))
    assert predict(run_path, "-", "-o", "out.csv", "--move-to", "photos") == 2
    assert "lies around the folder photos/face" in capsys.readouterr().err


def test_a_class_folder_of_the_target_may_not_be_a_link_into_the_images(capsys, run_path, photos):
    Path("sorted").mkdir()
    Path("sorted/face").symlink_to(Path("photos/face").absolute())
    assert predict(run_path, photos, "-o", "out.csv", "--copy-to", "sorted") == 2
    assert "sorted: has a link to the folder photos" in capsys.readouterr().err


def test_a_folder_beside_the_images_is_fine(run_path, photos):
    assert predict(run_path, photos, "-o", "out.csv", "--copy-to", "photos-sorted") == 3
    assert set(contents("photos-sorted")) == set(contents(photos))


def test_an_image_that_changed_meanwhile_stays(capsys, run_path, photos, monkeypatch):
    mkdir, late = Path.mkdir, Path("photos/other").absolute() / "0100.png"

    def change_late(path, *arguments, **options):  # the first folder is made when all images have been classified
        if "sorted" in path.parts and not path.exists():
            late.write_bytes(late.read_bytes() + b" ")
        mkdir(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", change_late)
    predict(run_path, photos, "-o", "out.csv", "--move-to", "sorted")
    assert late.exists()
    assert "1 changed" in capsys.readouterr().err


def test_class_names_lead_nowhere_else():
    assert sort._folder_name("../up") == "_up"
    assert sort._folder_name("a/b:c") == "a_b_c"
    assert sort._folder_name("..") == "_"


@pytest.mark.parametrize("there", ["sorted", "sorted/face", "sorted/_errors"])
def test_a_file_in_the_way_is_noticed_before_anything_is_classified(capsys, run_path, photos, there):
    Path(there).parent.mkdir(exist_ok=True)
    Path(there).write_text("my own work")
    assert predict(run_path, photos, "-o", "out.csv", "--move-to", "sorted/") == 2
    assert f"{there}: is a file" in capsys.readouterr().err
    assert not Path("out.csv").exists()
    assert not Path("out.csv.parts").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_noticed_before_anything_is_classified(capsys, run_path, photos):
    Path("mine").mkdir(mode=0o500)
    assert predict(run_path, photos, "-o", "out.csv", "--copy-to", "mine/sorted") == 2
    assert "mine: no images can be put there" in capsys.readouterr().err
    assert not Path("out.csv").exists()


@pytest.mark.parametrize("classes", [["a/b", "a:b"], ["face", "_errors"]])
def test_classes_never_share_a_folder(tmp_path, classes):
    with pytest.raises(InputError, match="into one folder"):
        sort.check_target(tmp_path, classes)


def test_a_disk_that_cannot_be_written_is_noticed(run_path, photos):
    with pytest.raises(InputError, match="no images can be put there"):
        sort.check_target("/proc/sorted", ["face"])


@pytest.mark.parametrize("words", [("photos",), ("run/data.h5", "-o", "out.csv")])
def test_what_cannot_be_sorted_is_refused(capsys, run_path, photos, words):
    shutil.copytree(run_path, "run")
    assert predict(run_path, *words, "--move-to", "sorted") == 2
    assert "--move-to" in (err := capsys.readouterr().err) or "unpack it" in err
    assert not Path("sorted").exists()
