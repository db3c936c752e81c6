"""The Playground's logic, driven without a browser."""

import gc
import io
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

from pipeline.classifier import ImageClassifier
from pipeline.data.config import DataConfig
from pipeline.invocation import command_line
from pipeline.pages.playground.session import PlaygroundSession
from pipeline.playground.session import model_bytes
from pipeline.settings import all_settings, read_settings
from pipeline.training.background import QUEUE, BackgroundTraining
from pipeline.training.runs import list_runs

QUICK = {"hidden": "8", "epochs": "2", "augment": "none"}


def show_playground(runs):
    from pipeline.pages.playground import page
    from pipeline.pages.widgets import sidebar

    page.render(sidebar.choose(runs))


@pytest.fixture
def at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tests = []

    def draw(**query):
        test = AppTest.from_function(show_playground, args=("runs",), default_timeout=60)
        for key, value in query.items():
            test.query_params[key] = value
        tests.append(test)
        return checked(test.run())

    yield draw
    for test in tests:
        test.session_state["playground"].close()


def checked(at):
    assert not at.exception, at.exception
    return at


def press(at, key):
    return checked(at.button(key=key).click().run())


def trained(at):
    """Wait until the training rests, and draw the page again."""
    training = at.session_state["playground"].training
    assert training.wait_for_rest(60)
    return checked(at.run())


def words(at):
    kinds = (at.title, at.subheader, at.markdown, at.caption, at.info, at.warning, at.error, at.success, at.html)
    return " ".join(str(element.value) for kind in kinds for element in kind)


def status(at):
    return at.get("progress")[0].proto.text


def image(seed, bright):
    from PIL import Image

    data = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 120, (16, 16, 3), np.uint8)
    Image.fromarray(pixels + np.uint8(120 * bright)).save(data, format="png")
    return data.getvalue()


def archive(**classes):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, n in classes.items():
            for i in range(n):
                file.writestr(f"photos/{name}/{i}.png", image(i + 100 * len(name), name == "bright"))
    return data.getvalue()


def layers(at):
    (table,) = (element.value for element in at.html if "Shapes of W" in element.value)
    head, *rows = (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in table.split("<tr>")[1:])
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


def test_a_link_holds_images_and_settings(at):
    test = at(images="Digits", hidden="20,10", activation="tanh")
    table = layers(test)
    assert [table[l]["W"] for l in "123"] == ["(20, 64)", "(10, 20)", "(10, 10)"]
    assert table["1"]["activation"] == "tanh"
    assert not test.error


def test_the_shapes_follow_the_settings(at):
    test = at(images="Faces")
    assert "For these images, auto means: Hidden layers 256,128" in words(test)
    test.text_input(key="hidden").set_value("30").run()
    checked(test)
    assert [(row["W"], row["b"], row["Z and A"]) for row in layers(test).values()] == [
        ("(30, 625)", "(30, 1)", "(30, m)"),
        ("(1, 30)", "(1, 1)", "(1, m)"),
    ]
    test.text_input(key="hidden").set_value("none").run()
    assert [row["W"] for row in layers(checked(test)).values()] == ["(1, 625)"]


@pytest.mark.parametrize(
    ("name", "word", "part"),
    [
        ("hidden", "many", "128,64"),
        ("hidden", "-3", "greater than 0"),
        ("hidden", "9000,9000", "20,000,000"),
        ("learning_rate", "fast", "0.1 or auto"),
        ("learning_rate", "-1", "greater than 0"),
        ("learning_rate", "nan", "greater than 0"),
        ("batch_size", "5000", "140 training examples"),
        ("dropout", "1.5", "below 1"),
        ("layer_rates", "1,2,3,4,5", "one for each"),
    ],
)
def test_a_setting_that_cannot_work_is_one_sentence(at, name, word, part):
    test = at(images="Faces")
    test.text_input(key=name).set_value(word).run()
    checked(test)
    (error,) = test.error
    assert part in error.value.replace("\\", "")
    assert test.button(key="go").disabled
    assert test.button(key="step").disabled


