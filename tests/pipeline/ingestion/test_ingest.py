"""Ingestion: every file accounted for, images and labels right, one outcome for one input, nothing half-written."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.images.errors import ERROR_CODES
from pipeline.images.geometry import Geometry
from pipeline.ingestion.ingest import IngestOptions, ingest
from pipeline.workers import Threads

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")


def counts(report):
    return report.ingested + len(report.rejected) + sum(report.ignored.values())


def test_images_arrive_bit_for_bit(face_folder, lfw_images, tmp_path):
    report = ingest(face_folder, tmp_path / "faces.h5")
    with Dataset.open(tmp_path / "faces.h5") as data:
        assert data.classes == ("face", "other")
        assert (data.geometry.height, data.geometry.width, data.geometry.color) == (25, 25, "gray")
        expected = dict(zip((f"face/{i:03d}.png" for i in range(100)), lfw_images[:100], strict=True))
        expected |= dict(zip((f"other/{i:03d}.png" for i in range(100)), lfw_images[100:], strict=True))
        for i, path in enumerate(data.paths):
            assert (data.images[i, ..., 0] == expected[path]).all()
            assert data.classes[data.labels[i]] == path.split("/")[0]
        assert data.X.shape == (625, 200)
        assert data.X.flags.f_contiguous
        assert (data.X[:, 3].reshape(25, 25) == data.images[3, ..., 0]).all()
    assert report.found == report.ingested == 200
    assert report.splits["train"] + report.splits["validation"] + report.splits["test"] == 200


def test_any_number_of_workers_makes_the_same_file(face_folder, tmp_path):
    (face_folder / "face" / "broken.png").write_bytes((face_folder / "face" / "000.png").read_bytes()[:100])
    reports = [ingest(face_folder, tmp_path / f"{jobs}.h5", workers=Threads(jobs)) for jobs in (1, 4)]
    assert reports[0].rejected == reports[1].rejected
    with Dataset.open(tmp_path / "1.h5") as one, Dataset.open(tmp_path / "4.h5") as four:
        assert one.fingerprint == four.fingerprint
        assert (one.paths == four.paths).all()
        assert (one.sha256 == four.sha256).all()


def test_every_file_is_accounted_for(face_folder, tmp_path):
    good = (face_folder / "face" / "000.png").read_bytes()
    (face_folder / "face" / ".hidden.png").write_bytes(good)
    (face_folder / "face" / "Thumbs.db").write_bytes(b"x")
    (face_folder / ".git").mkdir()
    (face_folder / ".git" / "a.png").write_bytes(good)
    (face_folder / "face" / "text.jpg").write_text("this is no image")
    (face_folder / "face" / "empty.png").write_bytes(b"")
    (face_folder / "other" / "cut.png").write_bytes(good[:200])
    (face_folder / "other" / "wrong ending.jpg").write_bytes(good)
    (face_folder / "other" / "nested").mkdir()
    (face_folder / "other" / "nested" / "größe 1.png").write_bytes(good)
    (face_folder / "stray.png").write_bytes(good)
    report = ingest(face_folder, tmp_path / "out.h5")
    assert report.found == counts(report) == 209
    assert report.ignored == {"hidden": 2, "system file": 1}
    assert {path: code for path, code, _ in report.rejected} == {
        "face/text.jpg": "not_an_image",
        "face/empty.png": "empty_file",
        "other/cut.png": "truncated",
    }
    assert report.unlabelled == 1
    with Dataset.open(tmp_path / "out.h5") as data:
        assert data.rejected == list(report.rejected)
        labels = dict(zip(data.paths, data.labels, strict=True))
        assert labels["other/nested/größe 1.png"] == 1
        assert labels["stray.png"] == -1


def test_strict_stops_at_the_first_bad_file(face_folder, tmp_path):
    (face_folder / "face" / "000.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"face/000\.png: has no bytes"):
        ingest(face_folder, tmp_path / "out.h5", DataConfig(strict=True))
    assert not (tmp_path / "out.h5").exists()


def test_interrupted_ingestion_leaves_nothing(face_folder, tmp_path):
    def stop(done, total):
        if done >= 120:
            raise KeyboardInterrupt

    (tmp_path / "to").mkdir()
    with pytest.raises(KeyboardInterrupt):
        ingest(face_folder, tmp_path / "to" / "out.h5", workers=Threads(2), progress=stop)
    assert list((tmp_path / "to").iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(face_folder, tmp_path):
    (tmp_path / "to").mkdir()
    target = tmp_path / "to" / "out.h5"
    script = (
        "import os, signal, sys; from pipeline.ingestion.ingest import ingest\n"
        "ingest(sys.argv[1], sys.argv[2], progress=lambda *done: os.kill(os.getpid(), signal.SIGKILL))"
    )
    assert subprocess.run([sys.executable, "-c", script, face_folder, target], check=False).returncode < 0
    left = list((tmp_path / "to").iterdir())
    assert len(left) == 1
    found = []

    def look(done, total):
        if not found:
            found.extend((tmp_path / "to").iterdir())
            ingest(face_folder, target)

    ingest(face_folder, target, progress=look)
    assert len(found) == 1
    assert found != left
    assert list((tmp_path / "to").iterdir()) == [target]


def test_a_file_that_is_no_data_set_is_not_overwritten(face_folder, tmp_path):
    (tmp_path / "thesis.h5").write_bytes(b"years of work")
    with pytest.raises(InputError, match="not overwritten"):
        ingest(face_folder, tmp_path / "thesis.h5")
    assert (tmp_path / "thesis.h5").read_bytes() == b"years of work"
    with pytest.raises(InputError, match="does not exist"):
        ingest(face_folder, tmp_path / "nowhere" / "out.h5")
    ingest(face_folder, tmp_path / "out.h5")
    with pytest.raises(InputError, match="exists already; replace it with overwrite=True"):
        ingest(face_folder, tmp_path / "out.h5")
    ingest(face_folder, tmp_path / "out.h5", options=IngestOptions(overwrite=True))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write and read everything")
def test_permissions(face_folder, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="may not be written"):
        ingest(face_folder, tmp_path / "locked" / "out.h5")
    (face_folder / "face" / "000.png").chmod(0)
    report = ingest(face_folder, tmp_path / "out.h5")
    assert [(path, code) for path, code, _ in report.rejected] == [("face/000.png", "permission")]


def test_only_codes_of_the_vocabulary(face_folder, tmp_path):
    rng = np.random.default_rng(0)
    for i, path in enumerate(sorted(face_folder.glob("face/*.png"))[:60]):
        data = bytearray(path.read_bytes())
        for at in rng.integers(0, len(data), 1 + i % 8):
            data[at] = rng.integers(256)
        path.write_bytes(bytes(data))
    report = ingest(face_folder, tmp_path / "out.h5")
    assert report.rejected
    assert {code for _, code, _ in report.rejected} <= set(ERROR_CODES)


def test_appending_keeps_the_splits_of_the_old(face_folder, tmp_path):
    later = [path for path in sorted(face_folder.rglob("*.png")) if int(path.stem) >= 70]
    for path in later:
        path.rename(tmp_path / f"{path.parent.name} {path.name}")
    ingest(face_folder, tmp_path / "out.h5")
    with Dataset.open(tmp_path / "out.h5") as data:
        before = dict(zip(data.paths, data.split, strict=True))
        old_images = data.images[:]
    for path in later:
        (tmp_path / f"{path.parent.name} {path.name}").rename(path)
    shutil.copy(face_folder / "face" / "003.png", face_folder / "face" / "zz copy.png")
    (face_folder / "new").mkdir()
    Image.effect_noise((25, 25), 80).save(face_folder / "new" / "1.png")
    report = ingest(face_folder, tmp_path / "out.h5", options=IngestOptions(append=True))
    assert report.ingested == 62
    assert report.ignored == {"already in the data set": 140}
    assert report.found == counts(report)
    with Dataset.open(tmp_path / "out.h5") as data:
        after = dict(zip(data.paths, data.split, strict=True))
        assert len(data) == 202
        assert (data.images[:140] == old_images).all()
        assert data.classes == ("face", "other", "new")
        added = np.array([after[path] for path in data.paths[140:]])
        assert np.bincount(added, minlength=3).min() >= 8
    assert {path: after[path] for path in before} == before
    assert after["face/zz copy.png"] == after["face/003.png"]
    assert after["new/1.png"] == 0
    again = ingest(face_folder, tmp_path / "out.h5", options=IngestOptions(append=True))
    assert again.ingested == 0
    assert again.fingerprint == report.fingerprint


def test_a_failed_append_leaves_the_old_data_set(face_folder, tmp_path):
    ingest(face_folder, tmp_path / "out.h5")
    before = (tmp_path / "out.h5").read_bytes()
    Image.effect_noise((30, 25), 80).save(face_folder / "face" / "more.png")

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(face_folder, tmp_path / "out.h5", options=IngestOptions(append=True), progress=stop)
    assert (tmp_path / "out.h5").read_bytes() == before
    with pytest.raises(InputError, match="no data set to append to"):
        ingest(face_folder, tmp_path / "other.h5", options=IngestOptions(append=True))


def test_a_dry_run_says_what_would_happen_and_does_nothing(face_folder, tmp_path):
    (face_folder / "face" / "000.png").write_bytes(b"")
    (tmp_path / "to").mkdir()
    dry = ingest(face_folder, tmp_path / "to" / "out.h5", options=IngestOptions(dry_run=True))
    assert list((tmp_path / "to").iterdir()) == []
    assert dry == ingest(face_folder, tmp_path / "to" / "out.h5")
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["out.h5"]


def test_leaks_of_ready_made_splits_are_reported_and_dropped_on_demand(face_folder, tmp_path):
    root = tmp_path / "given"
    for i, path in enumerate(sorted(face_folder.rglob("*.png"))):
        to = root / ("train", "train", "val", "test")[i % 4] / path.parent.name / path.name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, to)
    shutil.copy(root / "test" / "face" / "003.png", root / "train" / "face" / "leak.png")
    shutil.copy(root / "val" / "face" / "002.png", root / "test" / "face" / "shared.png")
    report = ingest(root, tmp_path / "out.h5")
    assert set(report.leaks) == {
        ("train: train/face/leak.png", "test: test/face/003.png"),
        ("validation: val/face/002.png", "test: test/face/shared.png"),
    }
    assert report.dropped == 0
    report = ingest(root, tmp_path / "out.h5", DataConfig(drop_leaks=True), IngestOptions(overwrite=True))
    assert report.dropped == 1
    with Dataset.open(tmp_path / "out.h5") as data:
        assert list(data.paths[data.indices("dropped")]) == ["train/face/leak.png"]
        assert "train/face/leak.png" not in data.paths[data.indices("train")]


def test_everything_into_one_split(face_folder, tmp_path):
    shutil.rmtree(face_folder / "other")
    report = ingest(
        face_folder, tmp_path / "out.h5", options=IngestOptions(geometry=Geometry(16, 16, "rgb"), split="test")
    )
    assert report.splits["test"] == 100
    with Dataset.open(tmp_path / "out.h5") as data:
        assert data.images.shape == (100, 16, 16, 3)


def test_a_class_without_a_readable_image_is_left_out_and_said(face_folder, tmp_path):
    (face_folder / "broken").mkdir()
    for i in range(3):
        (face_folder / "broken" / f"{i}.png").write_bytes(b"")
    report = ingest(face_folder, tmp_path / "out.h5")
    assert list(report.classes) == ["face", "other"]
    assert any("class 'broken' has no readable image" in note for note in report.notes)


def test_a_full_disk_is_one_message(face_folder, tmp_path):
    script = (
        "import resource, sys; from pipeline.ingestion.ingest import ingest; from pipeline.errors import InputError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "try: ingest(sys.argv[1], sys.argv[2])\n"
        "except InputError as error: print(error)"
    )
    (tmp_path / "to").mkdir()
    command = [sys.executable, "-c", script, face_folder, tmp_path / "to" / "out.h5"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "out.h5: cannot be written" in result.stdout
    assert "Traceback" not in result.stderr
    assert list((tmp_path / "to").iterdir()) == []


def test_ready_made_splits_of_one_class_are_refused(face_folder, tmp_path):
    (tmp_path / "given" / "train").mkdir(parents=True)
    (tmp_path / "given" / "val").mkdir()
    shutil.copytree(face_folder / "face", tmp_path / "given" / "train" / "face")
    shutil.copytree(face_folder / "other", tmp_path / "given" / "val" / "other")
    with pytest.raises(InputError, match="the training split has fewer than two classes"):
        ingest(tmp_path / "given", tmp_path / "out.h5")
    report = ingest(tmp_path / "given", tmp_path / "out.h5", options=IngestOptions(split="given"))
    assert (report.splits["train"], report.splits["validation"]) == (100, 100)
