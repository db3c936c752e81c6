"""Zip archives: read like the folder they hold, and never trusted."""

import shutil

import pytest

from pipeline.images.encode import to_png
from pipeline.ingestion.ingest import ingest


@pytest.mark.parametrize("prefix", ["", "photos/", "my/photos/"])
def test_an_archive_gives_what_the_folder_gives(face_folder, tmp_path, prefix, content, zip_of):
    ingest(face_folder, tmp_path / "folder.h5")
    ingest(zip_of(tmp_path / "a.zip", face_folder, prefix), tmp_path / "zip.h5", jobs=3)
    assert content(tmp_path / "zip.h5") == content(tmp_path / "folder.h5")


def test_an_archive_with_a_manifest(manifest, face_folder, tmp_path, content, zip_of):
    ingest(manifest(), tmp_path / "table.h5")
    report = ingest(zip_of(tmp_path / "a.zip", face_folder, "x/"), tmp_path / "zip.h5")
    assert content(tmp_path / "zip.h5") == content(tmp_path / "table.h5")
    assert report.found == 201
    assert report.ignored == {"manifest": 1}


def test_an_archive_is_not_believed(face_folder, tmp_path, lfw_images, zip_of):
    good = to_png(lfw_images[0])
    bomb = b"\x89PNG\r\n\x1a\n" + b"\0" * (1 << 25)
    extra = [
        ("../evil.png", good),
        ("/etc/evil.png", good),
        ("face/../../evil.png", good),
        ("C:/evil.png", good),
        ("face/bomb.png", bomb),
        ("face/zeros.png", b"\0" * (1 << 25)),
        ("__MACOSX/face/._a.png", b"x"),
        ("face/.DS_Store", b"x"),
    ]
    report = ingest(zip_of(tmp_path / "a.zip", face_folder, extra=extra), tmp_path / "out.h5")
    assert {path: code for path, code, _ in report.rejected} == {
        "../evil.png": "permission",
        "/etc/evil.png": "permission",
        "face/../../evil.png": "permission",
        "C:/evil.png": "permission",
        "face/bomb.png": "too_large",
        "face/zeros.png": "too_large",
    }
    assert report.ignored == {"litter": 1, "hidden": 1}
    assert report.found == 208
    assert not (tmp_path / "evil.png").exists()


def test_a_member_damaged_in_the_archive_is_one_bad_row(face_folder, tmp_path, error_of, zip_of):
    path = zip_of(tmp_path / "a.zip", face_folder)
    data = bytearray(path.read_bytes())
    at = data.index(b"IDAT") + 20
    data[at] ^= 0xFF
    path.write_bytes(data)
    report = ingest(path, tmp_path / "out.h5")
    assert [code for _, code, _ in report.rejected] == ["corrupt"]
    path.write_bytes(data[: len(data) // 2])
    assert "is not a zip archive, or is damaged" in error_of(path)


def test_an_archive_of_nothing(tmp_path, face_folder, error_of, zip_of):
    shutil.rmtree(face_folder / "face")
    shutil.rmtree(face_folder / "other")
    assert "holds no images" in error_of(zip_of(tmp_path / "a.zip", face_folder))
