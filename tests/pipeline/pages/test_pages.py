"""The pages' logic, driven without a browser."""

import csv
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

from pipeline.classifier import ImageClassifier
from pipeline.cli.main import main
from pipeline.training.runs import list_runs

PAGES = ("classify.page", "first_layer", "deeper_layers", "data.page", "model")


def show_page(page, runs, model=None):
    from importlib import import_module

    from pipeline.pages.widgets import sidebar

    import_module(f"pipeline.pages.{page}").render(sidebar.choose(runs, model))


@pytest.fixture(autouse=True)
def _no_memory_of_other_tests():
    import streamlit as st

    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def runs(trained, tmp_path):
    """A copy of the run, free to be damaged."""
    return shutil.copytree(trained / "runs", tmp_path / "runs")


def page(name, runs, given=None, **query):
    at = AppTest.from_function(show_page, args=(name, str(runs), given), default_timeout=60)
    for key, value in query.items():
        at.query_params[key] = value
    at.run()
    assert not at.exception, at.exception
    return at


def upload(at, *files):
    at.file_uploader[0].set_value([(name, data, "image/png") for name, data in files])
    at.run()
    assert not at.exception, at.exception
    return at


def words(at):
    """All that a person reads on the page."""
    kinds = (at.title, at.header, at.subheader, at.markdown, at.caption, at.info, at.warning, at.error, at.html)
    return " ".join(str(element.value) for kind in kinds for element in kind)


def results(at):
    return list(at.session_state["results"].values())


def test_the_app_starts_on_the_classify_page(trained, monkeypatch):
    monkeypatch.chdir(trained)
    monkeypatch.setattr("sys.argv", ["app.py"])
    at = AppTest.from_file(Path(__file__).parents[3] / "app.py", default_timeout=60).run()
    assert not at.exception
    assert not at.error
    assert at.title[0].value == "Classify images"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "first_layer" else name for name in PAGES]
)
def test_every_page_draws_a_model(name, trained):
    at = page(name, trained / "runs")
    assert not at.error
    assert at.sidebar.selectbox[0].value == "faces"
    assert "Test accuracy: " in at.sidebar.caption[0].value


@pytest.mark.parametrize("name", PAGES)
def test_without_a_model_every_page_offers_to_train_the_demo(name, tmp_path):
    at = page(name, tmp_path / "runs")
    assert [button.label for button in at.button] == ["Train the demo model"]
    assert at.radio[0].options == ["faces", "digits"]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("damage", [b"", b"no HDF5 at all", None])
def test_a_corrupt_model_is_one_message(name, damage, runs):
    model = runs / "faces" / "model.h5"
    model.write_bytes(model.read_bytes()[:3000] if damage is None else damage)
    at = page(name, runs)
    assert len(at.error) == 1
    assert "model.h5" in at.error[0].value
    assert "Traceback" not in words(at)


def test_damaged_metrics_do_not_hide_the_model(runs):
    (runs / "faces" / "metrics.json").write_text("{")
    at = page("model", runs)
    assert "has not been evaluated" in at.info[0].value


def test_runs_are_listed_newest_first_and_can_be_chosen(runs, trained):
    import os

    shutil.copytree(runs / "faces", runs / "older")
    shutil.copytree(runs / "faces", runs / "newer")
    for name, seconds in (("older", 1_000), ("faces", 2_000), ("newer", 3_000)):
        os.utime(runs / name / "model.h5", (seconds, seconds))
    (runs / "newer" / "model.h5").write_bytes(b"no HDF5 at all")
    os.utime(runs / "newer" / "model.h5", (3_000, 3_000))
    (runs / "older" / "metrics.json").unlink()
    at = page("model", runs)
    assert at.sidebar.selectbox[0].options == ["newer", "faces", "older"]
    table = at.sidebar.expander[0]
    assert table.label == "All 3 runs"
    cells = re.findall(r"<td>(.*?)</td>", table.get("html")[0].proto.body)
    measured = f"{100 * list_runs(runs)[1].accuracy:.1f}% of"
    assert [cells[1].startswith(measured), cells[3].startswith(measured), cells[5]] == [True, True, "not evaluated"]
    assert cells[3].endswith(" test")
    assert page("model", runs, model="older").sidebar.selectbox[0].value == "older"
    gone = page("model", runs, model="gone")
    assert gone.sidebar.selectbox[0].value == "newer"
    assert "gone" in gone.warning[0].value


