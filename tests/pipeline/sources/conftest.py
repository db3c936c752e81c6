"""What the tests of all kinds of sources share."""

import csv
import zipfile

import pytest

from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.ingestion.ingest import ingest


@pytest.fixture
def error_of(tmp_path):
    """Return a function that ingests what must be rejected, and returns the message."""

    def error_of(location, **options):
        target = tmp_path / "rejected.h5"
        with pytest.raises(InputError) as caught:
            ingest(location, target, DataConfig(**options))
        assert not target.exists()
        return str(caught.value)

    return error_of


@pytest.fixture
def content():
    """Return a function from a data set file to {pixels: (class, split)} of its images."""

    def content(path):
        with Dataset.open(path) as data:
            images = data.images[:]
            return {
                images[i].tobytes(): (data.classes[label] if label >= 0 else "", int(data.split[i]))
                for i, label in enumerate(data.labels)
            }

    return content


@pytest.fixture
def manifest(face_folder):
    """Return a function that writes a manifest of the face folder, or one with any rows."""

    def write(rows=None, columns=("path", "label"), name="table.csv"):
        if rows is None:
            rows = [(path.relative_to(face_folder), path.parent.name) for path in sorted(face_folder.rglob("*.png"))]
        with (face_folder / name).open("w", newline="") as file:
            table = csv.writer(file, delimiter="\t" if name.endswith("tsv") else ",")
            table.writerows([columns, *rows])
        return face_folder / name

    return write


@pytest.fixture
def zip_of():
    """Return a function that writes a zip archive of a folder, with a prefix and further members."""

    def zip_of(path, folder, prefix="", extra=()):
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    archive.write(file, prefix + file.relative_to(folder).as_posix())
            for name, data in extra:
                archive.writestr(name, data, compress_type=zipfile.ZIP_DEFLATED)
        return path

    return zip_of
