"""A long prediction: what is done stays done, whatever stops it, and the end is always the same, to the byte."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.classifier import ImageClassifier
from pipeline.cli.main import main
from pipeline.data.dataset import Dataset
from pipeline.ingestion.ingest import ingest
from pipeline.prediction.chunks import LEAST, split_into_chunks
from pipeline.prediction.inputs import Item
from pipeline.prediction.job import MOST

MANY = 2 * MOST + 100
COMMAND = [sys.executable, "-m", "pipeline.cli", "predict"]

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")


@pytest.fixture
def many(faces):
    """Name 200 images over and over in a list: some chunks, with two names that lead nowhere."""
    files = sorted(map(str, faces.rglob("*.png")))
    names = [*itertools.islice(itertools.cycle(files), MANY)]
    names[70] = names[2 * MOST] = "gone.png"
    Path("many.txt").write_text("\n".join(names))
    return "many.txt"


@pytest.fixture
def photos(faces, tmp_path):
    """Copy a few images into class folders that a test may change."""
    for kind in ("face", "other"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for path in sorted((faces / kind).iterdir())[:5]:
            shutil.copy(path, tmp_path / "photos" / kind)
    return tmp_path / "photos"


def parts(ending):
    return [path for path in Path("out.csv.parts").glob(f"*.{ending}") if path.name != "run.json"]


def predict(capsys, *words):
    code = main(["predict", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def read(path):
    with open(path, newline="", encoding="utf-8") as file:  # noqa: PTH123
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bytes(run_path, many):
    words = [*COMMAND, str(run_path), many, "--jobs", "2", "-o"]
    assert subprocess.run([*words, "whole.csv"], capture_output=True).returncode == 3
    rng, kills = np.random.default_rng(), 0
    for attempt in itertools.count(1):
        child = subprocess.Popen([*words, "cut.csv"], stderr=subprocess.PIPE)
        try:
            _, err = child.communicate(timeout=rng.uniform(0.2, 0.6) * attempt)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            kills += 1
            assert not Path("cut.csv").exists() or Path("cut.csv").read_bytes() == Path("whole.csv").read_bytes()
        else:
            break
    assert kills
    assert child.returncode == 3, err
    assert Path("cut.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert len(Path("cut.csv").read_text().splitlines()) == MANY + 1


@pytest.mark.slow
@pytest.mark.parametrize("limit", [50_000, 400_000])  # a part does not fit; the parts do, all together do not
def test_disk_full_is_one_message_and_the_next_run_goes_on(run_path, many, limit):
    words = [*COMMAND, str(run_path), many, "--jobs", "1", "-o", "out.csv"]
    full = subprocess.run(
        words,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert full.returncode == 1
    assert "out.csv: File too large; what was done is kept in out.csv.parts" in full.stderr
    assert "Traceback" not in full.stderr
    assert not Path("out.csv").exists()

    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 3
    assert ("earlier run" in again.stderr) == (limit == 400_000)
    subprocess.run([*words[:-1], "whole.csv"], check=False, capture_output=True)
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_done(run_path, many):
    words = [*COMMAND, str(run_path), many, "--jobs", "1", "-o", "out.csv"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as child:
        while not parts("json"):
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(timeout=0.01)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate()
    assert child.returncode == 130
    assert "kept in out.csv.parts: the same command goes on" in err
    assert "Traceback" not in err
    again = subprocess.run(words, capture_output=True, text=True)
    assert "rows from an earlier run" in again.stderr
    assert len(read("out.csv")) == MANY


def stopped(capsys, monkeypatch, *words):
    """Run a prediction whose last step fails, as on a full disk."""
    from pipeline.prediction import journal

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal.shutil, "copyfileobj", full)
        code, _, err = predict(capsys, *words)
    assert code == 1
    assert "No space left" in err


def classified_now(capsys, *words):
    """Return how many rows a run made itself, and how many it ended with."""
    code, out, _ = predict(capsys, *words, "--json")
    found = json.loads(out)
    assert code == (3 if found["error"] else 0)
    return found["classified_now"], found["files"]


def test_touched_files_are_known_by_their_content(capsys, monkeypatch, run_path, photos):
    words = [run_path, photos, "-o", "out.csv"]
    stopped(capsys, monkeypatch, *words)
    os.utime(photos / "face" / "0000.png", (1, 1))
    assert classified_now(capsys, *words) == (0, 10)


def test_a_changed_file_makes_the_resumed_run_what_a_new_one_is(capsys, monkeypatch, run_path, photos):
    words = [run_path, photos, "-o", "out.csv"]
    stopped(capsys, monkeypatch, *words)
    shutil.copy(photos / "other" / "0100.png", photos / "face" / "0000.png")
    assert classified_now(capsys, *words) == (10, 10)
    predict(capsys, run_path, photos, "-o", "new.csv")
    assert Path("out.csv").read_bytes() == Path("new.csv").read_bytes()


@pytest.fixture
def crowd(photos):
    """A folder of a few chunks of images, which all have names of their own."""
    Path("crowd").mkdir()
    sources = sorted(photos.rglob("*.png"))
    for i in range(2 * MOST):
        os.link(sources[i % len(sources)], f"crowd/{i:05d}.png")
    return Path("crowd")


@pytest.mark.slow
def test_files_that_come_and_go_leave_what_lies_between_them_done(capsys, monkeypatch, run_path, crowd):
    words = [run_path, crowd, "-o", "out.csv"]
    (crowd / "gone.png").symlink_to("nowhere.png")
    stopped(capsys, monkeypatch, *words)
    (crowd / "00003.png").unlink()
    (crowd / "00005.png").rename("crowd/00004a.png")
    now, files = classified_now(capsys, *words)
    assert files == 2 * MOST
    assert now <= 2 * MOST - LEAST  # one chunk at least was found where it now stands

    shutil.copy(crowd / "00000.png", "crowd/00000a.png")  # after the end, too: there is an error to try again
    assert classified_now(capsys, *words)[1] == 2 * MOST + 1
    predict(capsys, run_path, crowd, "-o", "new.csv")
    assert Path("out.csv").read_bytes() == Path("new.csv").read_bytes()
    wanted = json.loads(Path("out.csv.parts/run.json").read_text())["state"]["chunks"]
    assert {path.stem for path in parts("json")} == {path.stem for path in parts("csv")} == {*wanted}


def test_a_file_more_or_less_changes_the_chunks_around_it_alone():
    def keys(names):
        return [chunk.key for chunk in split_into_chunks(Item(path, name) for name in names)]

    path, names = Path("zip"), [f"{i}.jpg" for i in range(20_000)]
    before = keys(names)
    assert 12 < len(before) < 32
    for changed in ([*names[:777], "new.jpg", *names[777:]], names[1:], [*names[:9000], *names[9100:]]):
        assert len({*before} ^ {*keys(changed)}) <= 8
    assert len({*keys(names * 2)}) == len(keys(names * 2))  # the same files again are chunks of their own


def test_a_data_set_in_many_batches_has_the_rows_of_its_images(capsys, monkeypatch, run_path):
    shutil.copy(run_path / "data.h5", "data.h5")
    classifier = ImageClassifier.load(run_path)
    with Dataset.open("data.h5") as data:
        probabilities = classifier.probabilities(data.images[:])
        expected = [
            (f"data.h5/{path}", digest.tobytes().hex(), data.classes[label], classifier.classes[k])
            for path, digest, label, k in zip(
                data.paths, data.sha256, data.labels, probabilities.argmax(axis=0), strict=True
            )
        ]
    monkeypatch.setattr("pipeline.prediction.predict.IMAGES_IN_BATCH", (64, 64))
    monkeypatch.setattr("pipeline.classifier._AT_A_TIME", (50, 50))
    monkeypatch.setattr("pipeline.prediction.chunks.CHUNK_OF_SLICE", 150)
    for name, jobs in (("one.csv", 1), ("three.csv", 3)):
        assert predict(capsys, run_path, "data.h5", "-o", name, "--jobs", jobs)[0] == 0
    assert Path("one.csv").read_bytes() == Path("three.csv").read_bytes()
    rows = read("one.csv")
    assert [(row["path"], row["sha256"], row["true_label"], row["label"]) for row in rows] == expected
    assert [float(row["probability"]) for row in rows] == pytest.approx(probabilities.max(axis=0).tolist(), abs=1e-6)


def test_a_data_set_is_known_by_its_size_and_time(capsys, monkeypatch, run_path):
    shutil.copy(run_path / "data.h5", "data.h5")
    words = [run_path, "data.h5", "-o", "out.csv"]
    stopped(capsys, monkeypatch, *words)
    assert classified_now(capsys, *words) == (0, 200)
    stopped(capsys, monkeypatch, *words, "--overwrite")
    os.utime("data.h5", (1, 1))
    assert classified_now(capsys, *words) == (200, 200)


def test_another_model_or_other_options_begin_anew(capsys, monkeypatch, run_path, photos):
    words = [run_path, photos, "-o", "out.csv"]
    stopped(capsys, monkeypatch, *words)
    code, _, err = predict(capsys, *words, "--topk", "2")
    assert code == 0
    assert "everything is predicted again" in err
    assert "earlier run" not in err
    assert read("out.csv")[0]["label_2"]


def test_errors_are_tried_again_unless_they_are_to_be_kept(capsys, run_path, photos):
    words = [run_path, photos, "late.png", "-o", "out.csv"]
    code, _, err = predict(capsys, *words)
    assert code == 3
    assert "out.csv.parts is kept" in err
    assert read("out.csv")[-1]["error_code"] == "not_found"
    assert classified_now(capsys, *words) == (0, 11)  # still missing

    shutil.copy(photos / "face" / "0000.png", "late.png")
    code, _, err = predict(capsys, *words)
    assert code == 0
    assert read("out.csv")[-1]["label"] == "face"
    assert not Path("out.csv.parts").exists()


def test_stopped_between_a_part_and_the_output_it_is_written_next_time(capsys, monkeypatch, run_path, photos):
    words = [run_path, photos, "late.png", "-o", "out.csv"]
    predict(capsys, *words)
    shutil.copy(photos / "face" / "0000.png", "late.png")
    stopped(capsys, monkeypatch, *words)
    assert classified_now(capsys, *words) == (0, 11)
    assert read("out.csv")[-1]["label"] == "face"


def test_kept_errors_end_the_matter(capsys, run_path, photos):
    words = [run_path, photos, "late.png", "-o", "out.csv"]
    predict(capsys, *words)
    shutil.copy(photos / "face" / "0000.png", "late.png")
    code, _, _ = predict(capsys, *words, "--keep-errors")
    assert code == 3
    assert read("out.csv")[-1]["error_code"] == "not_found"
    assert not Path("out.csv.parts").exists()


def test_a_damaged_part_is_noticed(capsys, monkeypatch, run_path, photos):
    words = [run_path, photos, "-o", "out.csv"]
    stopped(capsys, monkeypatch, *words)
    (part,) = parts("csv")
    part.write_bytes(part.read_bytes()[:-50])
    assert classified_now(capsys, *words) == (10, 10)
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


def test_killed_when_the_output_was_just_put_in_place_it_is_known_again(capsys, run_path, photos):
    words = ["predict", run_path, photos, "-o", "out.csv"]
    assert subprocess.run([sys.executable, "-c", KILLED_AT_THE_LAST_MOMENT, *words]).returncode == 9
    before = Path("out.csv").read_bytes()
    assert predict(capsys, *words[1:])[0] == 0
    assert Path("out.csv").read_bytes() == before


def test_a_foreign_file_is_never_replaced(capsys, monkeypatch, run_path, photos):
    Path("out.csv").write_text("my own work")
    code, _, err = predict(capsys, run_path, photos, "-o", "out.csv")
    assert code == 2
    assert "out.csv: is there already" in err
    assert Path("out.csv").read_text() == "my own work"
    assert not Path("out.csv.parts").exists()

    Path("other.csv.parts").mkdir()
    Path("other.csv.parts/mine.txt").write_text("my own work")
    code, _, err = predict(capsys, run_path, photos, "-o", "other.csv", "--overwrite")
    assert code == 2
    assert "holds something else" in err
    assert Path("other.csv.parts/mine.txt").exists()

    stopped(capsys, monkeypatch, run_path, photos, "-o", "third.csv")
    Path("third.csv").write_text("my own work")
    code, _, err = predict(capsys, run_path, photos, "-o", "third.csv")
    assert code == 2
    assert Path("third.csv").read_text() == "my own work"

    assert predict(capsys, run_path, photos, "-o", "out.csv", "--overwrite")[0] == 0
    assert len(read("out.csv")) == 10


def test_a_folder_that_cannot_be_written_is_named(capsys, run_path, photos):
    code, _, err = predict(capsys, run_path, photos, "-o", "/proc/out.csv")
    assert code == 2
    assert "/proc/out.csv.parts: cannot be written" in err


def test_two_runs_do_not_write_the_same_output(capsys, run_path, photos):
    from pipeline.prediction.journal import Journal

    first = Journal(Path("out.csv"), {"lines": "csv"})
    code, _, err = predict(capsys, run_path, photos, "-o", "out.csv", "--overwrite")
    first.remove()
    assert code == 2
    assert "another process is writing it" in err


def test_formats_say_the_same(capsys, run_path, photos):
    pq = pytest.importorskip("pyarrow.parquet")
    (photos / "bad.jpg").write_text("words")
    for name in ("out.csv", "out.jsonl", "out.parquet"):
        assert predict(capsys, run_path, photos, "-o", name, "--topk", "2")[0] == 3
    from_csv = read("out.csv")
    from_json = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    from_parquet = pq.read_table("out.parquet").to_pylist()
    assert from_json == from_parquet
    assert [list(row) for row in from_json] == [list(row) for row in from_csv]
    for row, other in zip(from_csv, from_json, strict=True):
        for name, cell in row.items():
            if name.startswith("probability") and cell:
                assert float(cell) == pytest.approx(other[name], abs=1e-7)
            else:
                assert cell == (other[name] or "")


def test_format_goes_before_the_ending(capsys, run_path, photos):
    predict(capsys, run_path, photos, "-o", "out.txt", "--format", "jsonl")
    assert json.loads(Path("out.txt").read_text().splitlines()[0])["status"] == "ok"


def test_parquet_has_no_standard_output(capsys, run_path, photos):
    code, _, err = predict(capsys, run_path, photos, "--format", "parquet")
    assert code == 2
    assert "give a file with -o" in err


def test_totals_add_up(capsys, run_path, photos):
    (photos / "bad.jpg").write_text("words")
    _, out, err = predict(capsys, run_path, photos, "-o", "out.csv", "--threshold", "0.95", "--json")
    found = json.loads(out)
    rows = read("out.csv")
    assert found["files"] == len(rows) == found["ok"] + found["abstain"] + found["error"] == 11
    assert found["errors"] == {"not_an_image": 1}
    for row in rows:
        if row["status"] != "error":
            assert (row["status"] == "abstain") == (float(row["probability"]) < 0.95)
    assert found["abstain"]
    assert f"{found['abstain']} abstain" in err
    labelled = [row for row in rows if row["true_label"]]
    assert found["accuracy"] == pytest.approx(np.mean([row["label"] == row["true_label"] for row in labelled]))


def test_classes_that_the_model_does_not_know_are_not_held_against_it(capsys, run_path, photos):
    (photos / "face").rename(photos / "car")
    ingest(photos, "data.h5", geometry=ImageClassifier.load(run_path).geometry)
    Path("table.csv").write_text("path,label\nphotos/car/0001.png,face\nphotos/car/0002.png,boat\n")
    _, out, _ = predict(capsys, run_path, "data.h5", "table.csv", "-o", "out.csv", "--json")
    rows = read("out.csv")
    assert [row["true_label"] for row in rows] == ["car"] * 5 + ["other"] * 5 + ["face", "boat"]
    known = [row for row in rows if row["true_label"] in ("face", "other")]
    found = json.loads(out)
    assert found["labelled"] == len(known) == 6
    assert found["accuracy"] == pytest.approx(np.mean([row["label"] == row["true_label"] for row in known]))


def test_only_one_class_is_written_and_all_are_counted(capsys, run_path, photos):
    _, out, err = predict(capsys, run_path, photos, "-o", "out.csv", "--only", "face", "--json")
    found = json.loads(out)
    rows = read("out.csv")
    assert f"; {len(rows)} rows written to out.csv" in err
    assert found["files"] == 10
    assert {row["label"] for row in rows} == {"face"}
    assert len(rows) == found["labels"]["face"] < 10
    _, out, _ = predict(capsys, run_path, photos, "--only", "face")
    assert len(list(csv.DictReader(io.StringIO(out)))) == len(rows)
    code, _, err = predict(capsys, run_path, photos, "--only", "cat")
    assert code == 2
    assert "the model knows face, other" in err


@pytest.mark.parametrize("flags", [("--threshold", "2"), ("--reject", "0"), ("--topk", "0"), ("--jobs", "0")])
def test_options_that_cannot_work_are_refused_before_anything_is_written(capsys, run_path, photos, flags):
    code, _, err = predict(capsys, run_path, photos, "-o", "out.csv", *flags)
    assert code == 2
    assert flags[0] in err
    assert not Path("out.csv.parts").exists()


@pytest.mark.slow
def test_a_folder_of_ten_thousand_files(capsys, faces, run_path, tmp_path):
    source = sorted((faces / "face").iterdir())
    (tmp_path / "big").mkdir()
    for i in range(10_000):
        os.link(source[i % len(source)], tmp_path / "big" / f"{i}.png")
    code, _, err = predict(capsys, run_path, "big", "-o", "out.csv")
    assert code == 0
    assert "10,000 files: 10,000 ok" in err
    assert {row["path"] for row in read("out.csv")} == {f"big/{i}.png" for i in range(10_000)}