def test_a_model_given_comes_first(runs, tmp_path):
    elsewhere = tmp_path / "elsewhere.h5"
    shutil.copy(runs / "faces" / "model.h5", elsewhere)
    at = page("model", runs, str(elsewhere))
    assert at.sidebar.selectbox[0].options == ["elsewhere", "faces"]
    assert "missing.h5" in page("model", tmp_path / "none", str(tmp_path / "missing.h5")).error[0].value


def test_a_run_that_vanishes_is_followed_by_the_next(runs):
    shutil.copytree(runs / "faces", runs / "second")
    at = page("model", runs)
    gone = at.sidebar.selectbox[0].value
    shutil.rmtree(runs / gone)
    at.run()
    assert not at.exception
    assert len(at.sidebar.selectbox[0].options) == 1
    assert at.sidebar.selectbox[0].proto.set_value  # the browser is told, too
    assert f"The run {gone} no longer exists" in at.warning[0].value
    assert not at.error


def test_samples_were_not_trained_on_and_their_truth_is_told(trained):
    at = page("classify.page", trained / "runs")
    at.segmented_control(key="sample").set_value("All").run()
    assert not at.exception
    found = results(at)
    assert {result.row.true_label for result in found} == {"face", "other"}
    assert not any(result.was_trained_on for result in found)
    table = at.dataframe[0].value
    assert list(table["true class"]) == [result.row.true_label for result in found]


def test_python_command_line_and_app_give_the_same_probabilities(trained, tmp_path, photo_jpeg, face_png):
    files = {"photo.jpg": photo_jpeg, "face.png": face_png}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    model = trained / "runs" / "faces" / "model.h5"
    classifier = ImageClassifier.load(model)
    output = tmp_path / "out.csv"
    assert main(["predict", str(model), *(str(tmp_path / n) for n in files), "-o", str(output), "--topk", "2"]) == 0
    rows = list(csv.DictReader(output.read_text(encoding="utf-8").splitlines()))
    at = page("classify.page", trained / "runs", **{"from": "Upload"})
    found = results(upload(at, *files.items()))
    for data, row, result in zip(files.values(), rows, found, strict=True):
        in_python = classifier.classify(data)
        in_app = dict(result.row.ranking)
        in_cli = {row["label"]: float(row["probability"]), row["label_2"]: float(row["probability_2"])}
        assert list(in_python) == list(in_app) == list(in_cli)
        np.testing.assert_allclose(list(in_app.values()), list(in_python.values()), atol=1e-6)
        np.testing.assert_allclose(list(in_app.values()), list(in_cli.values()), atol=1e-6)
        assert (result.row.sha256, result.row.model_id) == (row["sha256"], row["model_id"])


