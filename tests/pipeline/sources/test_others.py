"""Files among the images that are plainly none are skipped, whatever they are called and whatever they hold."""

import pytest
from PIL import Image

from pipeline.data.dataset import Dataset
from pipeline.ingestion.ingest import ingest
from pipeline.sources.others import is_other_file


def test_content_decides_before_the_name(tmp_path):
    image = tmp_path / "image.png"
    Image.new("L", (8, 8)).save(image)
    cases = {
        "README": (b"Some words.", True),
        "labels.csv": (b"", True),
        "book.pdf": (b"%PDF-1.4", True),
        "notes.txt": (image.read_bytes(), False),
        "cat.jpg": (b"Some words.", False),
        "cat.svg": (b"<svg>", False),
        "0001": (b"Some words.", False),
        "data": (b"\x89HDF\r\n\x1a\n...", True),
        "out": (b"path,status,label,probability,true_label\n", True),
        "rejected": (b"path,error_code,error_message\n", True),
        "rows": (b"PAR1....", True),
    }
    for name, (content, expected) in cases.items():
        (tmp_path / name).write_bytes(content)
        assert is_other_file(tmp_path / name) is expected, name


@pytest.mark.parametrize("packed", [False, True])
def test_other_files_are_counted_and_no_errors(face_folder, tmp_path, zip_of, packed):
    (face_folder / "README").write_text("Faces.")
    (face_folder / "face" / "labels.csv").write_text("file;class\n")
    (face_folder / "other" / "text.jpg").write_text("a damaged image")
    (face_folder / "labels").mkdir()
    (face_folder / "labels" / "000.txt").write_text("0 0.5 0.5 1 1")
    report = ingest(zip_of(tmp_path / "a.zip", face_folder) if packed else face_folder, tmp_path / "out.h5")
    assert report.found == 204
    assert report.ignored == {"not an image": 3}
    assert [(path, code) for path, code, _ in report.rejected] == [("other/text.jpg", "not_an_image")]
    assert report.classes == {"face": 100, "other": 100}
    assert "folders without images: labels (1 not an image)" in report.notes


@pytest.mark.parametrize("packed", [False, True])
def test_runs_among_the_images_are_no_class(face_folder, tmp_path, zip_of, packed):
    for name in ("config.toml", "model.h5", "report.html"):
        (face_folder / "runs" / "a").mkdir(parents=True, exist_ok=True)
        (face_folder / "runs" / "a" / name).write_text("")
    Image.new("L", (8, 8)).save(face_folder / "runs" / "a" / "filters.png")
    report = ingest(zip_of(tmp_path / "a.zip", face_folder) if packed else face_folder, tmp_path / "out.h5")
    assert report.classes == {"face": 100, "other": 100}
    assert report.ignored == {"run of Facette": 4 if packed else 1}
    assert not report.rejected


def test_a_data_set_in_its_own_folder_is_not_read(face_folder):
    ingest(face_folder, face_folder / "faces")  # without an ending
    report = ingest(face_folder, face_folder / "again.h5")
    assert (report.ingested, report.ignored, report.rejected) == (200, {"not an image": 1}, ())
    with Dataset.open(face_folder / "again.h5") as data:
        assert data.classes == ("face", "other")
