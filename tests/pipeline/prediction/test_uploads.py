import io
import unicodedata

import numpy as np
import pytest
from PIL import Image

from pipeline.classifier import ImageClassifier
from pipeline.images.encode import to_png
from pipeline.images.geometry import Geometry
from pipeline.prediction.inputs import Item
from pipeline.prediction.predict import Settings, predict
from pipeline.prediction.uploads import SHOWN_SIDE, Upload, classify_uploads, from_folder, loss_by_fit, part_box


def test_rows_are_those_of_predict(model, photo_image, tmp_path):
    classifier = ImageClassifier.load(model)
    data = io.BytesIO()
    photo_image.save(data, format="jpeg")
    files = {"good.jpg": data.getvalue(), "cut.jpg": data.getvalue()[:9000], "words.png": b"words", "empty.gif": b""}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    expected = list(predict(classifier, [Item(tmp_path / name, name) for name in files], Settings(topk=2)))
    results = classify_uploads(classifier, [Upload(name, content) for name, content in files.items()])
    for row, result in zip(expected, results, strict=True):
        assert result.row == row
        assert (result.shown is None) == (row.status == "error")
    assert results[0].size == (photo_image.height, photo_image.width)
    assert max(results[0].shown.size) <= SHOWN_SIDE
    assert results[0].network_image.shape == classifier.geometry.shape


def test_it_abstains_on_what_predict_abstains_on_and_says_why(run_path, faces, tmp_path):
    classifier = ImageClassifier.load(run_path)
    files = sorted(faces.rglob("*.png"))[::4]
    for i in range(5):
        files.append(tmp_path / f"noise {i}.png")
        Image.effect_noise((25, 25), 200).save(files[-1])
    settings = Settings(topk=2, uncertainty_threshold=classifier.uncertainty_threshold(0.3))
    expected = list(predict(classifier, [Item(path, path.name) for path in files], settings))
    results = classify_uploads(classifier, [Upload(path.name, path.read_bytes()) for path in files], reject=0.3)
    for row, result in zip(expected, results, strict=True):
        assert result.row.status == row.status
        assert dict(result.row.ranking) == pytest.approx(dict(row.ranking), abs=1e-6)
        assert (result.reason != "") == (row.status == "abstain")
    reasons = [result.reason for result in results]
    assert {"", "unsure"} <= set(reasons) <= {"", "unsure", "unlike"}


def test_too_many_pixels_are_refused(model, photo_image):
    data = io.BytesIO()
    photo_image.save(data, format="png")
    (result,) = classify_uploads(ImageClassifier.load(model), [Upload("p.png", data.getvalue())], max_pixels=1000)
    assert result.row.error_code == "too_large"


def test_nothing_to_classify(model):
    assert classify_uploads(ImageClassifier.load(model), []) == []


@pytest.mark.parametrize(("size", "word"), [((25, 25), ""), ((25, 28), ""), ((25, 50), "wide"), ((50, 25), "tall")])
def test_an_image_far_from_the_models_shape_gets_a_hint(size, word, model):
    hint = loss_by_fit(size, ImageClassifier.load(model))
    assert word in hint
    assert bool(hint) == bool(word)
    assert not word or "50%" in hint


@pytest.mark.parametrize("share", [1, 0.5, 0.01])
@pytest.mark.parametrize(("across", "down"), [(0, 0), (1, 1), (0.5, 0.2)])
def test_a_part_lies_inside_the_image_and_has_the_models_aspect(share, across, down):
    left, top, right, bottom = part_box((300, 700), Geometry(20, 40), share, across, down)
    assert 0 <= left < right <= 700
    assert 0 <= top < bottom <= 300
    assert (right - left) == pytest.approx(2 * (bottom - top), abs=1)
    assert bottom - top == max(1, round(300 * share))
    assert (left == 0) == (across == 0)
    assert (right == 700) == (across == 1)


def test_png_keeps_every_pixel():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(to_png(image)))), image)


def test_a_large_jpeg_is_shown_small_and_its_size_told(model, photo_image):
    data = io.BytesIO()
    photo_image.resize((3001, 2003)).save(data, format="jpeg")
    (result,) = classify_uploads(ImageClassifier.load(model), [Upload("large.jpg", data.getvalue())])
    assert result.size == (2003, 3001)
    assert result.shown.width == SHOWN_SIDE
    assert result.shown.height == pytest.approx(SHOWN_SIDE * 2003 / 3001, abs=1)


def test_folders_give_the_true_labels_in_either_unicode_form():
    composed, apart = (unicodedata.normalize(form, "Bär") for form in ("NFC", "NFD"))
    files = [(f"photos/{apart}/1.png", b""), (f"photos/{composed}/2.png", b""), ("photos/x/.hidden", b"")]
    for name in (composed, apart):
        uploads, n_ignored = from_folder(files, [name])
        assert [upload.true_label for upload in uploads] == [name, name]
        assert n_ignored == 1


def test_a_document_in_a_folder_is_left_out():
    files = [
        ("photos/README.md", b"about these images"),
        ("photos/a.png", b"broken"),
        ("photos/notes.txt", b"\x89PNG\r\n\x1a\n"),
    ]
    uploads, n_ignored = from_folder(files, ())
    assert [upload.name for upload in uploads] == [
        "photos/a.png",
        "photos/notes.txt",
    ]  # its content says that it is one
    assert n_ignored == 1
