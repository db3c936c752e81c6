"""Untrusted HDF5 files: whatever they hold, they are rejected with one message, and no other file is opened."""

import errno
import fcntl
import json
import shutil

import h5py
import numpy as np
import pytest

from model.errors import FormatError
from model.storage.checkpoint import load_state
from model.storage.hdf5 import attribute, open_file, read_text, write_attribute, write_text
from model.storage.kinds import has_format
from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.ingestion.ingest import ingest
from pipeline.sources.open import open_source

TRILLION = 10**12


@pytest.fixture(scope="session")
def originals(tmp_path_factory, faces, run_path, lfw_images):
    """Return one good file of every kind, and another that untrusted files refer to."""
    folder = tmp_path_factory.mktemp("originals")
    ingest(faces, folder / "data set.h5")
    shutil.copy(run_path / "model.h5", folder / "model.h5")
    shutil.copy(run_path / "checkpoint.h5", folder / "checkpoint.h5")
    with h5py.File(folder / "course.h5", "w") as file:
        file["train_set_x"] = np.repeat(lfw_images[::10][..., None], 3, axis=3)
        file["train_set_y"] = np.arange(20) // 10
        file["list_classes"] = np.array([b"non-cat", b"cat"])
    with h5py.File(folder / "other.h5", "w") as file:
        file["x"] = np.zeros((20, 25, 25, 3), dtype=np.uint8)
    (folder / "raw").write_bytes(bytes(10_000_000))
    return folder


READERS = {
    "data set": Dataset.open,
    "course": open_source,
    "model": ImageClassifier.load,
    "checkpoint": load_state,
}
ARRAYS = {
    "data set": ("images", "paths"),
    "course": ("train_set_x", "list_classes"),
    "model": ("layers/1/W", "classes"),
    "checkpoint": ("moments", "progress"),
}
KIND_AND_NAME = [(kind, name) for kind, names in ARRAYS.items() for name in names]


def external_link(file, name, folder):
    file[name] = h5py.ExternalLink(str(folder / "other.h5"), "x")


def soft_link_to_itself(file, name, folder):
    file[name] = h5py.SoftLink(f"/{name}")


def external_storage(file, name, folder):
    file.create_dataset(name, (20, 25, 25, 3), np.uint8, external=[(str(folder / "raw"), 0, 10_000_000)])


def virtual(file, name, folder):
    layout = h5py.VirtualLayout((20, 25, 25, 3), np.uint8)
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "x", shape=(20, 25, 25, 3))
    file.create_virtual_dataset(name, layout)


def never_written(file, name, folder):
    file.create_dataset(name, (TRILLION, 25, 25, 3), np.uint8)


def chunks_never_written(file, name, folder):
    file.create_dataset(name, (TRILLION,), np.float32, chunks=(1 << 20,), compression="gzip")


def a_chunk_too_large(file, name, folder):
    file.create_dataset(name, (20, 25), np.uint8, maxshape=(None, None), chunks=(1 << 15, 1 << 15), compression="gzip")


def bomb(file, name, folder):
    file.create_dataset(name, data=np.zeros(1 << 26, np.uint8), chunks=(1 << 24,), compression="gzip")


def text_bomb(file, name, folder):
    file.create_dataset(name, (1 << 30,), h5py.string_dtype("utf-8", 1 << 10), chunks=(1,))


def references(file, name, folder):
    file.create_dataset(name, data=[file.ref], dtype=h5py.ref_dtype)


def variable_numbers(file, name, folder):
    file.create_dataset(name, (3,), h5py.vlen_dtype(np.uint8))


def variable_text(file, name, folder):
    file[name] = ["a", "b"]


def compound(file, name, folder):
    file[name] = np.zeros(3, dtype=[("a", "f4"), ("b", "i4")])


def complex_numbers(file, name, folder):
    file[name] = np.zeros((20, 25, 25, 3), complex)


def empty(file, name, folder):
    file[name] = h5py.Empty("f4")


def group_of_itself(file, name, folder):
    group = file.create_group(name)
    group["again"] = group


