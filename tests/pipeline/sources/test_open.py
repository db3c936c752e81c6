"""Sources: each gives the right images with the right labels, and bad ones get one clear message."""

import csv
import io
import shutil
import zipfile

import h5py
import joblib
import numpy as np
import pytest
from PIL import Image

from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.ingestion.ingest import IngestOptions, ingest
from pipeline.sources.builtin import load_named
from pipeline.sources.open import open_source
from pipeline.workers import Threads

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")


def png(image):
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG")
    return data.getvalue()


def say(location, tmp_path, **options):
    tmp_path.mkdir(exist_ok=True)
    with pytest.raises(InputError) as caught:
        ingest(location, tmp_path / "out.h5", DataConfig(**options), IngestOptions(overwrite=True))
    assert not (tmp_path / "out.h5").exists()
    return str(caught.value)


def content(path):
    """Return what a data set says of every image: {sha256 of pixels: (label, split)}, and its paths."""
    with Dataset.open(path) as data:
        images = data.images[:]
        return {
            images[i].tobytes(): (data.classes[label] if label >= 0 else "", int(data.split[i]))
            for i, label in enumerate(data.labels)
        }


@pytest.fixture
def manifest(face_folder):
    """Write a manifest of the face folder; return a function that writes any rows."""

    def write(rows=None, columns=("path", "label"), name="table.csv"):
        if rows is None:
            rows = [(path.relative_to(face_folder), path.parent.name) for path in sorted(face_folder.rglob("*.png"))]
        with (face_folder / name).open("w", newline="") as file:
            table = csv.writer(file, delimiter="\t" if name.endswith("tsv") else ",")
            table.writerows([columns, *rows])
        return face_folder / name

    return write


@pytest.mark.parametrize("name", ["table.csv", "table.tsv"])
def test_a_manifest_gives_what_the_folder_gives(manifest, face_folder, tmp_path, name):
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
    assert len(report.leaks) == 6  # every person is on all sides


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([("a.png", "x")], ("file", "label"), r"no column 'path'; columns found: 'file', 'label'"),
        ([("a.png", "x", "holdout")], ("path", "label", "split"), r"line 2: split 'holdout' is unknown"),
        ([("a.png", "x"), ("a.png", "y")], ("path", "label"), r"line 3: 'a.png' is there twice, as 'x' and as 'y'"),
        ([("a, b.png", "x"), ("a", "b", "x")], ("path", "label"), r"line 3: has 3 cells and the first line has 2"),
        ([("", "x")], ("path", "label"), r"line 2: has no path"),
        ([], ("path", "label"), r"names no image"),
    ],
)
def test_bad_manifests(manifest, tmp_path, rows, columns, message):
    assert message in say(manifest(rows, columns), tmp_path)


def make_zip(path, folder, prefix="", extra=()):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, prefix + file.relative_to(folder).as_posix())
        for name, data in extra:
            archive.writestr(name, data, compress_type=zipfile.ZIP_DEFLATED)
    return path


@pytest.mark.parametrize("prefix", ["", "photos/", "my/photos/"])
def test_an_archive_gives_what_the_folder_gives(face_folder, tmp_path, prefix):
    ingest(face_folder, tmp_path / "folder.h5")
    ingest(make_zip(tmp_path / "a.zip", face_folder, prefix), tmp_path / "zip.h5", workers=Threads(3))
    assert content(tmp_path / "zip.h5") == content(tmp_path / "folder.h5")


def test_an_archive_with_a_manifest(manifest, face_folder, tmp_path):
    ingest(manifest(), tmp_path / "table.h5")
    report = ingest(make_zip(tmp_path / "a.zip", face_folder, "x/"), tmp_path / "zip.h5")
    assert content(tmp_path / "zip.h5") == content(tmp_path / "table.h5")
    assert report.found == 201
    assert report.ignored == {"manifest": 1}


def test_an_archive_is_not_believed(face_folder, tmp_path, lfw_images):
    good = png(lfw_images[0])
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
    report = ingest(make_zip(tmp_path / "a.zip", face_folder, extra=extra), tmp_path / "out.h5")
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


