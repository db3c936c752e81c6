"""Checkpoints: everything comes back exactly, and a bad file raises one clear error."""

import dataclasses

import h5py
import numpy as np
import pytest
from sklearn.datasets import load_digits

from model.batches import ArrayBatches
from model.config import NetworkConfig, TrainingConfig
from model.errors import FormatError
from model.folding import fold_batch_norm
from model.network import class_probabilities
from model.optimizers import OPTIMIZERS
from model.storage.checkpoint import (
    CHECKPOINT_FORMAT,
    create,
    load_state,
    opened,
    read_json,
    read_layers,
    save_state,
    write_json,
    write_layers,
)
from model.storage.hdf5 import write_attribute, write_text
from model.training import start, train


@pytest.fixture(scope="module")
def source():
    X, labels = load_digits(return_X_y=True)
    return ArrayBatches(np.asfortranarray((X[:200] / 16).astype(np.float32).T), labels[:200])


def trained(source, epochs=2, **fields):
    network = NetworkConfig(hidden=(9, 7), dropout=0.1, batch_norm=fields.pop("batch_norm", True))
    training = TrainingConfig(**{"epochs": 4, "average": 0.9, "layer_rates": (0.5, 1.0, 1.0), **fields})
    state = start(network, training, n_x=64, m=200, n_classes=10)
    for _ in range(epochs):
        next(train(state, source, source))
    return state


@pytest.fixture
def saved(source, tmp_path):
    state = trained(source)
    path = tmp_path / "checkpoint.h5"
    save_state(state, path, {"note": "möglich", "list": [1, 2]})
    return state, path


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("fields", [{}, {"dtype": "float64"}, {"average": 0.0, "batch_norm": False}], ids=str)
def test_a_loaded_run_is_equal_and_resumes_exactly(source, tmp_path, optimizer, fields):
    state = trained(source, optimizer=optimizer, **fields)
    save_state(state, tmp_path / "c.h5")
    again, extra, _ = load_state(tmp_path / "c.h5")
    assert extra == {}
    for name in ("network", "training", "n_classes", "epoch", "step", "history"):
        assert getattr(again, name) == getattr(state, name)
    list(train(state, source, source))
    list(train(again, source, source))
    for name in ("parameters", "average", "best"):
        expected, found = getattr(state, name), getattr(again, name)
        assert (expected is None) == (found is None)
        if expected is not None:
            assert expected.flat.dtype == found.flat.dtype
            np.testing.assert_array_equal(expected.flat, found.flat)
            np.testing.assert_array_equal(expected.running, found.running)
    np.testing.assert_array_equal(state.moments, again.moments)


def test_a_run_of_0_epochs_can_be_saved_and_loaded(source, tmp_path):
    state = trained(source, epochs=0)
    save_state(state, tmp_path / "c.h5")
    again, _, _ = load_state(tmp_path / "c.h5")
    assert again.history == []
    np.testing.assert_array_equal(again.parameters.flat, state.parameters.flat)


def test_extra_and_arrays_of_a_run_come_back(saved):
    assert load_state(saved[1])[1] == {"note": "möglich", "list": [1, 2]}


def test_the_layers_of_a_network_come_back_folded_or_not(source, tmp_path):
    state = trained(source)
    X = next(source.batches(200, None)).X
    expected = class_probabilities(X, state.parameters, state.network)
    for parameters, config in ((state.parameters, state.network), fold_batch_norm(state.parameters, state.network)):
        with create(tmp_path / "m.h5", "facette-test", 3) as file:
            write_layers(file, parameters)
            write_json(file, "what", "this")
        with opened(tmp_path / "m.h5", "facette-test", 3) as file:
            again = read_layers(file)
            assert read_json(file, "what") == "this"
        np.testing.assert_array_equal(again.flat, parameters.flat)
        np.testing.assert_allclose(class_probabilities(X, again, config), expected, atol=1e-6)


def test_text_longer_than_an_hdf5_attribute_comes_back(source, tmp_path):
    state = trained(source)
    save_state(state, tmp_path / "c.h5", {"classes": ["a long name" * 10] * 5000})
    assert len(load_state(tmp_path / "c.h5")[1]["classes"]) == 5000


def test_a_failed_save_leaves_the_old_file_and_no_other(saved):
    state, path = saved
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_state(state, path, {"not json": object()})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_saving_into_a_missing_folder_raises(saved, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"c\.h5: there is no folder .*nowhere"):
        save_state(saved[0], tmp_path / "nowhere" / "c.h5")


