"""Zip archives: read like the folder they hold, and never trusted."""

import shutil
import struct
import unicodedata
import zipfile
import zlib

import pytest

from pipeline.images.encode import to_png
from pipeline.ingestion.ingest import ingest
from pipeline.workers import Threads


@pytest.mark.parametrize("prefix", ["", "photos/", "my/photos/"])
def test_an_archive_gives_what_the_folder_gives(face_folder, tmp_path, prefix, content, zip_of):
    ingest(face_folder, tmp_path / "folder.h5")
    ingest(zip_of(tmp_path / "a.zip", face_folder, prefix), tmp_path / "zip.h5", workers=Threads(3))
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
    assert report.ignored == {"system file": 1, "hidden": 1}
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


def zip_with_names(path, folder, rename):
    """Write an archive whose names are the bytes that `rename` makes of the paths, without the flag for UTF-8."""
    raw = {}
    with zipfile.ZipFile(path, "w") as archive:
        for i, file in enumerate(sorted(folder.rglob("*.png"))):
            raw[b"%08d" % i] = rename(file.relative_to(folder).as_posix())
            archive.writestr(f"{i:08d}".ljust(len(raw[b"%08d" % i]), "#"), file.read_bytes())
    data = path.read_bytes()
    for placeholder, name in raw.items():
        data = data.replace(placeholder.ljust(len(name), b"#"), name)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_in_utf8_without_the_flag(face_folder, tmp_path, form):
    bear = unicodedata.normalize(form, "Bär")
    path = zip_with_names(tmp_path / "a.zip", face_folder, lambda name: name.replace("face", bear).encode())
    report = ingest(path, tmp_path / "out.h5")
    assert report.classes == {"Bär": 100, "other": 100}
    assert not any("code page" in note for note in report.notes)


def test_names_in_another_encoding_get_a_note(face_folder, tmp_path):
    path = zip_with_names(tmp_path / "a.zip", face_folder, lambda name: name.replace("face", "Bär-1").encode("cp437"))
    report = ingest(path, tmp_path / "out.h5")
    assert report.classes == {"Bär-1": 100, "other": 100}
    assert any("read as code page 437" in note for note in report.notes)


def test_a_name_that_is_wrongly_marked_as_utf8_is_damage(face_folder, tmp_path, zip_of, error_of):
    path = zip_of(tmp_path / "a.zip", face_folder, extra=[("fäce/1.png", b"x")])
    path.write_bytes(path.read_bytes().replace("fäce".encode(), b"f\xc3\xc3ce"))
    assert "a name that is marked as UTF-8 is none" in error_of(path)


def test_a_name_beside_the_name_in_utf8_is_taken(face_folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in sorted(face_folder.rglob("*.png")):
            info = zipfile.ZipInfo(file.relative_to(face_folder).as_posix())
            name = info.filename.replace("face", "Bär").encode()
            field = b"\x01" + struct.pack("<L", zlib.crc32(b"f\x81" + info.filename.encode()[2:])) + name
            info.extra = struct.pack("<HH", 0x7075, len(field)) + field
            archive.writestr(info, file.read_bytes())
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data.replace(b"face/", b"f\x81ce/"))
    assert ingest(tmp_path / "a.zip", tmp_path / "out.h5").classes == {"Bär": 100, "other": 100}


def test_backslashes_separate_folders(face_folder, tmp_path, content):
    ingest(face_folder, tmp_path / "folder.h5")
    path = zip_with_names(tmp_path / "a.zip", face_folder, lambda name: f"photos/{name}".replace("/", "\\").encode())
    ingest(path, tmp_path / "zip.h5")
    assert content(tmp_path / "zip.h5") == content(tmp_path / "folder.h5")


def test_backslashes_lead_nowhere(face_folder, tmp_path, zip_of):
    extra = [("face\\..\\..\\evil.png", b"x"), ("\\evil.png", b"x"), ("C:\\evil.png", b"x"), (".\\face\\000.png", b"x")]
    report = ingest(zip_of(tmp_path / "a.zip", face_folder, extra=extra), tmp_path / "out.h5")
    assert {path: code for path, code, _ in report.rejected} == {
        "face/../../evil.png": "permission",
        "/evil.png": "permission",
        "C:/evil.png": "permission",
        "face/000.png": "corrupt",  # for the second time
    }


def test_the_outer_folder_is_found_beside_other_files(face_folder, tmp_path, content, zip_of):
    ingest(face_folder, tmp_path / "folder.h5")
    extra = [
        ("readme[1].txt", b"Read me."),
        ("MSR-LA - 3467.docx", b"PK"),
        ("data/PetImages/face/Thumbs.db", b"x"),
        ("data/labels.csv", b"file,class"),
        ("data/fox/", b""),
    ]
    report = ingest(zip_of(tmp_path / "a.zip", face_folder, "data/PetImages/", extra), tmp_path / "zip.h5")
    assert content(tmp_path / "zip.h5") == content(tmp_path / "folder.h5")
    assert report.found == 204
    assert report.ignored == {"system file": 1, "not an image": 3}
    assert report.notes[-1] == "folders without images: data/fox (empty)"


def test_splits_in_an_archive(face_folder, tmp_path, zip_of):
    for i, path in enumerate(sorted(face_folder.rglob("*.png"))):
        to = tmp_path / "sets" / ("train_set", "Testing")[i % 2] / path.parent.name / path.name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, to)
    report = ingest(zip_of(tmp_path / "a.zip", tmp_path / "sets", "x/"), tmp_path / "out.h5")
    assert report.ready_made
    assert report.classes == {"face": 100, "other": 100}


def test_a_table_that_is_no_manifest_says_what_it_lacks_if_there_are_no_folders(
    face_folder, tmp_path, zip_of, error_of
):
    (face_folder / "face" / "t.csv").write_text("filename,class\n000.png,face\n")
    assert "rename 'filename' to 'path' and 'class' to 'label'" in error_of(
        zip_of(tmp_path / "a.zip", face_folder / "face")
    )


@pytest.mark.parametrize("name", ["\\", "NFD"])
def test_a_manifest_in_an_archive_may_spell_names_otherwise(face_folder, tmp_path, zip_of, name):
    bear = unicodedata.normalize("NFD", "Bär")
    (face_folder / "face").rename(face_folder / bear)
    rows = [f"{folder}/{i:03d}.png,{folder}" for folder in ("Bär", "other") for i in range(20)]
    table = "\n".join(["path,label", *rows])
    (face_folder / "t.csv").write_text(table.replace("/", "\\") if name == "\\" else table)
    report = ingest(zip_of(tmp_path / "a.zip", face_folder, "x/"), tmp_path / "out.h5")
    assert report.classes == {"Bär": 20, "other": 20}
    assert report.ignored == {"manifest": 1, "not in the manifest": 160}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            b"path,label\n" + b"a" * (1 << 21),
            "t.csv: cannot be unpacked (unpacks to 2,097,163 bytes; at most 1,048,576",
        ),
        (
            b"path,label\n" + b"".join(b"%d,x\n" % i for i in range(4000)),
            "names far more images than the archive holds",
        ),
    ],
)
def test_a_manifest_costs_no_more_than_the_archive_explains(face_folder, tmp_path, zip_of, error_of, table, message):
    shutil.rmtree(face_folder / "other")
    assert message in error_of(zip_of(tmp_path / "a.zip", face_folder, extra=[("t.csv", table)]))
