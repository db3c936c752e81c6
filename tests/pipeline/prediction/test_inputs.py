"""Everything that can be classified, as one stream; every name that was given is in it."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.files.walk import list_image_files
from pipeline.ingestion.ingest import ingest
from pipeline.prediction.inputs import Inputs
from pipeline.prediction.predict import predict, write_csv


@pytest.fixture(scope="module")
def classifier(run_path):
    return ImageClassifier.load(run_path)


@pytest.fixture
def photos(faces, tmp_path, monkeypatch):
    """Five images in each of two class folders below the folder one is in."""
    monkeypatch.chdir(tmp_path)
    for kind in ("face", "other"):
        Path("photos", kind).mkdir(parents=True)
        for path in sorted((faces / kind).iterdir())[:5]:
            shutil.copy(path, Path("photos", kind))
    return Path("photos")


def names(*given, stdin=b""):
    return [item.name for item in Inputs([str(one) for one in given], ("face", "other"), io.BytesIO(stdin))]


def labels(*given):
    return [item.true_label for item in Inputs([str(one) for one in given], ("face", "other"))]


def test_a_folder_is_walked_in_the_order_of_the_listing(photos):
    for odd in ("face2/x.png", "face/sub/y.png", "face.d/z.png", "ünder/ö.png", "a.png", "Z.png", ".hidden/n.png"):
        (photos / odd).parent.mkdir(exist_ok=True)
        (photos / odd).touch()
    listing = list_image_files(photos)
    inputs = Inputs([str(photos)])

    assert [item.name for item in inputs] == [f"photos/{name}" for name in listing.files]
    assert inputs.ignored == listing.ignored


def test_folders_may_lie_deep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    depth = 1200  # more than calls may lie in one another
    for _ in range(depth):
        Path("d").mkdir()
        os.chdir("d")
    try:
        Path("a.png").touch()
        (item,) = Inputs([str(tmp_path)])
        assert item.name == f"{tmp_path}/{'d/' * depth}a.png"
    finally:  # `shutil.rmtree` may not go so deep
        Path("a.png").unlink()
        for _ in range(depth):
            os.chdir("..")
            Path("d").rmdir()


def test_patterns_are_matched_and_sorted(photos):
    assert names("photos/*/000[12].png") == ["photos/face/0001.png", "photos/face/0002.png"]
    assert names("photos/*") == names("photos/face", "photos/other")
    assert names("photos/**") == names("photos/**/*.png") == names("photos")
    assert labels("photos/*/*.png") == ["face"] * 5 + ["other"] * 5
    assert names("photos/*.gif") == ["photos/*.gif"]  # becomes a row that says there is none


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(photos):
    shutil.copy(photos / "face" / "0000.png", "a[1].png")
    assert names("a[1].png") == ["a[1].png"]


def test_lists_name_files_seen_from_here(photos):
    Path("lists").mkdir()
    Path("lists/some.txt").write_bytes(b"\xef\xbb\xbfphotos/face/0001.png\r\n\n  gone.png\n=1.png\n")
    assert names("lists/some.txt") == ["photos/face/0001.png", "  gone.png", "./=1.png"]


def test_standard_input_names_files(photos):
    assert names("-", stdin=b"photos/face/0001.png\ngr\xf6\xdfe.png\n") == ["photos/face/0001.png", "gr%F6%DFe.png"]


def test_tables_name_files_seen_from_their_folder(photos):
    (photos / "some.csv").write_text('label,Path\nface,face/0001.png\n"x, y",../photos/face/"0.png\n,face/0001.png\n')
    assert names("photos/some.csv") == ["photos/face/0001.png", 'photos/face/"0.png', "photos/face/0001.png"]
    assert labels("photos/some.csv") == ["face", "x, y", ""]
    Path("t.tsv").write_text("path\nphotos/face/0001.png\n\n")
    assert names("t.tsv") == ["photos/face/0001.png"]


def test_our_own_table_can_be_given_back(photos, classifier):
    odd = [b"line\nbreak.png", b"\xff\xfe.png", b"=cmd.png", b"100%FF.png", b"100\xff.png", b"50%0.png", b"a%41.png"]
    for number, name in enumerate(odd):
        Image.open(photos / "face" / "0000.png").rotate(number).save(os.fsdecode(name))
    given = Inputs([os.fsdecode(name) for name in odd])
    found = list(given)
    with Path("out.csv").open("w", newline="") as file:
        write_csv(predict(classifier, given), file, 1)
    back = list(Inputs(["out.csv"]))
    assert [item.name for item in back] == [item.name for item in found]
    as_written = [item.path for item in found]
    as_written[4] = Path("100%FF.png")  # two files are called so in the table: the one that is there as it stands
    assert [item.path for item in back] == as_written


def test_our_own_table_may_lie_elsewhere_and_its_answers_are_not_taken_for_the_truth(photos, classifier):
    Path("out").mkdir()
    with Path("out/rows.csv").open("w", newline="") as file:
        write_csv(predict(classifier, Inputs(["photos/face/0001.png"])), file, 1)
    (item,) = Inputs(["out/rows.csv"], classifier.classes)
    assert (item.name, item.path.exists(), item.true_label) == ("photos/face/0001.png", True, "")
    with Path("out/labelled.csv").open("w", newline="") as file:
        write_csv(predict(classifier, Inputs(["photos"], classifier.classes)), file, 1)
    assert labels("out/labelled.csv") == ["face"] * 5 + ["other"] * 5
    Path("out/photos/face").mkdir(parents=True)
    shutil.copy("photos/face/0000.png", "out/photos/face/0001.png")
    assert names("out/rows.csv") == ["photos/face/0001.png"]  # not the one below the table
    for folder in ("photos", "out/photos"):
        Path(folder, "face", "0001.png").unlink()
    assert names("out/rows.csv") == ["photos/face/0001.png"]
    Path("out/other.csv").write_text("path\nphotos/face/0001.png\n")
    assert names("out/other.csv") == ["out/photos/face/0001.png"]  # anybody else's is seen from its own folder


def test_rows_of_a_table_without_a_path_are_rows_too(photos, classifier):
    Path("t.csv").write_text("path,label\n,face\nphotos/face/0001.png,face\n")
    rows = list(predict(classifier, Inputs(["t.csv"])))
    assert [row.status for row in rows] == ["error", "ok"]
    assert "line 2 of t.csv" in rows[0].error_message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"file,label\na,b\n", "no column 'path'; columns found: 'file', 'label'"),
        ("t.csv", b"", "no column 'path'; columns found: none"),
        ("t.zip", b"words", "is not a zip archive"),
        ("t.h5", b"words", "is not an HDF5 file"),
    ],
)
def test_what_cannot_be_read_is_said_at_once(photos, name, content, message):
    Path(name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        Inputs([name])


def test_nothing_to_classify_is_said(photos):
    Path("empty.txt").write_text("\n")
    Path("empty").mkdir()
    with pytest.raises(InputError, match=r"empty\.txt, empty: there are no files to classify"):
        names("empty.txt", "empty")


def rows_of(classifier, *given):
    return list(predict(classifier, Inputs([str(one) for one in given], classifier.classes), topk=2))


def test_an_archive_says_what_the_folder_says(photos, classifier):
    with zipfile.ZipFile("photos.zip", "w") as archive:
        for path in sorted(photos.rglob("*.png")):
            archive.write(path)
        archive.writestr("photos/face/bad.png", "words")
        archive.writestr("../out.png", "words")
    unpacked, packed = rows_of(classifier, "photos"), rows_of(classifier, "photos.zip")

    good = [row for row in packed if row.status == "ok"]
    assert [row.path for row in good] == [f"photos.zip/{row.path}" for row in unpacked]
    assert [row.sha256 for row in good] == [row.sha256 for row in unpacked]
    assert [row.true_label for row in good] == [row.true_label for row in unpacked]
    for row, other in zip(good, unpacked, strict=True):
        assert dict(row.ranking) == pytest.approx(dict(other.ranking), abs=1e-6)
    assert sorted(row.error_code for row in packed if row.status == "error") == ["not_an_image", "permission"]


def test_a_data_set_says_what_its_images_say(classifier, run_path, faces):
    from_files = {row.sha256: row for row in rows_of(classifier, faces)}
    rows = rows_of(classifier, run_path / "data.h5")
    with Dataset.open(run_path / "data.h5") as data:
        assert [row.path for row in rows] == [f"{run_path}/data.h5/{path}" for path in data.paths]
        assert [row.true_label for row in rows] == [data.classes[k] for k in data.labels]
    assert len(rows) == len(from_files) == 200
    for row in rows:
        assert dict(row.ranking) == pytest.approx(dict(from_files[row.sha256].ranking), abs=1e-6)


def test_arrays_are_images(classifier, tmp_path, lfw_images):
    np.savez(tmp_path / "faces.npz", images=lfw_images[90:110], labels=np.repeat([0, 1], 10))
    rows = rows_of(classifier, tmp_path / "faces.npz")
    expected = classifier.probabilities(lfw_images[90:110, :, :, None])
    assert [dict(row.ranking)["face"] for row in rows] == pytest.approx(expected[0].tolist(), abs=1e-6)


def test_names_of_every_kind_become_one_line_each(photos, classifier):
    odd = [b"a,b.png", b'quote".png', b"line\nbreak.png", b"=cmd.png", b"\xff\xfe.png", "größe.png".encode()]
    for name in odd:
        shutil.copy(os.fsencode(photos / "face" / "0000.png"), os.path.join(b"photos/face", name))  # noqa: PTH118
    rows = rows_of(classifier, "photos/face")
    assert len(rows) == 11
    assert {row.status for row in rows} == {"ok"}
    assert {"photos/face/%FF%FE.png", "photos/face/line%0Abreak.png"} <= {row.path for row in rows}
    os.chdir("photos/face")
    assert "./=cmd.png" in names("=cmd.png", "0000.png")


def test_a_data_set_or_archive_that_was_replaced_is_read_anew(photos, classifier, run_path):
    for kind in ("face", "other"):
        ingest(photos / kind, "new.h5", geometry=classifier.geometry)
        shutil.move("new.h5", "data.h5")
        with zipfile.ZipFile("photos.zip", "w") as archive:
            for path in sorted((photos / kind).iterdir()):
                archive.write(path)
        for name in ("data.h5", "photos.zip"):
            digests = [row.sha256 for row in rows_of(classifier, name)]
            assert digests == [row.sha256 for row in rows_of(classifier, photos / kind)]


def test_an_archive_that_vanishes_leaves_a_row_for_each_image(photos, classifier):
    with zipfile.ZipFile("photos.zip", "w") as archive:
        for path in sorted(photos.rglob("*.png")):
            archive.write(path)
    items = list(Inputs(["photos.zip"]))
    Path("photos.zip").unlink()
    assert [row.error_code for row in predict(classifier, items)] == ["io_error"] * 10


def test_what_vanishes_or_may_not_be_read_is_a_row(photos, classifier):
    items = list(Inputs(["photos"]))
    (photos / "face" / "0000.png").unlink()
    (photos / "face" / "0001.png").unlink()
    (photos / "face" / "0001.png").mkdir()
    os.mkfifo(photos / "pipe.png")
    rows = list(predict(classifier, [*items, *Inputs(["photos/pipe.png"])]))
    assert [row.error_code for row in rows] == ["not_found", "io_error", *[""] * 8, "io_error"]


def test_two_files_with_one_base_name_are_two_rows(photos, classifier):
    Image.open(photos / "face" / "0000.png").rotate(180).save(photos / "other" / "0000.png")
    rows = [row for row in rows_of(classifier, "photos") if row.path.endswith("0000.png")]
    assert len({row.path for row in rows}) == len({row.sha256 for row in rows}) == 2
