"""Ingestion that is interrupted, resumed, and shared: always the file that one undisturbed run makes."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from pipeline.cli.main import main
from pipeline.data.config import DataConfig
from pipeline.errors import InputError
from pipeline.ingestion import resume
from pipeline.ingestion.ingest import IngestOptions, ingest
from pipeline.workers import Processes, Threads

pytestmark = pytest.mark.usefixtures("own_folder")


def content(path):
    """Return everything that a data set file holds, as text and digests."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: digest_of(item)}))
        found |= {name: str(value) for name, value in file.attrs.items()}
    return found


def digest_of(item):
    return hashlib.sha256(np.asarray(item[()]).tobytes()).hexdigest() if isinstance(item, h5py.Dataset) else ""


@pytest.fixture
def many(tmp_path, photo_image):
    """1,000 JPEGs of two classes and 4 files that are none: 126 chunks."""
    root = tmp_path / "many"
    for i in range(1000):
        folder = root / ("left" if i % 2 else "right")
        folder.mkdir(parents=True, exist_ok=True)
        left, top = divmod(i, 40)
        photo_image.crop((left * 20, top * 8, left * 20 + 80, top * 8 + 70)).save(folder / f"{i:04d}.jpg")
    for i in range(4):
        (root / "left" / f"bad {i}.jpg").write_bytes(b"\xff\xd8\xff" * i)
    return root


@pytest.fixture
def store_at_once(monkeypatch):
    monkeypatch.setattr(resume, "SECONDS_NOT_WORTH_STORING", -1.0)


def stop_at(n):
    def progress(done, total):
        if done >= n:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.slow
def test_an_interrupted_ingestion_is_resumed_and_ends_equal(many, tmp_path, store_at_once, jobs):
    (tmp_path / "to").mkdir()
    whole = ingest(many, tmp_path / "whole.h5", DataConfig(size="16"))
    for n in (300, 800):
        with pytest.raises(KeyboardInterrupt):
            ingest(many, tmp_path / "to" / "a.h5", DataConfig(size="16"), workers=Threads(jobs), progress=stop_at(n))
    assert not (tmp_path / "to" / "a.h5").exists()
    report = ingest(many, tmp_path / "to" / "a.h5", DataConfig(size="16"), workers=Threads(jobs))
    assert report.resumed >= 512
    assert (report.fingerprint, report.rejected, report.notes) == (whole.fingerprint, whole.rejected, whole.notes)
    assert content(tmp_path / "to" / "a.h5") == content(tmp_path / "whole.h5")
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["a.h5"]


@pytest.mark.slow
def test_what_has_changed_or_is_damaged_is_read_again(many, tmp_path, store_at_once):
    with pytest.raises(KeyboardInterrupt):
        ingest(many, tmp_path / "a.h5", DataConfig(size="16"), progress=stop_at(900))
    stored = tmp_path / "a.h5.parts"
    damaged = bytearray(stored.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    stored.write_bytes(damaged)
    Image.new("RGB", (80, 70), "red").save(many / "right" / "0000.jpg")  # of the third chunk
    report = ingest(many, tmp_path / "a.h5", DataConfig(size="16"))
    ingest(many, tmp_path / "whole.h5", DataConfig(size="16"))
    assert content(tmp_path / "a.h5") == content(tmp_path / "whole.h5")
    assert 0 < report.resumed < 900


@pytest.mark.slow
def test_what_was_found_damaged_does_not_count_as_resumed(many, tmp_path, store_at_once):
    with pytest.raises(KeyboardInterrupt):
        ingest(many, tmp_path / "a.h5", DataConfig(size="16"), progress=stop_at(900))
    stored = tmp_path / "a.h5.parts"
    content = stored.read_bytes()
    stored.write_bytes(content[:100_000] + b"\xff" * (len(content) - 100_000))
    report = ingest(many, tmp_path / "a.h5", DataConfig(size="16"))
    assert 0 < report.resumed < 400
    assert (report.found, report.ingested) == (1004, 1000)
    assert [path.name for path in tmp_path.glob("a.h5*")] == ["a.h5"]


@pytest.mark.slow
def test_with_other_settings_it_starts_over(many, tmp_path, store_at_once):
    with pytest.raises(KeyboardInterrupt):
        ingest(many, tmp_path / "a.h5", DataConfig(size="16"), progress=stop_at(900))
    assert ingest(many, tmp_path / "a.h5", DataConfig(size="12")).resumed == 0
    assert not (tmp_path / "a.h5.parts").exists()


@pytest.mark.slow
def test_appending_can_be_interrupted_too(many, tmp_path, store_at_once):
    for target in ("a.h5", "b.h5"):
        ingest(many, tmp_path / target, DataConfig(size="16"))
    for i in range(300):
        Image.effect_noise((80, 70), 60).save(many / "left" / f"new {i:03d}.png")
    ingest(many, tmp_path / "a.h5", options=IngestOptions(append=True))
    with pytest.raises(KeyboardInterrupt):
        ingest(many, tmp_path / "b.h5", options=IngestOptions(append=True), progress=stop_at(900))
    assert ingest(many, tmp_path / "b.h5", options=IngestOptions(append=True)).resumed
    assert content(tmp_path / "a.h5") == content(tmp_path / "b.h5")


INTERRUPT_AFTER_THE_FIRST_CHUNK = """
import os, signal, sys
from pipeline.files.store import Store
from pipeline.ingestion import resume
resume.SECONDS_NOT_WORTH_STORING = -1.0
put = Store.put
def put_and_interrupt(*arguments):
    put(*arguments)
    os.kill(os.getpid(), signal.SIGINT)
Store.put = put_and_interrupt
from pipeline.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_ctrl_c_says_that_the_same_command_goes_on(many, tmp_path):
    words = ["ingest", str(many), "a.h5", "--size", "16", "--jobs", "1"]
    child = subprocess.run(
        [sys.executable, "-c", INTERRUPT_AFTER_THE_FIRST_CHUNK, *words], capture_output=True, text=True
    )
    assert child.returncode == 130
    assert child.stderr == "Interrupted; the same command resumes\n"
    assert not Path("a.h5").exists()
    assert main(words) == 3
    assert main(["ingest", str(many), "whole.h5", "--size", "16"]) == 3
    assert content("a.h5") == content("whole.h5")


@pytest.mark.slow
def test_processes_make_the_same_file(many, tmp_path):
    ingest(many, tmp_path / "whole.h5", DataConfig(size="16"))
    ingest(many, tmp_path / "a.h5", DataConfig(size="16"), workers=Processes(2))
    assert content(tmp_path / "a.h5") == content(tmp_path / "whole.h5")


@pytest.mark.slow
def test_a_cluster_one_of_whose_workers_is_killed(many, tmp_path, cluster, kill_when_stored):
    shutil.make_archive(str(tmp_path / "many"), "zip", many)
    address, pids = cluster
    words = [str(many), "a.h5", "--size", "16", "--dask", address]
    code, err = kill_when_stored(1, ["ingest", *words], lambda _: pids[:1])
    assert code == 3, err
    assert main(["ingest", str(many), "whole.h5", "--size", "16"]) == 3
    assert content("a.h5") == content("whole.h5")
    assert main(["ingest", "many.zip", "z.h5", "--size", "16", "--dask", address]) == 3
    assert content("z.h5")["images"] == content("whole.h5")["images"]


def test_arrays_are_not_sent_around(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 8, 8), np.uint8))
    with pytest.raises(InputError, match="with nothing to decode"):
        ingest(tmp_path / "a.npy", tmp_path / "a.h5", workers=Processes(2))
