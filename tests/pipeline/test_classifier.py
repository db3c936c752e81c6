"""The image classifier and its model file."""

from __future__ import annotations

import dataclasses
import io
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

from model.errors import FormatError
from model.network import class_probabilities
from model.storage.checkpoint import read_json, write_json
from model.storage.hdf5 import write_attribute
from pipeline.classifier import PROVENANCE, ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.images.errors import ImageError
from pipeline.training.resume import resume


def test_saved_network_equals_the_trained_one_with_everything_folded(run_path):
    classifier = ImageClassifier.load(run_path)
    run = resume(run_path)
    with run.dataset:
        images, _ = run.dataset.read("test")
        unfolded = class_probabilities(run.preprocessor.apply(images), run.state.result, run.state.network)

    assert not classifier.network.batch_norm
    assert classifier.preprocessor.shift is None
    np.testing.assert_allclose(classifier.probabilities(images), unfolded, atol=2e-6)


def test_saving_and_loading_keeps_everything(run_path, tmp_path):
    first = ImageClassifier.load(run_path)
    first.save(tmp_path / "copy.h5")
    second = ImageClassifier.load(tmp_path / "copy.h5")

    assert second.model_id == first.model_id
    for name in ("classes", "network", "training", "history", "provenance", "geometry"):
        assert getattr(second, name) == getattr(first, name)
    np.testing.assert_array_equal(second.parameters.flat, first.parameters.flat)
    np.testing.assert_array_equal(second.trained_on, first.trained_on)


def test_model_id_changes_with_the_weights(run_path):
    classifier = ImageClassifier.load(run_path)
    parameters = classifier.parameters.copy()
    parameters.flat[0] += 1
    assert dataclasses.replace(classifier, parameters=parameters).model_id != classifier.model_id


def test_one_image_and_many_get_the_same_probabilities(run_path, faces):
    classifier = ImageClassifier.load(run_path)
    paths = sorted((faces / "face").iterdir())[:70]
    images = np.stack([np.asarray(Image.open(path)) for path in paths])[..., None]
    together = classifier.probabilities(images)

    alone = [classifier.classify(path)["face"] for path in paths]

    assert alone == together[classifier.classes.index("face")].tolist()  # to the last digit
    for n in (1, 2, 3, 17, 64, 65):
        assert (classifier.probabilities(images[-n:]) == together[:, -n:]).all()
    np.testing.assert_allclose(together.sum(axis=0), 1, atol=1e-6)


def test_classify_takes_any_size_and_colour(run_path, faces):
    classifier = ImageClassifier.load(run_path)
    path = faces / "face" / "0003.png"
    large = Image.open(path).resize((250, 250), Image.Resampling.NEAREST).convert("RGBA")

    data = io.BytesIO()
    large.save(data, "png")
    ranked = classifier.classify(data.getvalue())

    assert list(ranked) == sorted(ranked, key=ranked.get, reverse=True)
    assert ranked["face"] == pytest.approx(classifier.classify(path)["face"], abs=0.05)


def test_classify_raises_the_code_of_a_file_that_is_no_image(run_path, tmp_path):
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(ImageError) as caught:
        ImageClassifier.load(run_path).classify(tmp_path / "text.jpg")
    assert caught.value.code == "not_an_image"


def test_was_trained_on_is_true_for_all_images_but_the_test_split(run_path):
    classifier = ImageClassifier.load(run_path)
    with Dataset.open(run_path / "data.h5") as dataset:
        found = [classifier.was_trained_on(digest.tobytes()) for digest in dataset.sha256]
        in_training = np.isin(np.arange(len(dataset)), dataset.indices("test"), invert=True)
    np.testing.assert_array_equal(found, in_training)


def change(change_it):
    def spoil(path):
        with h5py.File(path, "r+") as file:
            change_it(file)

    return spoil


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-2000])


def poison(file):
    file["layers/1/W"][0, 0] = np.nan


def misfit(file):
    b = file["layers/2/b"][:-1]
    del file["layers/2/b"]
    file["layers/2/b"] = b


def lose_layer(file):
    del file["layers/2"]


