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


def test_links_to_class_folders_are_named(face_folder, tmp_path):
    (tmp_path / "mixed").mkdir()
    for name in ("face", "other"):
        shutil.copytree(face_folder / name, tmp_path / "mixed" / name)
    (tmp_path / "mixed" / "third").symlink_to(face_folder / "face")
    notes = "; ".join(ingest(tmp_path / "mixed", tmp_path / "out.h5").notes)
    assert "folders without images: third (1 symbolic link)" in notes
    assert "are not followed: third; give the folder that they lead to, or a manifest" in notes


def test_a_folder_of_links_alone_says_so(face_folder, tmp_path, error_of):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "face").symlink_to(face_folder / "face")
    message = error_of(tmp_path / "links")
    assert "holds no images (skipped: 1 symbolic link)" in message
    assert "are not followed: face" in message


def test_one_class_gets_a_hint(face_folder, tmp_path, error_of):
    outer = tmp_path / "unzipped" / "PetImages"
    shutil.copytree(face_folder, outer)
    (tmp_path / "unzipped" / "readme.txt").write_text("Read me.")
    message = error_of(tmp_path / "unzipped")
    assert "only one class, 'PetImages'" in message
    assert f"PetImages holds the folders face, other; if these are meant, give {outer}" in message
    shutil.rmtree(outer / "other")
    (outer / "other").mkdir()
    (outer / "texts").mkdir()
    (outer / "texts" / "a.txt").write_text("no image")
    message = error_of(outer)
    assert "only one class, 'face'" in message
    assert "folders without images: other (empty), texts (1 not an image)" in message


def test_a_folder_of_a_course_file_may_hold_a_readme(tmp_path, error_of):
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "train_x.h5").write_bytes(b"no HDF5")
    (tmp_path / "course" / "README.md").write_text("From the course.")
    assert "train_x.h5" in error_of(tmp_path / "course")
