"""The stored chunks of an output: what still holds is not done again, and nothing foreign is replaced."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.files.store import Store
from pipeline.prediction.journal import Journal


def read(path):
    with open(path, newline="", encoding="utf-8") as file:  # noqa: PTH123
        return list(csv.DictReader(file))


def test_touched_files_are_known_by_their_content(classified_now, stopped, run_path, photos):
    words = [run_path, photos, "-o", "out.csv"]
    stopped(*words)
    os.utime(photos / "face" / "0000.png", (1, 1))
    assert classified_now(*words) == (0, 10)


def test_a_changed_file_makes_the_resumed_run_what_a_new_one_is(predict, classified_now, stopped, run_path, photos):
    words = [run_path, photos, "-o", "out.csv"]
    stopped(*words)
    shutil.copy(photos / "other" / "0100.png", photos / "face" / "0000.png")
    assert classified_now(*words) == (10, 10)
    predict(run_path, photos, "-o", "new.csv")
    assert Path("out.csv").read_bytes() == Path("new.csv").read_bytes()


@pytest.fixture
def crowd(photos):
    """A folder of a few chunks of images, all with different names."""
    Path("crowd").mkdir()
    sources = sorted(photos.rglob("*.png"))
    for i in range(1000):
        os.link(sources[i % len(sources)], f"crowd/{i:05d}.png")
    return Path("crowd")


def test_files_that_come_and_go_leave_what_lies_between_them_done(predict, classified_now, stopped, run_path, crowd):
    words = [run_path, crowd, "-o", "out.csv"]
    (crowd / "gone.png").symlink_to("nowhere.png")
    stopped(*words)
    (crowd / "00003.png").unlink()
    (crowd / "00005.png").rename("crowd/00004a.png")
    now, files = classified_now(*words)
    assert files == 1000
    assert now <= 1000 - 128  # at least one chunk was found at its new position

    shutil.copy(crowd / "00000.png", "crowd/00000a.png")  # after the end, too: there is an error to try again
    assert classified_now(*words)[1] == 1000 + 1
    predict(run_path, crowd, "-o", "new.csv")
    assert Path("out.csv").read_bytes() == Path("new.csv").read_bytes()
    store = Store(Path("out.csv"))
    assert store.keys() == {*store.state["facts"]["chunks"]}  # those of files that have gone are removed
    store.close()


def test_a_data_set_is_known_by_its_size_and_time(classified_now, stopped, run_path):
    shutil.copy(run_path / "data.h5", "data.h5")
    words = [run_path, "data.h5", "-o", "out.csv"]
    stopped(*words)
    assert classified_now(*words) == (0, 200)
    stopped(*words, "--overwrite")
    os.utime("data.h5", (1, 1))
    assert classified_now(*words) == (200, 200)


def test_another_model_or_other_options_begin_anew(predict, stopped, run_path, photos):
    words = [run_path, photos, "-o", "out.csv"]
    stopped(*words)
    code, _, err = predict(*words, "--topk", "2")
    assert code == 0
    assert "everything is predicted again" in err
    assert "earlier run" not in err
    assert read("out.csv")[0]["label_2"]


def test_errors_are_tried_again_unless_they_are_to_be_kept(predict, classified_now, run_path, photos):
    words = [run_path, photos, "late.png", "-o", "out.csv"]
    code, _, err = predict(*words)
    assert code == 3
    assert "out.csv.parts is kept" in err
    assert read("out.csv")[-1]["error_code"] == "not_found"
    assert classified_now(*words) == (0, 11)  # still missing

    shutil.copy(photos / "face" / "0000.png", "late.png")
    code, _, err = predict(*words)
    assert code == 0
    assert read("out.csv")[-1]["label"] == "face"
    assert not Path("out.csv.parts").exists()


def test_stopped_before_the_output_it_is_written_next_time(predict, classified_now, stopped, run_path, photos):
    words = [run_path, photos, "late.png", "-o", "out.csv"]
    predict(*words)
    shutil.copy(photos / "face" / "0000.png", "late.png")
    stopped(*words)
    assert classified_now(*words) == (0, 11)
    assert read("out.csv")[-1]["label"] == "face"


def test_kept_errors_end_the_matter(predict, run_path, photos):
    words = [run_path, photos, "late.png", "-o", "out.csv"]
    predict(*words)
    shutil.copy(photos / "face" / "0000.png", "late.png")
    code, _, _ = predict(*words, "--keep-errors")
    assert code == 3
    assert read("out.csv")[-1]["error_code"] == "not_found"
    assert not Path("out.csv.parts").exists()


def test_a_damaged_part_is_noticed(classified_now, stopped, run_path, photos):
    words = [run_path, photos, "-o", "out.csv"]
    stopped(*words)
    content = Path("out.csv.parts").read_bytes()
    assert content.count(b"photos/face/0000.png,ok") == 1
    Path("out.csv.parts").write_bytes(content.replace(b"photos/face/0000.png,ok", b"photos/face/0000.png,OK"))
    assert classified_now(*words) == (10, 10)
    assert len(read("out.csv")) == 10


KILLED_AT_THE_LAST_MOMENT = """
import os, pathlib, sys
from pipeline.cli.main import main

put = pathlib.Path.replace

def put_and_die(self, target):
    put(self, target)
    if pathlib.Path(target).name == "out.csv":
        os._exit(9)

pathlib.Path.replace = put_and_die
main(sys.argv[1:])
"""


def test_killed_when_the_output_was_just_put_in_place_it_is_known_again(predict, run_path, photos):
    words = ["predict", run_path, photos, "-o", "out.csv"]
    assert subprocess.run([sys.executable, "-c", KILLED_AT_THE_LAST_MOMENT, *words]).returncode == 9
    before = Path("out.csv").read_bytes()
    assert predict(*words[1:])[0] == 0
    assert Path("out.csv").read_bytes() == before


def test_a_foreign_file_is_never_replaced(predict, stopped, run_path, photos):
    Path("out.csv").write_text("my own work")
    code, _, err = predict(run_path, photos, "-o", "out.csv")
    assert code == 2
    assert "out.csv: is there already" in err
    assert Path("out.csv").read_text() == "my own work"
    assert not Path("out.csv.parts").exists()

    Path("other.csv.parts").write_text("my own work")
    code, _, err = predict(run_path, photos, "-o", "other.csv", "--overwrite")
    assert code == 2
    assert "holds something else" in err
    assert Path("other.csv.parts").read_text() == "my own work"

    stopped(run_path, photos, "-o", "third.csv")
    Path("third.csv").write_text("my own work")
    code, _, err = predict(run_path, photos, "-o", "third.csv")
    assert code == 2
    assert Path("third.csv").read_text() == "my own work"

    assert predict(run_path, photos, "-o", "out.csv", "--overwrite")[0] == 0
    assert len(read("out.csv")) == 10


def test_a_folder_that_cannot_be_written_is_named(predict, run_path, photos):
    code, _, err = predict(run_path, photos, "-o", "/proc/out.csv")
    assert code == 2
    assert "/proc/out.csv.parts: cannot be written" in err


def test_two_runs_do_not_write_the_same_output(predict, run_path, photos):
    first = Journal.begin(Path("out.csv"), {"lines": "csv"})
    code, _, err = predict(run_path, photos, "-o", "out.csv", "--overwrite")
    first.remove()
    assert code == 2
    assert "another process is writing it" in err