def test_loading_a_missing_file_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"c\.h5: there is no such file"):
        load_state(tmp_path / "c.h5")


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all", b"\x89HDF\r\n\x1a\n"])
def test_a_file_that_is_not_hdf5_raises(tmp_path, content):
    (tmp_path / "c.h5").write_bytes(content)
    with pytest.raises(
        FormatError, match=r"c\.h5: is (not an|a damaged) HDF5 file, and a checkpoint of a run is needed"
    ):
        load_state(tmp_path / "c.h5")


@pytest.mark.parametrize(
    ("format", "version", "message"),
    [
        ("facette-model", 1, "is a model of Facette, and a checkpoint of a run is needed"),
        (None, 1, "is an HDF5 file of another program, and"),
        ([1, 2], 1, "is an HDF5 file of another program, and"),
        (CHECKPOINT_FORMAT, 99, r"written by a newer version of Facette \(format 99\); update Facette"),
        (CHECKPOINT_FORMAT, "x", "is damaged"),
        (CHECKPOINT_FORMAT, None, "is damaged"),
    ],
)
def test_a_file_of_another_format_or_a_newer_version_raises(saved, format, version, message):
    _, path = saved
    with h5py.File(path, "r+") as file:
        for name, value in (("format", format), ("version", version)):
            del file.attrs[name]
            if isinstance(value, str):
                write_attribute(file, name, value)
            elif value is not None:
                file.attrs[name] = value
    with pytest.raises(FormatError, match=message):
        load_state(path)


def replaced(name, value):
    def change(file):
        del file[name]
        if isinstance(value, str):
            write_text(file, name, [value])
        elif value is not None:
            file[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced("parameters/layers/2", None), "damaged"),
        (replaced("parameters/layers", None), "damaged"),
        (
            replaced("parameters/layers/2/b", np.zeros((3, 1), np.float32)),
            r"layer 2: b has shape \(3, 1\), expected \(7, 1",
        ),
        (
            replaced("parameters/layers/2/W", np.zeros((7, 5), np.float32)),
            r"layer 2: W has shape \(7, 5\), expected \(7, 9",
        ),
        (replaced("parameters/layers/1/W", np.zeros(7, np.float32)), "a layer's W is not a matrix"),
        (replaced("parameters/layers/1/W", np.zeros((9, 64), np.int32)), "W has dtype int32, expected float32"),
        (replaced("best/layers/1/W", np.full((9, 64), np.nan, np.float32)), "a weight is NaN or infinite"),
        (replaced("moments", np.zeros((2, 5), np.float32)), "contradict one another"),
        (replaced("moments", None), "damaged"),
        (replaced("history/epoch", None), "damaged"),
        (replaced("progress", "{not json"), "damaged"),
        (replaced("progress", '{"n_classes": 10, "epoch": 7, "step": 3}'), "contradict one another"),
        (replaced("progress", '{"n_classes": 10}'), "damaged"),
        (replaced("network_config", '{"hidden": [4], "activation": "relux"}'), "damaged.*relux"),
        (replaced("network_config", "[]"), "damaged"),
    ],
)
def test_missing_or_contradictory_contents_raise(saved, change, message):
    _, path = saved
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(FormatError, match=message) as error:
        load_state(path)
    assert path.name in str(error.value)


@pytest.mark.slow
def test_any_damage_raises_or_is_harmless(saved, tmp_path):
    """Cut short, bits flipped, ranges overwritten: never a wrong weight, and never another error than FormatError."""
    state, path = saved
    good, damaged = path.read_bytes(), tmp_path / "damaged.h5"
    rng, n_errors = np.random.default_rng(0), 0
    for trial in range(300):
        content, position = bytearray(good), int(rng.integers(len(good)))
        if trial % 3 == 0:
            del content[position:]
        elif trial % 3 == 1:
            content[position] ^= 1 << int(rng.integers(8))
        else:
            content[position : position + 50] = rng.bytes(len(content[position : position + 50]))
        damaged.write_bytes(content)
        try:
            again, _, _ = load_state(damaged)
        except FormatError:
            n_errors += 1
            continue
        np.testing.assert_array_equal(again.parameters.flat, state.parameters.flat)
        np.testing.assert_array_equal(again.best.flat, state.best.flat)
        np.testing.assert_array_equal(again.moments, state.moments)
    assert n_errors > 200


def test_a_configuration_field_of_a_later_version_is_ignored(saved):
    state, path = saved
    with h5py.File(path, "r+") as file:
        stored = read_json(file, "training_config")
        del file["training_config"]
        write_json(file, "training_config", {**stored, "of_the_future": 3})
    assert load_state(path)[0].training == state.training


def test_a_finished_run_can_resume_for_more_epochs(source, saved):
    state, _, _ = load_state(saved[1])
    list(train(state, source, source))
    assert state.is_finished
    state.training = dataclasses.replace(state.training, epochs=6)
    assert len(list(train(state, source, source))) == 2