def group_of_everything(file, name, folder):
    file[name] = file["/"]


def nothing(file, name, folder):
    pass


@pytest.mark.parametrize(("kind", "name"), KIND_AND_NAME, ids=str)
@pytest.mark.parametrize(
    "put",
    [
        external_link,
        soft_link_to_itself,
        external_storage,
        virtual,
        never_written,
        chunks_never_written,
        a_chunk_too_large,
        bomb,
        text_bomb,
        references,
        variable_numbers,
        variable_text,
        compound,
        complex_numbers,
        empty,
        group_of_itself,
        group_of_everything,
        nothing,
    ],
)
def test_an_untrusted_file_with_forbidden_contents_raises(originals, tmp_path, kind, name, put):
    path = tmp_path / "untrusted.h5"
    shutil.copy(originals / f"{kind}.h5", path)
    with h5py.File(path, "r+") as file:
        del file[name]
        put(file, name, originals)
    if put is nothing and name == "list_classes":  # optional in a course file
        READERS[kind](path)
        return
    with pytest.raises((InputError, FormatError), match=r"untrusted\.h5: ") as caught:
        READERS[kind](path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("put", [external_link, soft_link_to_itself, external_storage, virtual, never_written])
def test_forbidden_contents_that_are_not_needed_raise_too(originals, tmp_path, kind, put):
    path = tmp_path / "untrusted.h5"
    shutil.copy(originals / f"{kind}.h5", path)
    with h5py.File(path, "r+") as file:
        put(file, "deep/in/it", originals)
    with pytest.raises((InputError, FormatError), match=r"untrusted\.h5: /?deep/in"):
        READERS[kind](path)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.slow
def test_too_many_objects_raise(originals, tmp_path, kind):
    path = tmp_path / "untrusted.h5"
    shutil.copy(originals / f"{kind}.h5", path)
    with h5py.File(path, "r+") as file:
        for i in range(10_000):
            file.create_group(f"many/{i}")
    with pytest.raises((InputError, FormatError), match="more than 10000 objects"):
        READERS[kind](path)


TEXTS = {
    "no JSON": "{",
    "another type": "[1, 2]",
    "null": "null",
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "digits": "1" * 10_000,
    "infinite": '{"height": 1e999, "width": 25, "color": "gray", "fit": "crop"}',
    "fraction": '{"height": 12.5, "width": 50, "color": "gray", "fit": "crop"}',
    "NaN": '{"height": NaN, "width": 25}',
    "nested": '{"hidden": [[4]], "images": [], "n_classes": [2], "epoch": "x", "color": {"a": []}}',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("model", name) for name in ("geometry", "classes", "network_config", "calibration/facts")),
        *(("checkpoint", name) for name in ("network_config", "training_config", "progress")),
    ],
)
def test_settings_that_cannot_be_parsed_raise(originals, tmp_path, kind, name, text):
    path = tmp_path / "untrusted.h5"
    shutil.copy(originals / f"{kind}.h5", path)
    with h5py.File(path, "r+") as file:
        if name not in file:
            pytest.skip("not in this model")
        del file[name]
        write_text(file, name, [text])
    try:
        READERS[kind](path)
    except (InputError, FormatError) as error:
        assert "\n" not in str(error)  # noqa: PT017 (some of the texts are valid settings)


@pytest.mark.parametrize("text", [text for text in TEXTS.values() if len(text) < 60_000])
@pytest.mark.parametrize("name", ["geometry", "config", "counts", "format", "fingerprint", "version"])
def test_attributes_that_cannot_be_parsed_raise(originals, tmp_path, name, text):
    path = tmp_path / "untrusted.h5"
    shutil.copy(originals / "data set.h5", path)
    for value in (text, [text, text], 3.5, np.zeros((2, 2))):
        with h5py.File(path, "r+") as file:
            del file.attrs[name]
            if isinstance(value, str):
                write_attribute(file, name, value)
            else:
                file.attrs[name] = value
        try:
            Dataset.open(path).close()
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert isinstance(value, str)


