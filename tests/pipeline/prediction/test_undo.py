"""A sorting is taken back: every file is where it was, and what somebody has changed is left alone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from pipeline.cli.main import main
from pipeline.errors import InputError
from pipeline.prediction import undo
from pipeline.prediction.sorting_record import RECORD_NAME
from pipeline.prediction.undo import undo_sorting


@pytest.fixture
def photos(faces, tmp_path, monkeypatch):
    """Nine images, two of them alike, one a link, and a file that is none."""
    monkeypatch.chdir(tmp_path)
    for kind in ("face", "other"):
        Path("photos", kind).mkdir(parents=True)
        for path in sorted((faces / kind).iterdir())[:3]:
            shutil.copy(path, Path("photos", kind))
    Image.open("photos/face/0000.png").rotate(3).save("photos/other/0000.png")
    shutil.copy("photos/face/0001.png", "photos/other/0001.png")
    Path("photos/link.png").symlink_to("face/0002.png")
    Path("photos/bad.png").write_text("words")
    return Path("photos")


def state(folder="photos"):
    """Return all files with their content, time and permissions; links as links."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        status = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path)] = (content, status.st_mode, path.is_file() and path.stat().st_mtime_ns)
    return found


def sort(run_path, flag, target="sorted", *words):
    return main(["predict", str(run_path), "photos", "-o", "out.csv", flag, target, *words])


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("flag", ["--copy-to", "--move-to"])
def test_everything_is_as_it_was(run_path, photos, monkeypatch, flag, links):
    if not links:  # as from one disk to another
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(1, "not permitted")))
    before = state()
    assert sort(run_path, flag) == 3
    assert Path("sorted").is_dir()
    assert main(["predict", "--undo", "sorted"]) == 0
    assert state() == before
    assert not Path("sorted").exists()


def test_copied_then_moved(run_path, photos):
    before = state()
    sort(run_path, "--copy-to")
    sort(run_path, "--move-to")
    assert undo_sorting("sorted").left == []
    assert state() == before


def test_what_was_in_the_folder_before_stays(run_path, photos):
    Path("sorted/face").mkdir(parents=True)
    shutil.copy("photos/face/0000.png", "sorted/face/mine.png")
    shutil.copy("photos/face/0001.png", "sorted/face/0001.png")  # a move removes its source, whose bytes are here
    before, mine = state(), state("sorted")
    sort(run_path, "--move-to")
    assert undo_sorting("sorted").left == []
    assert state() == before
    assert state("sorted") == mine


def test_files_that_were_changed_or_moved_meanwhile_are_named_and_left(capsys, run_path, photos):
    sort(run_path, "--move-to")
    changed, moved = sorted(Path("sorted/other").glob("01*.png"))[:2]
    times = changed.stat()
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")  # of the same size, and with the same time
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))
    moved.rename("elsewhere.png")
    capsys.readouterr()
    assert main(["predict", "--undo", "sorted", "--json"]) == 3
    captured = capsys.readouterr()
    assert f"{changed.name}: has changed since it was sorted" in captured.err
    assert f"{moved.name}: was moved or removed meanwhile" in captured.err
    assert len(json.loads(captured.out)["left"]) == 2
    assert changed.exists()
    assert not (photos / "other" / changed.name).exists()

    changed.write_bytes(b"")
    Path("elsewhere.png").rename(moved)  # the record is still there, and moved files can go back later
    main(["predict", "--undo", "sorted"])
    assert (photos / "other" / moved.name).exists()


def test_nothing_is_overwritten(run_path, photos):
    sort(run_path, "--move-to")
    other = photos / "face/0000.png"
    other.write_text("my new file")
    (left,) = undo_sorting("sorted").left
    assert "there is another file" in left[1]
    assert other.read_text() == "my new file"
    assert Path(left[0]).exists()


def test_a_copy_whose_original_is_gone_is_kept(run_path, photos):
    sort(run_path, "--copy-to")
    shutil.rmtree(photos)
    result = undo_sorting("sorted")
    assert not result.outcomes
    assert all("is kept: " in reason for _, reason in result.left)
    assert len(list(Path("sorted").rglob("*.png"))) == len(result.left) > 5


@pytest.mark.parametrize("flag", ["--copy-to", "--move-to"])
@pytest.mark.parametrize("step", range(1, 12))
def test_an_undo_that_was_interrupted_is_resumed(run_path, photos, monkeypatch, flag, step):
    before = state()
    sort(run_path, flag)
    unlink, calls = Path.unlink, []

    def failing(path, **options):
        unlink(path, **options)  # the power goes when the file is gone, and nothing says so yet
        if path.parent.parent.name == "sorted":
            calls.append(path)
            if len(calls) == step:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", failing)
        if flag == "--copy-to" or step < 8:
            assert main(["predict", "--undo", "sorted"]) in (0, 130)
    if Path("sorted").exists():
        assert main(["predict", "--undo", "sorted"]) == 0
    assert state() == before
    assert not Path("sorted").exists()


def test_a_sorting_that_was_killed_can_be_undone(run_path, photos, monkeypatch):
    before, unlink = state(), Path.unlink

    def killed(path, **options):
        if path.name == "0100.png":
            raise KeyboardInterrupt  # the file has both names now
        unlink(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        assert sort(run_path, "--move-to") == 130
    assert main(["predict", "--undo", "sorted"]) == 0
    assert state() == before


def test_a_move_that_was_killed_and_resumed_leaves_no_second_name(run_path, photos, monkeypatch):
    unlink = Path.unlink

    def killed(path, **options):
        if path.name == "0100.png":
            raise KeyboardInterrupt
        unlink(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        assert sort(run_path, "--move-to") == 130
    assert sort(run_path, "--move-to") == 3
    assert not [path for path in photos.rglob("*") if path.is_file()]


def test_a_folder_without_a_record_is_refused(capsys, photos):
    assert main(["predict", "--undo", "photos"]) == 2
    assert "photos: holds no record of a sorting" in capsys.readouterr().err
    assert main(["predict", "--undo", "nowhere"]) == 2
    assert "nowhere: there is no such folder" in capsys.readouterr().err


def test_undo_takes_nothing_else(capsys, run_path, photos):
    assert main(["predict", str(run_path), "photos", "--undo", "sorted"]) == 2
    assert "give only the folder" in capsys.readouterr().err


def test_a_record_from_elsewhere_removes_nothing_outside_its_folder(run_path, photos):
    sort(run_path, "--copy-to")
    path = Path("sorted", RECORD_NAME)
    path.write_text(path.read_text().replace('"target": "', '"target": "../photos/'))
    with pytest.raises(InputError, match="is not the record of a sorting, or is damaged"):
        undo_sorting("sorted")


def test_progress_tells_how_many_files_there_are(run_path, photos):
    sort(run_path, "--move-to")
    seen = []
    undo.undo_sorting("sorted", lambda done, total: seen.append((done, total)))
    assert seen == [(i, len(seen)) for i in range(1, len(seen) + 1)]