def test_a_member_damaged_in_the_archive_is_one_bad_row(face_folder, tmp_path):
    path = make_zip(tmp_path / "a.zip", face_folder)
    data = bytearray(path.read_bytes())
    at = data.index(b"IDAT") + 20
    data[at] ^= 0xFF
    path.write_bytes(data)
    report = ingest(path, tmp_path / "out.h5")
    assert [code for _, code, _ in report.rejected] == ["corrupt"]
    path.write_bytes(data[: len(data) // 2])
    assert "is not a zip archive, or is damaged" in say(path, tmp_path / "other")


def test_arrays_give_their_images(tmp_path, lfw_images):
    labels = np.repeat([1, 0], 100)
    np.savez(tmp_path / "a.npz", images=lfw_images, labels=labels, classes=np.array(["no", "yes"]))
    ingest(tmp_path / "a.npz", tmp_path / "npz.h5")
    with Dataset.open(tmp_path / "npz.h5") as data:
        assert data.classes == ("no", "yes")
        assert (data.labels == labels).all()
        assert (data.images[..., 0] == lfw_images).all()
    np.save(tmp_path / "b.npy", lfw_images / np.float32(255))
    report = ingest(tmp_path / "b.npy", tmp_path / "npy.h5")
    assert report.unlabelled == 200
    with Dataset.open(tmp_path / "npy.h5") as data:
        assert (data.images[..., 0] == lfw_images).all()


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.uint16, [0, 257, 65535], [0, 1, 255]),
        (np.float64, [0, 0.5, 1], [0, 128, 255]),
        (np.float32, [0, 100.4, 255], [0, 100, 255]),
        (bool, [0, 1, 1], [0, 255, 255]),
        (np.int64, [0, 7, 255], [0, 7, 255]),
    ],
)
def test_array_values_come_to_8_bits(tmp_path, dtype, values, expected):
    images = np.resize(np.array(values, dtype=dtype), (2, 3, 3))
    np.save(tmp_path / "a.npy", images)
    ingest(tmp_path / "a.npy", tmp_path / "out.h5")
    with Dataset.open(tmp_path / "out.h5") as data:
        assert (data.images[..., 0] == np.resize(expected, (2, 3, 3))).all()