def test_the_app_abstains_where_the_command_line_does_and_says_so(trained, tmp_path, photo_jpeg, face_png):
    from PIL import Image

    noise, flat = io.BytesIO(), io.BytesIO()
    Image.effect_noise((60, 60), 120).save(noise, format="png")
    Image.new("L", (60, 60), 255).save(flat, format="png")
    files = {"a.png": face_png, "b.jpg": photo_jpeg, "c.png": noise.getvalue(), "d.png": flat.getvalue()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    model, output = trained / "runs" / "faces" / "model.h5", tmp_path / "out.csv"
    inputs = [str(tmp_path / name) for name in files]
    assert main(["predict", str(model), *inputs, "-o", str(output), "--reject", "0.05"]) == 0
    statuses = [row["status"] for row in csv.DictReader(output.read_text(encoding="utf-8").splitlines())]
    assert set(statuses) == {"ok", "abstain"}
    at = page("classify.page", trained / "runs", **{"from": "Upload"})
    assert [result.row.status for result in results(upload(at, *files.items()))] == statuses
    assert f"{statuses.count('abstain')} abstained" in words(at)
    at.multiselect(key="show-only").set_value(["abstained"]).run()
    assert list(at.dataframe[0].value["status"]) == ["abstained"] * statuses.count("abstain")
    uncertain = list(files)[statuses.index("abstain")]
    upload(at, (uncertain, files[uncertain]))
    assert at.header[0].value in ("Not sure", "Unlike the training data")
    assert "The model abstains" in words(at)
    upload(at, ("a.png", face_png))
    assert "The model abstains" not in words(at)


def test_what_is_said_of_probabilities_is_true_of_the_model(trained, runs, face_png):
    at = page("classify.page", runs)
    assert "not calibrated: 30 validation images are too few" in words(at)  # 30 validation images
    classifier = ImageClassifier.load(runs / "faces" / "model.h5")
    replace(classifier, calibration=None).save(runs / "faces" / "model.h5")
    at = page("classify.page", runs)
    assert "it never abstains" in words(at)
    assert results(at)[0].row.status == "ok"


def test_bad_files_stand_beside_good_ones(trained, face_png, photo_jpeg):
    at = page("classify.page", trained / "runs", **{"from": "Upload"})
    bad = {"notes.jpg": b"some words", "empty.png": b"", "cut.jpg": photo_jpeg[:5000]}
    upload(at, ("face.png", face_png), *bad.items())
    assert "1 of 4 images classified" in words(at)
    assert "3 could not be read" in words(at)
    found = {result.row.path: result.row for result in results(at)}
    assert {name: found[name].error_code for name in bad} == {
        "notes.jpg": "not_an_image",
        "empty.png": "empty_file",
        "cut.jpg": "truncated",
    }
    assert found["face.png"].status == "ok"
    at.multiselect(key="show-only").set_value(["could not be read"]).run()
    assert sorted(at.dataframe[0].value["file"]) == sorted(bad)


def test_a_folder_gives_the_true_classes_and_system_files_are_skipped(trained, face_png):
    at = page("classify.page", trained / "runs", **{"from": "Folder"})
    files = ("photos/other/b.png", face_png), ("photos/face/a.png", face_png), ("photos/face/.DS_Store", b"litter")
    upload(at, *files)
    assert [result.row.path for result in results(at)] == ["photos/face/a.png", "photos/other/b.png"]
    assert [result.row.true_label for result in results(at)] == ["face", "other"]
    assert "1 hidden or system file skipped" in words(at)
    assert "1 of 2 labelled images correct" in words(at)


def test_a_part_of_an_image_can_be_classified(trained, photo_jpeg):
    import io

    from PIL import Image

    at = page("classify.page", trained / "runs", **{"from": "Upload"})
    (whole,) = results(upload(at, ("photo.jpg", photo_jpeg)))
    assert not at.slider  # nothing is prepared before it is asked for
    at.session_state["part"] = True
    at.run()
    at.slider(key="part-size").set_value(50)
    at.slider(key="part-across").set_value(0)
    at.slider(key="part-down").set_value(100)
    at.run()
    assert not at.exception
    (part,) = results(at)
    assert part.row.path == "part of photo.jpg"
    with Image.open(io.BytesIO(photo_jpeg)) as image:
        side = part.size[0]
        assert side == pytest.approx(image.height / 2, abs=1)
        expected = np.asarray(image.crop((0, image.height - side, side, image.height)))
    assert part.size == (side, side)
    np.testing.assert_array_equal(np.asarray(part.shown), expected)
    assert part.row.ranking != whole.row.ranking


def test_more_images_than_the_app_takes(trained, face_png, monkeypatch):
    from pipeline.pages.classify import inputs

    monkeypatch.setattr(inputs, "MAX_UPLOADS", 2)
    at = page("classify.page", trained / "runs", **{"from": "Upload"})
    upload(at, *((f"{i}.png", face_png) for i in range(3)))
    assert "3 images are too many" in at.warning[0].value
    assert len(results(at)) == 2


def test_uploads_are_still_there_after_another_page(trained, face_png):
    at = page("classify.page", trained / "runs", **{"from": "Upload"})
    upload(at, ("face.png", face_png))
    at.segmented_control(key="from").set_value("Samples").run()
    at.segmented_control(key="from").set_value("Upload").run()
    assert not at.exception
    assert [result.row.path for result in results(at)] == ["face.png"]


def test_a_single_bad_file_says_why(trained):
    at = page("classify.page", trained / "runs", **{"from": "Upload"})
    upload(at, ("notes.jpg", b"some words"))
    assert "notes.jpg" in at.error[0].value
    assert "not an image" in at.error[0].value


def test_names_are_text_not_markup(trained, face_png):
    at = page("classify.page", trained / "runs", **{"from": "Upload"})
    upload(at, ("<script>alert(1)</script>'.png", face_png))
    assert "<script>" not in " ".join(element.value for element in at.html)
    upload(at, ("__bold__[link](x).png", b"no image"))
    assert at.error[0].value.startswith(r"\_\_bold\_\_\[link\](x).png")


def test_a_wide_image_gets_a_hint_a_square_one_none(trained, face_png, photo_jpeg):
    at = page("classify.page", trained / "runs", **{"from": "Upload"})
    assert "too wide" in upload(at, ("photo.jpg", photo_jpeg)).info[0].value
    assert not upload(at, ("face.png", face_png)).info


def test_an_image_of_the_training_is_recognised(trained, tmp_path):
    from pipeline.data.dataset import Dataset

    with Dataset.open(trained / "runs" / "faces" / "data.h5") as dataset:
        name = dataset.paths[dataset.indices("train")[0]]
    at = page("classify.page", trained / "runs", **{"from": "Upload"})
    upload(at, ("known.png", (trained / "data" / "faces" / name).read_bytes()))
    assert "trained on this very file" in at.warning[0].value


def test_no_image_yet_tells_what_to_do(trained):
    at = page("classify.page", trained / "runs", **{"from": "Upload"})
    assert "Add an image" in at.info[0].value
    assert "face, other" in at.info[0].value


@pytest.mark.slow
def test_without_the_data_set_there_are_no_samples_but_all_else(runs, face_png):
    (runs / "faces" / "data.h5").unlink()
    at = page("classify.page", runs)
    assert at.segmented_control[0].options == ["Upload", "Folder", "Camera"]
    upload(at, ("face.png", face_png))
    assert results(at)[0].row.status == "ok"
    assert "no longer available" in words(page("first_layer", runs))
    assert "no longer available" in words(page("deeper_layers", runs))


def test_camera(trained, photo_jpeg):
    at = page("classify.page", trained / "runs", **{"from": "Camera"})
    at.camera_input[0].set_value(("shot.jpg", photo_jpeg, "image/jpeg"))
    at.run()
    assert not at.exception
    assert results(at)[0].row.status == "ok"


@pytest.mark.slow
def test_first_layer_shows_each_unit_once_and_sorts(trained):
    at = page("first_layer", trained / "runs")
    grid = at.html[0].value
    assert grid.count("<figure>") == 48
    assert "0 of 48" in words(at) or "of 48 first-layer units" in words(at)
    at.selectbox(key="sort").set_value("unit number").run()
    captions = [part.split("<")[0] for part in at.html[0].value.split("<figcaption>")[1:]]
    assert captions == [str(i) for i in range(1, 49)]
    at.number_input(key="unit").set_value(7).run()
    assert "Unit 7" in words(at)


def test_first_layer_download_is_the_command_line_image(trained):
    from PIL import Image

    from pipeline.pages import first_layer
    from pipeline.pages.widgets import sidebar

    chosen = sidebar.Chosen(trained / "runs")
    classifier = ImageClassifier.load(trained / "runs" / "faces" / "model.h5")
    with Image.open(io.BytesIO(first_layer.filters_png(chosen, classifier))) as image:
        assert image.format == "PNG"
        assert min(image.size) > 200


def test_a_unit_answers_most_to_what_it_looks_for(trained):
    """The images shown as exciting do excite the unit more than the mean of all training images."""
    from pipeline.data.dataset import Dataset
    from pipeline.pages import first_layer

    model = trained / "runs" / "faces" / "model.h5"
    classifier = ImageClassifier.load(model)
    images, best = first_layer.strongest_images(str(model), 0.0, classifier)
    with Dataset.open(model.with_name("data.h5")) as dataset:
        everything, _ = dataset.read("train")
    A_all = first_layer.activations(classifier, everything)
    A = first_layer.activations(classifier, images)
    for i in range(48):
        np.testing.assert_allclose(A[i, best[i, 0]], A_all[i].max(), rtol=1e-5)


@pytest.mark.slow
def test_edge_detectors_are_counted_beside_controls(trained):
    from pipeline.explanation.layers import control_shares

    classifier = ImageClassifier.load(trained / "runs" / "faces" / "model.h5")
    shares = control_shares(classifier)
    at = page("first_layer", trained / "runs")
    (table,) = (element.value for element in at.html if "Share of edge detectors" in element.value)
    for name, share in shares.items():
        assert name in table
        assert f"<td>{100 * share:.0f}%</td>" in table


def test_deeper_layers_say_how_each_image_was_made(trained):
    at = page("deeper_layers", trained / "runs")
    assert at.title[0].value == "Deeper layers"
    assert [heading.value for heading in at.subheader] == [
        "Receptive field",
        "Mean of the maximally activating images",
        "Activation maximisation",
        "Product of the weights",
    ]
    for words_of_method in ("How strongly each pixel influences", "held-out images", "gradient ascent", "times all W"):
        assert words_of_method in words(at)
    assert [element.value.count("<figure>") for element in at.html] == [16] * 4  # the units of layer 2
    at.segmented_control(key="layer").set_value("Layer 3 (output)").run()
    assert not at.exception
    assert [element.value.count("<figure>") for element in at.html] == [1] * 4  # one unit: a face, or not


def test_deeper_layers_draw_what_the_command_line_draws(trained):
    from pipeline.evaluation.held_out import held_out_images
    from pipeline.explanation.layers import deeper_layer_images
    from pipeline.pages import deeper_layers

    model = trained / "runs" / "faces" / "model.h5"
    classifier = ImageClassifier.load(model)
    _, kinds = deeper_layers._layer_images(str(model), 0.0, 2, classifier)
    expected = deeper_layer_images(classifier, held_out_images(model.with_name("data.h5"), classifier.geometry), 2, 24)
    for kind, other in zip(kinds, expected, strict=True):
        np.testing.assert_array_equal(kind.images, other.images)


@pytest.mark.slow
def test_training_the_demo_ends_with_its_model_on_the_page(tmp_path, monkeypatch):
    from pipeline.pages.widgets import no_model

    monkeypatch.chdir(tmp_path)
    at = page("classify.page", tmp_path / "runs")
    at.button[0].click().run()
    assert not at.exception
    no_model.running_demo()["training"].wait(60)
    at.run()
    assert not at.exception
    assert at.title[0].value == "Classify images"
    assert at.sidebar.selectbox[0].value == "demo-faces"


def test_a_training_that_fails_says_why_and_can_be_tried_again(tmp_path, monkeypatch):
    from pipeline.pages.widgets import no_model

    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").write_text("a file where the folder of the images should be")
    at = page("model", tmp_path / "runs")
    at.button[0].click().run()
    no_model.running_demo()["training"].wait(60)
    at.run()
    assert not at.exception
    assert "data" in at.error[0].value
    assert [button.label for button in at.button] == ["Train the demo model"]


# The Data page


def shown(at):
    """The alternative texts of the images on the page."""
    return [part.split("'")[0] for element in at.html for part in element.value.split("alt='")[1:]]


def test_data_counts_every_class_and_split(trained):
    at = page("data.page", trained / "runs")
    assert "200 images (25×25 gray) in 2 classes" in words(at)
    assert at.html[1].value.count("<td>100</td>") == 2
    table = at.table[0].value
    assert dict(zip(table["split"], table["images"], strict=True)) == {
        "train": "140",
        "validation": "30",
        "test": "30",
    }


def test_contact_sheets_show_the_class_asked_for(trained):
    at = page("data.page", trained / "runs", view="Images", **{"class": "face"}, split="test")
    assert len(shown(at)) == 15
    assert all(name.startswith("face/") for name in shown(at))


def test_findings_are_those_of_the_audit(trained):
    from pipeline.audit.audit import audit

    at = page("data.page", trained / "runs", view="Findings")
    for finding in audit(trained / "runs" / "faces" / "data.h5").findings:
        assert finding.message[1:] in words(at).replace("\\", "")


def test_a_corrected_label_is_exported_and_read_by_the_command_line(trained, tmp_path):
    from pipeline.audit.corrections import REMOVE, corrected_manifest
    from pipeline.data.dataset import Dataset
    from pipeline.pages.widgets import sidebar

    at = page("data.page", trained / "runs", view="Label issues")
    first, second = at.selectbox[1:3]  # after the choice of splits
    wrong, gone = (box.label.removeprefix("Label of ") for box in (first, second))
    other = next(name for name in ("face", "other") if name != first.value)
    first.set_value(other).run()
    at.selectbox(key=second.key).set_value(REMOVE).run()
    assert not at.exception
    assert "1 label changed and 1 image removed" in words(at)
    with Dataset.open(trained / "runs" / "faces" / "data.h5") as dataset:
        (corrections,) = at.session_state["corrections"].values()
        text = corrected_manifest(dataset, corrections, trained / "data" / "faces")
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8")
    assert main(["ingest", str(tmp_path / "manifest.csv"), str(tmp_path / "new.h5")]) == 0
    with Dataset.open(tmp_path / "new.h5") as new:
        labels = {path.partition("faces/")[2]: new.classes[k] for path, k in zip(new.paths, new.labels, strict=True)}
    assert len(labels) == 199
    assert labels[wrong] == other
    assert gone not in labels
    next(button for button in at.button if button.label == "Discard corrections").click().run()
    assert not at.exception
    assert "removed" not in words(at)
    assert sidebar.KEY in at.session_state


def test_duplicates_are_shown_side_by_side(runs, tmp_path, monkeypatch):
    from PIL import Image

    from pipeline.ingestion.ingest import ingest

    monkeypatch.chdir(tmp_path)
    for name, level in (("a/1", 10), ("a/2", 10), ("b/3", 10), ("a/4", 40), ("b/5", 60), ("b/6", 90)):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((64, 64), level).save(tmp_path / "photos" / f"{name}.png")
    shutil.copy(tmp_path / "photos" / "a" / "1.png", tmp_path / "photos" / "b" / "copy.png")
    (tmp_path / "data").mkdir()
    ingest(tmp_path / "photos", tmp_path / "data" / "photos.h5")
    at = page("data.page", runs, view="Duplicates", data="data/photos.h5")
    assert "1 set of exact or near duplicates; **1 set with conflicting labels**" in words(at)
    assert shown(at) == ["a/1.png", "b/copy.png"]
    at.segmented_control(key="view").set_value("Label issues").run()
    assert not at.exception
    assert "another size or colour" in at.info[0].value


def test_data_without_the_data_set_says_what_to_do(runs):
    (runs / "faces" / "data.h5").unlink()
    at = page("data.page", runs)
    assert "no longer available" in at.info[0].value
    assert "facette ingest" in at.code[0].value


EVIL = "[x](http://evil.example) ![x](http://evil.example/x.png) <img src=x> \x1b[31m\n- \u202egnp"


@pytest.fixture
def evil_runs(runs):
    """A run in which every name is Markdown, HTML and what steers a terminal."""
    folder = runs / "faces"
    classifier = ImageClassifier.load(folder)
    provenance = classifier.provenance | {
        "source": EVIL,
        "created": EVIL,
        "versions": {EVIL: EVIL},
        "images": {EVIL: 1},
    }
    replace(classifier, classes=(EVIL, f"other {EVIL}"), provenance=provenance).save(folder / "model.h5")
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["splits"][EVIL] = metrics["splits"].pop("test")
    metrics["evaluated_on"], metrics["baselines"][0]["name"] = EVIL, EVIL
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return runs


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "first_layer" else name for name in PAGES]
)
def test_names_of_a_hostile_model_are_shown_as_text(name, evil_runs, face_png):
    at = page(name, evil_runs, **({"from": "Upload"} if name == "classify.page" else {}))
    if name == "classify.page":
        at = upload(at, ("a.png", face_png))
    labels = " ".join(metric.label for metric in at.metric)
    cells = " ".join(str(cell) for table in at.table for cell in table.value.to_numpy().ravel())
    pages = " ".join(str(element.value) for element in at.html)  # HTML, in which Markdown means nothing
    assert "<img src=x" not in pages
    shown = f"{words(at).replace(pages, '')} {labels} {cells} {at.sidebar.caption[0].value}"
    assert "evil.example" in shown
    assert "](http" not in shown.replace("\\](", "")
    assert "<img src=x" not in shown.replace("\\<img", "")
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", shown + pages)
    assert not re.search("^- ", shown, re.MULTILINE)
