"""Facette from Python: everything by `import facette`, and errors in Python's words."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facette

ROOT = Path(facette.__file__).parent


@pytest.fixture
def classifier(run_path):
    return facette.ImageClassifier.load(run_path)


@pytest.fixture
def image(faces):
    return faces / "face" / "0000.png"


def test_every_name_is_there_and_costs_nothing_before_it_is_used():
    for name in facette.__all__:
        assert getattr(facette, name) is not None
    with pytest.raises(AttributeError, match="module 'facette' has no 'trian'; it has "):
        facette.trian  # noqa: B018
    code = "import sys, facette; print({'numpy', 'h5py', 'PIL', 'pipeline', 'model'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "set()\n"


def test_an_image_in_any_form_gets_the_same_probabilities(classifier, image):
    expected = classifier.classify(image)
    pixels = np.asarray(Image.open(image))
    forms = [str(image), image.read_bytes(), Image.open(image), pixels, pixels[..., None], pixels / 255, pixels > 300]
    forms[-1] = np.repeat(pixels[..., None], 3, axis=2)
    for form in forms:
        assert classifier.classify(form) == expected


def test_an_image_of_pillow_is_turned_upright_as_a_file_is(classifier, image):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.open(image).convert("RGB").save(file, format="png", exif=exif)
    turned = classifier.classify(file.getvalue())
    assert turned == classifier.classify(Image.open(file))
    assert turned != classifier.classify(image)


def test_many_images_in_any_form(classifier, faces):
    paths = sorted((faces / "face").iterdir())[:5]
    expected = [classifier.classify(path) for path in paths]
    stack = np.stack([np.asarray(Image.open(path)) for path in paths])
    for many in (paths, tuple(map(str, paths)), (path for path in paths), [*stack], stack, np.stack([stack] * 3, 3)):
        assert classifier.classify_many(many) == expected
    assert classifier.classify_many([]) == []


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("classify", "none.png", "none.png: there is no such file"),
        ("classify", np.zeros((4, 4, 4, 3), np.uint8), r"shape \(4, 4, 4, 3\) is no image.*classify_many"),
        ("classify", np.zeros((4, 5, 6), np.uint8), r"shape \(4, 5, 6\) is no image.*classify_many"),
        ("classify", np.zeros(4), r"shape \(4,\) is no image"),
        ("classify", np.array([["a"]]), "an array of <U1 is no image"),
        ("classify", np.full((4, 4), 7.0), r"classifier\.with_scale\("),
        ("classify", ["a.png"], "is of type list; give a path, bytes, an image of Pillow or an array"),
        ("classify", None, "is of type NoneType"),
        ("classify_many", "none.png", "takes many images"),
        ("classify_many", np.zeros((4, 4, 3), np.uint8), "takes many images"),
        ("classify_many", [np.zeros((4, 4)), b"words"], "image 1: "),
        ("classify_many", ["none.png"], "none.png: there is no such file"),
        ("classify_many", 5, "takes many images"),
    ],
)
def test_what_is_no_image_is_said_in_words_of_python(classifier, method, given, message):
    with pytest.raises((facette.InputError, facette.ImageError), match=message) as caught:
        getattr(classifier, method)(given)
    assert "--" not in str(caught.value)


def test_training_takes_one_call(faces, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    epochs = []
    settings = {"epochs": 2, "hidden": [8], "pretrain": "none", "augment": "none", "test": 0.3}
    result = facette.train(faces, on_epoch=epochs.append, **settings)
    assert [record.epoch for record in epochs] == [1, 2]
    assert result.scores["test"].m == 60
    assert result.classifier.network.hidden == (8,)
    assert facette.ImageClassifier.load("runs/faces").model_id == result.classifier.model_id

    with pytest.raises(facette.InputError, match=r"overwrite=True, or resume it with facette\.resume") as caught:
        facette.train(faces, "runs/faces", **settings)
    assert "--" not in str(caught.value)
    with pytest.raises(facette.InputError, match=r"leave out test=0\.2, or ingest") as caught:
        facette.prepare("runs/faces/data.h5", "runs/b", test=0.2)
    assert "--" not in str(caught.value)
    with facette.Dataset.open("runs/faces/data.h5") as dataset:
        assert "runs/faces/data.h5: 200 images, 25x25 gray, 2 classes" in repr(dataset)
    assert repr(dataset) == "<Dataset of 200 images, closed>"
    for thing in (result, result.classifier, facette.resume("runs/faces")):
        assert len(repr(thing)) < 200


def test_files_are_predicted_by_their_paths(classifier, faces):
    rows = list(facette.predict(classifier, [faces / "face", str(faces / "other" / "0100.png"), "none.png"]))
    assert len(rows) == 102
    assert rows[-1].error_code == "not_found"
    assert [row.path for row in facette.predict(classifier, faces / "face" / "0000.png")] == [
        str(faces / "face" / "0000.png")
    ]