@pytest.mark.parametrize("fault", ["nan", "inf", "W narrower", "no layer", "layers swapped", "negative variance"])
@pytest.mark.parametrize(("kind", "where"), [("model", "/"), ("checkpoint", "parameters"), ("checkpoint", "best")])
def test_weights_that_do_not_fit_or_are_not_finite_raise(originals, tmp_path, kind, where, fault):
    path = tmp_path / "untrusted.h5"
    shutil.copy(originals / f"{kind}.h5", path)
    with h5py.File(path, "r+") as file:
        layers = file[where]["layers"]
        if fault in ("nan", "inf"):
            layers["2/W"][0, 0] = float(fault)
        elif fault == "W narrower":
            W = layers["1/W"][:, :-1]
            del layers["1/W"]
            layers["1/W"] = W
        elif fault == "no layer":
            del layers["1"]
        elif fault == "layers swapped":
            layers.move("1", "x")
            layers.move("2", "1")
            layers.move("x", "2")
        elif "running_variance" in layers["1"]:
            layers["1/running_variance"][:] = -1
        else:
            pytest.skip("the network has no batch normalisation")
    with pytest.raises(FormatError, match=r"untrusted\.h5: "):
        READERS[kind](path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", 2),
        ("labels", -2),
        ("split", 9),
        ("kind", 40),
        ("thumbnail_of", 9999),
    ],
)
def test_values_out_of_range_raise(originals, tmp_path, name, value):
    path = tmp_path / "untrusted.h5"
    shutil.copy(originals / "data set.h5", path)
    with h5py.File(path, "r+") as file:
        if not len(file[name]):
            pytest.skip("the data set has none")
        file[name][0] = value
    with pytest.raises(InputError, match=f"damaged data set .*{name}"):
        Dataset.open(path)


def test_damage_found_while_reading_raises_one_message(originals, tmp_path):
    path = tmp_path / "untrusted.h5"
    shutil.copy(originals / "data set.h5", path)
    with h5py.File(path, "r") as file:
        position = file["paths"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with Dataset.open(path) as data, pytest.raises(InputError, match="damaged data set"):
        data.paths  # noqa: B018


def test_texts_come_back(tmp_path):
    texts = ["", "ein Bär", "🐝" * 50, "x" * 2_000_000]
    with h5py.File(tmp_path / "t.h5", "w") as file:
        write_text(file, "texts", texts)
        write_text(file, "none", [])
        write_text(file, "empty", [""] * 3)
        write_attribute(file, "facts", json.dumps({"ü": 1}))
    with open_file(tmp_path / "t.h5") as file:
        assert read_text(file["texts"]).tolist() == texts
        assert read_text(file["none"]).tolist() == []
        assert read_text(file["empty"]).tolist() == ["", "", ""]
        assert json.loads(attribute(file, "facts")) == {"ü": 1}
        assert attribute(file, "nothing") is None


@pytest.mark.parametrize("kind", ["data set", "model", "checkpoint", "course"])
def test_a_file_that_another_program_has_open_is_not_called_broken(originals, tmp_path, kind):
    path = shutil.copy(originals / f"{kind}.h5", tmp_path)
    with open(path, "rb") as file:  # noqa: PTH123
        fcntl.flock(file, fcntl.LOCK_EX)  # as HDF5 does if it opens a file for writing
        with pytest.raises((FormatError, InputError), match="is open for writing in another program"):
            READERS[kind](path)
        assert has_format(path, f"facette-{kind.replace(' ', '')}") == (kind != "course")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOLCK, "unable to lock file"), r"cannot be locked \(No locks available\)"),
        (OSError(errno.EIO, "file read failed"), r"cannot be read \(Input/output error\)"),
    ],
)
def test_what_the_system_says_about_a_file_is_passed_on(originals, monkeypatch, error, message):
    def refused(*_, **__):
        raise error

    monkeypatch.setattr(h5py, "File", refused)
    with pytest.raises(FormatError, match=message):
        open_file(originals / "model.h5")
