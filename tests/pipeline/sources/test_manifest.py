"""Manifests: rows become labels, splits and groups; a row that does not fit is named by its line."""

import pytest

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