def test_what_does_not_go_together_is_said_with_the_names_on_the_page(at):
    test = at(images="Faces", hidden="none")
    test.selectbox(key="batch_norm").set_value("on").run()
    assert test.error[0].value == "There is no hidden layer to normalise; leave it at auto, or add one."
    assert "Fix first: Batch norm." in words(test)
    test.text_input(key="hidden").set_value("8").run()
    test.text_input(key="batch_size").set_value("1").run()
    checked(test)
    assert test.error[0].value.endswith("raise “Batch size” or turn “Batch norm” off.")
    assert test.button(key="go").disabled


def test_there_is_a_widget_for_every_field_with_its_help(at):
    test = at()
    drawn = {widget.key: widget for kind in (test.text_input, test.selectbox) for widget in kind}
    for setting in all_settings().values():
        assert setting.help in drawn[setting.name].help
        if setting.choices:
            assert drawn[setting.name].options == list(setting.choices)


@pytest.mark.slow
def test_train_and_save_a_model_like_that_of_the_command_line(at, tmp_path):
    test = at(images="Faces", **QUICK)
    press(test, "go")
    test = trained(test)
    training = test.session_state["playground"].training
    assert [record.epoch for record in training.records] == [1, 2]
    assert "Confusion matrix" in words(test)
    assert words(test).count("weights of unit") == 8
    test.text_input(key="run-name").set_value("mine")
    press(test, "save")
    test = trained(test)
    assert "Saved in runs/mine" in words(test).replace("\\", "")
    assert test.sidebar.selectbox[0].value == "mine"
    assert {"model.h5", "report.html", "metrics.json", "history.csv", "data.h5"} <= {
        path.name for path in (tmp_path / "runs" / "mine").iterdir()
    }
    command, code = (element.value for element in test.code)
    flags = ["train", "faces", "--hidden", "8", "--epochs", "2", "--augment", "none"]
    assert command == command_line(*flags)
    line = [sys.executable, "-m", "pipeline.cli", *flags, "--name", "cli"]
    subprocess.run(line, check=True, capture_output=True, cwd=tmp_path)
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=tmp_path)
    names = "mine", "cli", "faces"
    models = [ImageClassifier.load(tmp_path / "runs" / name / "model.h5") for name in names]
    assert len({model.model_id for model in models}) == 1
    summaries = {run.name: run for run in list_runs(tmp_path / "runs")}
    assert summaries["mine"].accuracy == summaries["cli"].accuracy
    assert models[0].provenance["source"] == models[1].provenance["source"] == "faces"


@pytest.mark.slow
def test_a_model_saved_half_way_can_be_resumed_in_a_terminal(at, tmp_path):
    test = at(images="Digits", hidden="8", epochs="3", augment="none")
    press(test, "step")
    test = trained(test)
    press(test, "save")
    test = trained(test)
    press(test, "step")  # and goes on here, too
    test = trained(test)
    assert len(test.session_state["playground"].training.records) == 2
    line = [sys.executable, "-m", "pipeline.cli", "train", "--resume", "runs/digits"]
    subprocess.run(line, check=True, capture_output=True, cwd=tmp_path)
    model = ImageClassifier.load(tmp_path / "runs" / "digits" / "model.h5")
    assert [record.epoch for record in model.history] == [1, 2, 3]


def test_the_download_is_a_model(at, tmp_path):
    test = at(images="Digits", **QUICK)
    press(test, "go")
    training = trained(test).session_state["playground"].training
    (tmp_path / "downloaded.h5").write_bytes(training.ask(model_bytes).result(60))
    model = ImageClassifier.load(tmp_path / "downloaded.h5")
    assert model.classes == tuple("0123456789")
    assert model.calibration is not None
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_name_that_is_taken_or_none_cannot_be_saved(at, tmp_path):
    test = at(images="Digits", **QUICK)
    press(test, "step")
    test = trained(test)
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    (tmp_path / "runs" / "taken" / "model.h5").touch()
    for name, part in (("taken", "already"), ("../up", "plain name"), ("", "plain name"), (".x", "plain name")):
        test.text_input(key="run-name").set_value(name)
        press(test, "save")
        (error,) = trained(test).error
        assert part in error.value
    assert list((tmp_path / "runs").iterdir()) == [tmp_path / "runs" / "taken"]


