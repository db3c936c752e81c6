"""Folders: what lies in them is listed, and nothing outside them."""

import os
import shutil

import pytest
from PIL import Image

from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.ingestion.ingest import ingest


def test_bad_folders_get_one_clear_message(tmp_path, lfw_images):
    def say(folder):
        with pytest.raises(InputError) as caught:
            ingest(folder, tmp_path / "out.h5")
        assert not (tmp_path / "out.h5").exists()
        return str(caught.value)

    def put(path, i=0):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(lfw_images[i]).save(path)

    assert "no such file or folder" in say(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    assert "holds no images" in say(tmp_path / "empty")
    put(tmp_path / "one" / "cats" / "1.png")
    put(tmp_path / "one" / "cats" / "2.png", 1)
    assert "only one class, 'cats'" in say(tmp_path / "one")
    put(tmp_path / "one" / "dogs" / "1.png", 2)
    assert "class 'dogs': one image only" in say(tmp_path / "one")
    put(tmp_path / "one" / "Cats" / "1.png", 2)
    assert "'Cats' and 'cats' differ only in upper and lower case" in say(tmp_path / "one")
    (tmp_path / "texts" / "a").mkdir(parents=True)
    for i in range(3):
        (tmp_path / "texts" / "a" / f"{i}.jpg").write_text("no image")
    shutil.copytree(tmp_path / "texts" / "a", tmp_path / "texts" / "b")
    assert "none of the 6 files is a readable image" in say(tmp_path / "texts")


def test_images_without_class_folders_are_unlabelled(tmp_path, face_folder):
    report = ingest(face_folder / "face", tmp_path / "out.h5")
    assert report.unlabelled == 100
    assert report.classes == {}
    with Dataset.open(tmp_path / "out.h5") as data:
        assert (data.labels == -1).all()


def test_names_that_are_not_utf8_survive(face_folder, tmp_path):
    (face_folder / "face" / "000.png").rename(face_folder / "face" / os.fsdecode(b"\xff\n.png"))
    ingest(face_folder, tmp_path / "out.h5")
    with Dataset.open(tmp_path / "out.h5") as data:
        assert "face/%FF%0A.png" in data.paths


def test_links_out_of_the_folder_are_not_followed(face_folder, tmp_path, lfw_images):
    Image.fromarray(lfw_images[0]).save(tmp_path / "outside.png")
    (face_folder / "face" / "out.png").symlink_to(tmp_path / "outside.png")
    (face_folder / "face" / "loop").symlink_to(face_folder)
    (face_folder / "face" / "in.png").symlink_to(face_folder / "face" / "003.png")
    os.mkfifo(face_folder / "face" / "pipe")
    report = ingest(face_folder, tmp_path / "out.h5")
    assert report.ignored == {"symbolic link": 2, "special": 1}
    assert report.ingested == 201
