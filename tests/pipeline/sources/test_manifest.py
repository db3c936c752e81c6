"""Manifests: rows become labels, splits and groups; a row that does not fit is named by its line."""

import unicodedata

import pytest

from pipeline.data.dataset import Dataset
from pipeline.ingestion.ingest import ingest


@pytest.mark.parametrize("name", ["table.csv", "table.tsv"])
def test_a_manifest_gives_what_the_folder_gives(manifest, face_folder, tmp_path, name, content):
    ingest(manifest(name=name), tmp_path / "manifest.h5")
    (face_folder / name).unlink()
    ingest(face_folder, tmp_path / "folder.h5")
    assert content(tmp_path / "manifest.h5") == content(tmp_path / "folder.h5")


def test_a_label_that_predict_kept_from_being_a_formula_is_itself_again(manifest, tmp_path):
    rows = [(f"face/{i:03d}.png", "./=face") for i in range(20)] + [(f"other/{i:03d}.png", "./x") for i in range(20)]
    assert set(ingest(manifest(rows), tmp_path / "out.h5").classes) == {"=face", "./x"}


def test_answers_of_a_prediction_are_not_taken_for_labels(manifest, tmp_path):
    columns = ("path", "label", "true_label", "model_id")
    rows = [(f"face/{i:03d}.png", "answer", "face", "abc") for i in range(20)]
    rows += [(f"other/{i:03d}.png", "answer", "other", "abc") for i in range(20)]
    assert set(ingest(manifest(rows, columns), tmp_path / "out.h5").classes) == {"face", "other"}


def test_a_manifest_with_splits_groups_and_missing_files(manifest, tmp_path):
    rows = [(f"face/{i:03d}.png", "face", ("train", "val", "test")[i % 3], f"person {i // 10}") for i in range(60)]
    rows += [(f"other/{i:03d}.png", "other", ("train", "val", "test")[i % 3], "") for i in range(60)]
    rows += [("gone.png", "face", "train", ""), ("face/000.png", "face", "train", "person 0")]
    report = ingest(manifest(rows, ("Path", "label", "Split", "group")), tmp_path / "out.h5")
    assert report.found == 122
    assert report.ingested == 120
    assert [(path, code) for path, code, _ in report.rejected] == [("gone.png", "not_found")]
    assert report.ignored == {"repeated row": 1}
    assert {name: report.splits[name] for name in ("train", "validation", "test")} == {
        "train": 40,
        "validation": 40,
        "test": 40,
    }
    assert len(report.leaks) == 6  # every person is in all splits


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([("a.png", "x")], ("file", "label"), r"no column 'path'; columns found: 'file', 'label'"),
        ([("a.png", "x", "holdout")], ("path", "label", "split"), r"line 2: split 'holdout' is unknown"),
        ([("a.png", "x"), ("a.png", "y")], ("path", "label"), r"line 3: 'a.png' has two rows, as 'x' and as 'y'"),
        ([("a, b.png", "x"), ("a", "b", "x")], ("path", "label"), r"line 3: has 3 cells and the first line has 2"),
        ([("", "x")], ("path", "label"), r"line 2: has no path"),
        ([], ("path", "label"), r"names no image"),
    ],
)
def test_bad_manifests(manifest, rows, columns, message, error_of):
    assert message in error_of(manifest(rows, columns))


def rows_of(face, other, path="{}/{:03d}.png"):
    """Return rows of 20 images each of two classes."""
    return [(path.format(folder, i), label) for folder, label in (("face", face), ("other", other)) for i in range(20)]


def write(path, rows, encoding="utf-8", first="", separator=","):
    lines = [first, *(separator.join(row) for row in [("path", "label"), *rows])]
    path.write_bytes("\r\n".join(lines).lstrip().encode(encoding))
    return path


@pytest.mark.parametrize(
    ("encoding", "first", "separator"),
    [
        ("utf-8-sig", "", ","),
        ("utf-16", "", "\t"),
        ("utf-16-le", "", ";"),
        ("utf-8", "sep=;", ";"),
        ("cp1252", "", ","),
    ],
)
def test_tables_of_excel(face_folder, tmp_path, encoding, first, separator):
    table = write(face_folder / "table.csv", rows_of("Bär", "Möwe"), encoding, first, separator)
    report = ingest(table, tmp_path / "out.h5")
    assert report.classes == {"Bär": 20, "Möwe": 20}
    assert any("was read as Windows-1252" in note for note in report.notes) == (encoding == "cp1252")


def test_paths_of_windows_and_of_macos(face_folder, tmp_path):
    table = write(face_folder / "table.csv", rows_of("a", "b", "{}\\{:03d}.png"))
    assert ingest(table, tmp_path / "windows.h5").ingested == 40
    with Dataset.open(tmp_path / "windows.h5") as data:
        assert data.paths[0] == "face/000.png"
    (face_folder / "face").rename(face_folder / unicodedata.normalize("NFD", "Bär"))
    rows = [(path.replace("face", "Bär"), label) for path, label in rows_of("Bär", "b")]
    assert ingest(write(table, rows), tmp_path / "macos.h5").classes == {"Bär": 20, "b": 20}


def test_a_path_of_another_computer_is_explained(face_folder, error_of):
    table = write(face_folder / "table.csv", rows_of("a", "b", "C:\\photos\\{}\\{:03d}.png"))
    assert "this is a path of another computer (Windows); write it relative to the table" in error_of(table)


@pytest.mark.parametrize("cell", ["", "nan", "NA", "None", "<NA>"])
def test_empty_cells_are_no_class(face_folder, tmp_path, cell):
    rows = [*rows_of("a", "b"), ("face/090.png", cell), ("face/091.png", cell)]
    report = ingest(write(face_folder / "table.csv", rows), tmp_path / "out.h5")
    assert report.classes == {"a": 20, "b": 20}
    assert report.unlabelled == 2
    assert any(f"2 labels '{cell}' taken for empty" in note for note in report.notes) == bool(cell)


def test_empty_labels_are_told_if_nothing_else_is_left(face_folder, error_of):
    message = error_of(write(face_folder / "table.csv", rows_of("a", "None")))
    assert "only one class, 'a'" in message
    assert "20 labels 'None' taken for empty" in message


def test_split_names_and_class_names_are_those_of_folders(face_folder, manifest, tmp_path):
    forms = [unicodedata.normalize(form, "Bär") for form in ("NFC", "NFD")]
    splits = ("Training", "test_set", "nan")
    rows = [
        (f"{folder}/{i:03d}.png", forms[i % 2] if folder == "face" else "other", splits[i % 3])
        for folder in ("face", "other")
        for i in range(30)
    ]
    report = ingest(manifest(rows, ("path", "label", "split")), tmp_path / "out.h5")
    assert report.classes == {forms[0]: 30, "other": 30}
    assert report.splits["test"] == 20


def test_a_table_of_predictions_names_files_as_predict_does(face_folder, manifest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (face_folder / "face" / "000.png").rename(face_folder / "face" / "\udcff.png")
    inside = face_folder.relative_to(tmp_path)
    rows = [(f"{inside}/{path}".replace("face/000", "face/%FF"), "x", label, "m") for path, label in rows_of("a", "b")]
    (tmp_path / "tables").mkdir()
    table = manifest(rows, ("path", "label", "true_label", "model_id")).rename(tmp_path / "tables" / "out.csv")
    report = ingest(table, tmp_path / "out.h5")
    assert (report.ingested, report.rejected) == (40, ())