@pytest.mark.slow
def test_the_name_proposed_for_a_run_is_free(at, tmp_path):
    (tmp_path / "runs" / "digits").mkdir(parents=True)
    (tmp_path / "runs" / "digits" / "model.h5").touch()
    test = at(images="Digits", **QUICK)
    press(test, "step")
    press(trained(test), "save")
    test = trained(test)
    assert ImageClassifier.load(tmp_path / "runs" / "digits-2" / "model.h5").classes == tuple("0123456789")


def test_step_continue_and_reset(at):
    test = at(images="Faces", **(QUICK | {"epochs": "4"}))
    press(test, "step")
    test = trained(test)
    assert status(test) == "Paused after epoch 1 of 4"
    press(test, "step")
    test = trained(test)
    press(test, "go")
    test = trained(test)
    training = test.session_state["playground"].training
    assert len(training.records) == 4
    assert test.button(key="go").disabled  # a late press on Continue does not start a new run
    press(test, "reset")
    training.wait(60)
    assert not training.is_alive
    assert test.session_state["playground"].training is None
    assert "Nothing is trained yet" in words(test)


def test_settings_changed_during_a_training_are_said_to_wait(at):
    test = at(images="Faces", **QUICK)
    press(test, "step")
    test = trained(test)
    assert "have changed since" not in words(test)
    test.text_input(key="hidden").set_value("9").run()
    assert "have changed since" in words(checked(test))


def test_a_training_that_diverges_is_one_message(at):
    test = at(images="Faces", hidden="8", optimizer="sgd", learning_rate="1e30", augment="none")
    test.selectbox(key="batch_norm").set_value("off").run()
    press(test, "go")
    test = trained(test)
    (error,) = test.error
    assert "diverged" in error.value
    assert "Lower learning" in error.value


def test_images_that_go_away_are_one_message(at):
    test = at(images="Digits", **QUICK)
    shutil.rmtree(test.session_state["playground"].folder)
    press(test, "go")
    test = trained(test)
    assert "data.h5" in test.error[0].value
    test.segmented_control(key="images").set_value("Faces").run()
    assert "2 classes" in words(checked(test))


@pytest.mark.slow
def test_a_data_set_that_is_there_is_not_copied(at, tmp_path):
    from pipeline.ingestion.ingest import ingest

    (tmp_path / "data").mkdir()
    ingest("digits", tmp_path / "data" / "mine.h5")
    test = at(images="On this computer", **QUICK)
    press(test, "go")
    press(trained(test), "save")
    test = trained(test)
    assert not (tmp_path / "runs" / "mine" / "data.h5").exists()
    assert ImageClassifier.load(tmp_path / "runs" / "mine" / "model.h5").provenance["source"] == "data/mine.h5"


def test_no_folders_yet_tells_what_to_do(at):
    test = at(images="On this computer")
    assert "Put a folder" in test.info[0].value
    assert test.button(key="go").disabled


@pytest.mark.slow
def test_an_archive_of_ones_own(at, tmp_path):
    test = at(images="Upload a zip", **QUICK)
    assert "Add a zip archive" in test.info[0].value
    test.file_uploader[0].set_value(("holiday.zip", archive(dark=12, bright=12), "application/zip")).run()
    checked(test)
    assert "24 images" in words(test)
    assert "facette train holiday.zip" in test.code[0].value
    press(test, "go")
    press(trained(test), "save")
    test = trained(test)
    model = ImageClassifier.load(tmp_path / "runs" / "holiday" / "model.h5")
    assert model.classes == ("bright", "dark")
    assert model.provenance["source"] == "holiday.zip"