def lose_class(file):
    del file["classes"]
    file["classes"] = '["face"]'


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut_short, "damaged"),
        (lambda path: path.write_text("hello"), "not an HDF5 file"),
        (change(lambda file: write_attribute(file, "format", "other")), "other"),
        (change(lambda file: file.attrs.update(version=99)), "newer version"),
        (change(poison), "NaN"),
        (change(misfit), "shape"),
        (change(lose_layer), "damaged|does not fit|missing"),
        (change(lose_class), "damaged"),
    ],
)
def test_a_damaged_file_raises_one_message_with_its_path(run_path, tmp_path, spoil, message):
    path = tmp_path / "model.h5"
    shutil.copy(run_path / "model.h5", path)
    spoil(path)

    with pytest.raises(FormatError, match=message) as caught:
        ImageClassifier.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_field_of_the_provenance_of_a_run_is_checked(run_path):
    assert set(ImageClassifier.load(run_path).provenance) == set(PROVENANCE)


def put(name, value):
    def write(file):
        del file[name]
        write_json(file, name, value)

    return change(write)


def put_in(table, **fields):
    def write(file):
        changed = {**read_json(file, table), **fields}
        del file[table]
        write_json(file, table, changed)

    return change(write)


def whole_costs(file):
    column = file["history/epoch"][()]
    del file["history/cost"]
    file["history/cost"] = column


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (put("classes", ["face", "half \ud800"]), "classes holds half a character"),
        (put("classes", "ab"), "classes is .*a list"),
        (put("classes", {"face": 1, "other": 2}), "classes is .*a list"),
        (put("classes", ["face", 2]), r"classes\[1\] is 2"),
        (put("classes", ["face", "face"]), "distinct"),
        (put("classes", ["face"]), "two or more"),
        (put("contrast", "false"), "contrast is"),
        (put("provenance", []), "provenance is"),
        (put_in("provenance", created=7), "provenance.created is 7"),
        (put_in("provenance", source=["a"]), "provenance.source"),
        (put_in("provenance", data_fingerprint=None), "provenance.data_fingerprint"),
        (put_in("provenance", versions={"numpy": 2}), "provenance.versions.numpy"),
        (put_in("provenance", images={"test": "3"}), "provenance.images.test"),
        (put_in("provenance", accuracy={"test": float("nan")}), "provenance.accuracy.test"),
        (put_in("provenance", name="\udcff"), "provenance holds half a character"),
        (put_in("geometry", height="25"), "size"),
        (put_in("geometry", color=["gray"]), "damaged"),
        (put_in("network_config", batch_norm="auto"), "not resolved"),
        (put_in("network_config", activation=3), "activation"),
        (put_in("training_config", learning_rate="fast"), "learning_rate"),
        (put_in("training_config", epsilon=10**400), "epsilon"),
        (put_in("pretrain_config", pretrain=None), "pretrain"),
        (put_in("calibration/facts", temperature=0), "temperature"),
        (put_in("calibration/facts", m="many"), "facts.m"),
        (change(whole_costs), "history/cost"),
    ],
)
def test_a_value_of_a_wrong_type_is_one_message_that_names_the_field(run_path, tmp_path, spoil, message):
    test_a_damaged_file_raises_one_message_with_its_path(run_path, tmp_path, spoil, message)


@pytest.mark.parametrize("seed", range(3))
def test_the_outputs_of_an_image_do_not_depend_on_the_images_beside_it(run_path, lfw_images, seed):
    classifier = ImageClassifier.load(run_path)
    images = lfw_images[..., None]
    expected = classifier.probabilities(images)
    uncertainties = classifier.classify_with_uncertainty(images)[1]
    chosen = np.random.default_rng(seed).permutation(len(images))[: 65 + 7 * seed]
    probabilities, uncertainty = classifier.classify_with_uncertainty(images[chosen])
    assert np.array_equal(probabilities, expected[:, chosen])
    assert np.array_equal(uncertainty, uncertainties[chosen])
    for i in chosen[:10]:
        assert np.array_equal(classifier.probabilities(images[i : i + 1])[:, 0], expected[:, i])
        assert np.array_equal(classifier.outputs(images[i : i + 1]).probabilities[:, 0], expected[:, i])
