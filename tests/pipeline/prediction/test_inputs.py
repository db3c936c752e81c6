"""Everything that can be classified, as one stream; every name that was given is in it."""

from __future__ import annotations

import io
import os
import shutil
import unicodedata
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from pipeline.classifier import ImageClassifier
from pipeline.errors import InputError
from pipeline.files.walk import list_image_files
from pipeline.prediction.formats import write_csv
from pipeline.prediction.inputs import Inputs
from pipeline.prediction.predict import Settings, predict


@pytest.fixture(scope="module")
def classifier(run_path):
    return ImageClassifier.load(run_path)


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


def test_what_is_skipped_is_told_if_nothing_else_is_there(photos):
    Path("links").mkdir()
    Path("links/face").symlink_to((photos / "face").absolute())
    with pytest.raises(InputError, match=r"\(skipped: 1 symbolic link\); give the folder that the links lead to"):
        names("links")


def test_other_files_are_counted_if_they_are_found_and_tried_if_they_are_named(photos):
    for name in ("README", "face/notes.txt", "other/table.csv"):
        (photos / name).write_text("words")
    shutil.copy(photos / "face" / "0000.png", photos / "face" / "image.txt")
    inputs = Inputs([str(photos)])
    found = [item.name for item in inputs]
    assert found == [*names("photos/face/*.png"), "photos/face/image.txt", *names("photos/other/*.png")]
    assert inputs.ignored == {"not an image": 3}
    assert names("photos/face/*.t*") == ["photos/face/image.txt"]
    assert names("photos/README") == ["photos/README"]
    with pytest.raises(InputError, match=r"there are no files to classify \(skipped: 1 not an image\)"):
        names("photos/READ*")  # a pattern names no file


def test_outputs_are_no_inputs(photos):
    outputs = [Path("photos/rows"), Path("photos/rows.parts"), Path("photos/sorted")]
    for path in (*outputs[:2], outputs[2] / "face" / "x.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for given in (["photos"], sorted(map(str, photos.glob("*"))), ["photos/*"]):
        inputs = Inputs(given, outputs=outputs)
        assert sum(1 for _ in inputs) == 10
        assert inputs.ignored == {"output of this command": 3}
    assert [item.name for item in Inputs(["photos/rows"], outputs=outputs)] == ["photos/rows"]


def test_class_names_in_another_unicode_form_are_known(photos):
    composed, apart = (unicodedata.normalize(form, "Bär") for form in ("NFC", "NFD"))
    (photos / "face").rename(photos / apart)
    Path("t.csv").write_text(f"path,label\nphotos/{composed}/0000.png,{apart}\nphotos/{composed}/none.png,nan\n")
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.write(photos / apart / "0000.png")
    for classes in ((composed,), (apart,)):
        found = list(Inputs(["photos", "t.csv", "a.zip"], classes))
        assert [item.true_label for item in found] == [*classes * 5, *[""] * 5, classes[0], "", classes[0]]
    assert found[10].name == f"photos/{composed}/0000.png"  # as given, so that the rows can be joined
    assert found[10].path.exists()


def test_an_archive_need_not_be_a_data_set(photos):
    with zipfile.ZipFile("a.zip", "w") as archive:
        for folder in ("train/face", "test/face", "Face", "face"):
            archive.write(photos / "face" / "0000.png", f"{folder}/0.png")
    found = ["a.zip/Face/0.png", "a.zip/face/0.png", "a.zip/test/face/0.png", "a.zip/train/face/0.png"]
    assert names("a.zip") == found
    assert labels("a.zip") == ["", "face", "face", "face"]


def test_paths_of_windows_are_found_or_explained(photos, classifier):
    Path("list.txt").write_bytes("photos\\face\\0000.png\r\nC:\\face\\0000.png\r\nno\\such.png\r\n".encode("utf-16"))
    rows = list(predict(classifier, Inputs(["list.txt", "photos\\face\\0001.png"])))
    assert [(row.path, row.error_code) for row in rows] == [
        ("photos\\face\\0000.png", ""),
        ("C:\\face\\0000.png", "not_found"),
        ("no\\such.png", "not_found"),
        ("photos\\face\\0001.png", ""),
    ]
    assert "a path of another computer (Windows)" in rows[1].error_message
    assert r"none if \ is read as /" in rows[2].error_message


def rows_of(classifier, *given):
    return list(predict(classifier, Inputs([str(one) for one in given], classifier.classes), Settings(topk=2)))


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