@pytest.mark.parametrize(
    ("data", "part"),
    [(b"no zip at all", "holiday.zip"), (archive(), "holds no images"), (archive(dark=9), "class")],
)
def test_an_archive_that_cannot_work_is_one_message(at, data, part):
    test = at(images="Upload a zip")
    test.file_uploader[0].set_value(("holiday.zip", data, "application/zip")).run()
    checked(test)
    (error,) = test.error
    assert part in error.value
    assert "/tmp" not in error.value
    assert test.button(key="go").disabled


def test_a_folder_with_a_bad_file(at):
    test = at(images="Upload a folder", **QUICK)
    files = [
        (f"mine/{name}/{i}.png", image(i + 50 * k, k), "image/png") for i in range(9) for k, name in enumerate("ab")
    ]
    files += [("mine/a/notes.png", b"some words", "image/png"), ("mine/.DS_Store", b"litter", "")]
    test.file_uploader[0].set_value(files).run()
    checked(test)
    assert "18 images" in words(test)
    assert test.expander[0].label == "1 of 19 files could not be read"


def test_size_and_colour_of_the_images(at):
    test = at(images="Faces", size="10", **QUICK)
    assert "10×10 gray" in words(test)
    assert layers(test)["1"]["W"].endswith(", 100)")
    test.selectbox(key="color").set_value("rgb").run()
    checked(test)
    assert layers(test)["1"]["W"].endswith(", 300)")
    command, program = (code.value for code in test.code)
    assert "--size 10 --color rgb" in command
    assert "data=DataConfig(size='10', color='rgb')" in program
    test.text_input(key="size").set_value("large").run()
    assert "large" in test.error[0].value


def test_images_class_by_class(at):
    test = at(images="Upload class by class", **QUICK)
    assert "two classes" in test.info[0].value
    test.text_input(key="class-1").set_value("cat")
    for k in range(2):
        test.file_uploader[k].set_value([(f"{i}.png", image(i + 50 * k, k), "image/png") for i in range(9)])
    checked(test.run())
    assert "cat, class 2" in words(test)
    press(test, "go")
    assert trained(test).session_state["playground"].training.records


def test_more_images_than_the_app_takes(at, monkeypatch):
    from pipeline.pages.playground import images

    monkeypatch.setattr(images, "MAX_TRAINING_IMAGES", 3)
    test = at(images="Upload a folder")
    test.file_uploader[0].set_value([(f"m/{i % 2}/{i}.png", image(i, 0), "image/png") for i in range(4)]).run()
    checked(test)
    assert "4 images are too many" in test.warning[0].value


def test_two_visitors_wait_for_one_another_and_see_only_their_own(at):
    first, second = at(images="Faces", **QUICK), at(images="Digits", **QUICK)
    with QUEUE.changed:
        QUEUE.enter(holder := BackgroundTraining(lambda: None))
    sessions = [test.session_state["playground"] for test in (first, second)]
    for place, (test, session) in enumerate(zip((first, second), sessions, strict=True), start=1):
        press(test, "go")
        with QUEUE.changed:
            assert QUEUE.changed.wait_for(
                lambda session=session, place=place: QUEUE.position(session.training) == place, 60
            )
        checked(test.run())
    assert status(first) == "Waiting: 1 run is ahead of yours"
    assert status(second) == "Waiting: 2 runs are ahead of yours"
    QUEUE.leave(holder)
    for session in sessions:
        assert session.training.wait_for_rest(60)
    assert sessions[0].training.snapshot.W.shape[1] == 625
    assert sessions[1].training.snapshot.W.shape[1] == 64


def test_nothing_is_left_when_a_visitor_goes(tmp_path):
    session = PlaygroundSession()
    folder = session.folder
    session.load_images("digits", lambda: "digits", DataConfig())
    recipe, _ = read_settings({"hidden": "8", "epochs": "100000"})
    session.begin(recipe, float("inf"))
    training, folders = session.training, session._folders
    assert list(folder.rglob("data.h5"))
    del session
    gc.collect()
    training.wait(60)
    assert not training.is_alive
    assert not any(folder.exists() for folder in folders)