def test_bad_arrays(tmp_path, lfw_images):
    def npz(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return say(tmp_path / "a.npz", tmp_path)

    assert "200 images and 199 labels" in npz(images=lfw_images, labels=np.zeros(199))
    assert "Python objects" in npz(images=np.array([lfw_images, None], dtype=object), labels=np.zeros(2))
    assert "no images under a known name; found: photos" in npz(photos=lfw_images)
    assert "has shape (200, 625)" in npz(images=lfw_images.reshape(200, -1))
    assert "label 3 has no class name" in npz(images=lfw_images, labels=np.full(200, 3), classes=np.array(["a", "b"]))
    assert "not whole numbers" in npz(images=lfw_images, labels=np.full(200, 0.5))
    assert "values from" in npz(images=np.full((3, 4, 4), np.nan))
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(data[:100])
    assert "cannot be read" in say(tmp_path / "a.npz", tmp_path)
    (tmp_path / "a.npz").write_text("hello")
    assert "cannot be read" in say(tmp_path / "a.npz", tmp_path)


def write_course(folder, images, labels, n_train):
    for name, part in (("train", slice(n_train)), ("test", slice(n_train, None))):
        with h5py.File(folder / f"{name}_catvnoncat.h5", "w") as file:
            file[f"{name}_set_x"] = images[part]
            file[f"{name}_set_y"] = labels[part]
            file["list_classes"] = np.array([b"non-cat", b"cat"])
    return folder


def test_the_layout_of_the_course(tmp_path, lfw_images):
    images = np.repeat(lfw_images[..., None], 3, axis=3)
    labels = np.tile([0, 1], 100)
    (tmp_path / "cats").mkdir()
    folder = write_course(tmp_path / "cats", images, labels, 160)
    for location in (folder, folder / "train_catvnoncat.h5", folder / "test_catvnoncat.h5"):
        report = ingest(location, tmp_path / "out.h5", options=IngestOptions(overwrite=True))
        assert report.splits == {"train": 136, "validation": 24, "test": 40, "unlabelled": 0, "dropped": 0}
        with Dataset.open(tmp_path / "out.h5") as data:
            assert data.classes == ("non-cat", "cat")
            assert (data.labels == labels).all()
            assert (data.images[..., 0] == lfw_images).all()
            assert (data.split[160:] == 2).all()
    with Dataset.open(folder / "train_catvnoncat.h5") as course, Dataset.open(tmp_path / "out.h5") as data:
        assert course.fingerprint == data.fingerprint
        assert (course.X == data.X).all()
    with h5py.File(folder / "test_catvnoncat.h5", "r+") as file:
        del file["test_set_y"]
        file["test_set_y"] = np.zeros(3)
    assert "40 images and 3 labels" in say(folder, tmp_path / "bad")
    (folder / "test_catvnoncat.h5").unlink()
    assert ingest(folder, tmp_path / "one.h5").splits["test"] == 24  # only a training set: divided as usual


def test_a_data_set_is_a_source_too(face_folder, tmp_path):
    ingest(face_folder, tmp_path / "one.h5")
    report = ingest(tmp_path / "one.h5", tmp_path / "small.h5", DataConfig(size="12"))
    assert (report.geometry.height, report.geometry.width) == (12, 12)
    with Dataset.open(tmp_path / "one.h5") as one, Dataset.open(tmp_path / "small.h5") as small:
        assert (one.split == small.split).all()
        assert (one.labels == small.labels).all()
        assert (one.paths == small.paths).all()


def test_digits_and_lfw_subset_need_no_network(tmp_path):
    report = ingest("digits", tmp_path / "digits.h5")
    assert len(report.classes) == 10
    assert report.ingested == 1797
    images, labels, classes = load_named("lfw_subset")
    assert images.shape == (200, 25, 25, 1)
    assert classes[labels[0]] == "face"
    with pytest.raises(InputError, match="no known set"):
        load_named("cats")


def test_downloaded_sets_are_read_from_a_prepared_cache(tmp_path, monkeypatch, lfw_images):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # a port that answers nobody: no network
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(InputError, match="connect to the internet"):
        load_named("olivetti")
    rng = np.random.default_rng(0)
    joblib.dump(rng.random((400, 4096), dtype=np.float32), tmp_path / "olivetti_py3.pkz", compress=6)
    images, labels, classes = load_named("olivetti")
    assert images.shape == (400, 64, 64, 1)
    assert images.max() == 255
    assert np.bincount(labels).tolist() == [10] * 40
    assert len(classes) == 40
    for person, n in (("Ada_Lovelace", 21), ("Emmy_Noether", 22), ("Nobody_Known", 3)):
        folder = tmp_path / "lfw_home" / "lfw_funneled" / person
        folder.mkdir(parents=True)
        for i in range(n):
            face = Image.fromarray(lfw_images[i]).resize((250, 250))
            face.convert("RGB").save(folder / f"{person}_{i + 1:04d}.jpg")
    for name in ("pairsDevTrain.txt", "pairsDevTest.txt", "pairs.txt"):
        (tmp_path / "lfw_home" / name).write_text("")
    images, labels, classes = load_named("lfw")
    assert images.shape == (43, 62, 47, 1)
    assert classes == ("Ada Lovelace", "Emmy Noether")
    assert images.max() > 100


def test_groups_by_folder_and_by_pattern(face_folder, tmp_path):
    for path in sorted(face_folder.rglob("*.png")):
        path.rename(path.with_name(f"S{int(path.stem) // 8}_{path.name}"))

    def sides(group_by, key):
        ingest(face_folder, tmp_path / "out.h5", DataConfig(group_by=group_by), IngestOptions(overwrite=True))
        with Dataset.open(tmp_path / "out.h5") as data:
            found = {}
            for path, split in zip(data.paths, data.split, strict=True):
                found.setdefault(key(path), set()).add(int(split))
        return found

    assert all(len(side) == 1 for side in sides(r"/S\d+", lambda path: path.split("_")[0].split("/")[1]).values())
    assert all(len(side) == 1 for side in sides(r"/S(\d+)_", lambda path: path.split("_")[0].split("/")[1]).values())
    for path in sorted(face_folder.rglob("*.png")):
        folder = path.with_name(path.name.split("_")[0])
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
    assert all(len(side) == 1 for side in sides("folder", lambda path: path.rpartition("/")[0]).values())


def test_groupings_that_cannot_work(face_folder, manifest, tmp_path):
    assert "all images belong to one group" in say(face_folder, tmp_path, group_by="folder")
    assert "is found in no path" in say(face_folder, tmp_path, group_by="person")
    assert "is not a pattern" in say(face_folder, tmp_path, group_by="(")
    assert "columns of the manifest: path, label" in say(manifest(), tmp_path, group_by="person")
    rows = [(f"{name}/{i:03d}.png", name, f"p{i // 9}") for name in ("face", "other") for i in range(90)]
    report = ingest(manifest(rows, ("path", "label", "person")), tmp_path / "out.h5", DataConfig(group_by="person"))
    assert report.groups == 10
    assert report.random_split_leaks > 20


def test_what_is_no_source(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    assert "is not a source of images" in say(tmp_path / "a.txt", tmp_path)
    assert "no such file or folder" in say("nonsense", tmp_path)
    assert open_source("lfw_subset").kind == "lfw_subset"


def test_an_archive_of_nothing(tmp_path, face_folder):
    shutil.rmtree(face_folder / "face")
    shutil.rmtree(face_folder / "other")
    assert "holds no images" in say(make_zip(tmp_path / "a.zip", face_folder), tmp_path)
