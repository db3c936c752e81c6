"""What a person does in the Playground, in a real browser without a window."""

import io
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from pipeline.classifier import ImageClassifier

pytest.importorskip("streamlit")
playwright = pytest.importorskip("playwright.sync_api")
SECONDS = 60
PHONE = {"width": 390, "height": 844}

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def url(serve, folder):
    with serve(folder) as url:
        yield url


def expect_visible(locator, **how):
    playwright.expect(locator).to_be_visible(timeout=1000 * SECONDS, **how)


def expect_text(page, text):
    expect_visible(page.get_by_text(text).first)


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def expect_paused(page):
    playwright.expect(page.get_by_role("button", name="Download", exact=True)).to_be_enabled(timeout=1000 * SECONDS)


def test_train_pause_step_continue_and_reset(url, page):
    page.goto(f"{url}/playground?images=Digits&hidden=16&epochs=20000")
    press(page, "Start")
    expect_text(page, re.compile(r"^Epoch \d+ of 20000"))
    expect_visible(page.get_by_alt_text("weights of unit 1", exact=True))
    press(page, "Pause")
    expect_text(page, re.compile(r"^Paused after epoch \d+ of 20000"))
    done = int(re.search(r"epoch (\d+)", page.get_by_text("Paused after epoch").inner_text())[1])
    expect_text(page, f"Accuracy after epoch {done}:")
    expect_visible(page.get_by_text(f"First layer after epoch {done}:"))
    expect_paused(page)
    press(page, "One epoch")
    expect_text(page, f"Paused after epoch {done + 1} of 20000")
    expect_paused(page)
    press(page, "Continue")
    expect_text(page, re.compile(r"^Epoch \d+ of 20000"))
    playwright.expect(page.get_by_text(f"Epoch {done + 2} of 20000")).to_have_count(0, timeout=1000 * SECONDS)
    expect_text(page, re.compile(r"^Epoch \d+ of 20000"))  # it goes on, and is seen to
    press(page, "Reset")
    expect_text(page, "Nothing is trained yet")
    expect_visible(page.get_by_role("button", name="Start", exact=True))


def test_no_press_moves_the_buttons_away_under_the_next_one(url, page):
    page.goto(f"{url}/playground?images=Digits&hidden=16&epochs=20000")
    buttons = [page.get_by_role("button", name=name, exact=True) for name in ("Pause", "One epoch", "Reset")]
    places = [button.bounding_box() for button in buttons]
    for name, text in (("Start", r"^Epoch \d+ of"), ("Pause", "^Paused after"), ("Continue", r"^Epoch \d+ of")):
        press(page, name)
        expect_text(page, re.compile(text))
        assert [button.bounding_box() for button in buttons] == places
    press(page, "Reset")
    expect_text(page, "Nothing is trained yet")
    assert [button.bounding_box() for button in buttons] == places


def test_the_shapes_follow_what_is_typed(url, page):
    page.goto(f"{url}/playground?images=Faces")
    expect_text(page, "For these images, auto means")
    box = page.get_by_role("textbox", name="Hidden layers")
    box.fill("40,20")
    expect_text(page, "L = 3 layers, 25,941 parameters")
    expect_text(page, "--hidden")
    assert "hidden=40" in page.url
    box.fill("forty")
    expect_text(page, "give something like 128,64 or auto")
    playwright.expect(page.get_by_role("button", name="Start", exact=True)).to_be_disabled()
    box.fill("none")
    expect_text(page, "L = 1 layer, 626 parameters")


def test_save_a_model_and_find_it_on_the_classify_page(url, page, folder):
    page.goto(f"{url}/playground?images=Digits&hidden=16&epochs=5")
    press(page, "Start")
    expect_text(page, "Done: 5 epochs")
    expect_paused(page)
    page.get_by_role("textbox", name="Save as").fill("from the browser")
    press(page, "Save")
    expect_text(page, "and selected in the sidebar")
    assert (folder / "runs" / "from the browser" / "report.html").is_file()
    page.get_by_role("link", name="Classify").click()
    expect_visible(page.get_by_role("table", name="Probability of each class"))
    expect_visible(page.get_by_text("Test accuracy"))
    playwright.expect(page.get_by_role("combobox", name="Model")).to_have_value("from the browser")


def test_download_what_was_learned_from_images_of_ones_own(url, page, tmp_path):
    archive = io.BytesIO()
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(archive, "w") as file:
        for name, low in (("bright", 120), ("dark", 0)):
            for i in range(12):
                image = io.BytesIO()
                pixels = rng.integers(low, low + 130, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(image, format="png")
                file.writestr(f"lights/{name}/{i}.png", image.getvalue())
    page.goto(f"{url}/playground?images=Upload+a+zip&hidden=8&epochs=3")
    expect_text(page, "Add a zip archive")
    page.locator("input[type=file]").set_input_files(
        [{"name": "lights.zip", "mimeType": "application/zip", "buffer": archive.getvalue()}]
    )
    expect_text(page, "24 images")
    press(page, "Start")
    expect_text(page, "Done: 3 epochs")
    with page.expect_download() as download:
        press(page, "Download")
    download.value.save_as(tmp_path / "model.h5")
    assert download.value.suggested_filename == "lights.h5"
    assert ImageClassifier.load(tmp_path / "model.h5").classes == ("bright", "dark")


def test_two_visitors_train_in_turn(url, page, browser):
    other = browser.new_page()
    try:
        page.goto(f"{url}/playground?images=Digits&hidden=16&epochs=20000")
        press(page, "Start")
        expect_text(page, re.compile(r"^Epoch \d+ of 20000"))
        other.goto(f"{url}/playground?images=Digits&hidden=8&epochs=3")
        press(other, "Start")
        expect_text(other, "Waiting: 1 run is ahead of yours")
        press(page, "Pause")
        expect_text(other, "Done: 3 epochs")
        expect_text(page, "Paused after epoch")
    finally:
        other.close()


def test_the_training_of_a_visitor_who_has_gone_makes_room(url, page, browser):
    gone = browser.new_page()
    gone.goto(f"{url}/playground?images=Digits&hidden=16&epochs=20000")
    press(gone, "Start")
    expect_text(gone, re.compile(r"^Epoch \d+ of 20000"))
    page.goto(f"{url}/playground?images=Digits&hidden=8&epochs=3")
    press(page, "Start")
    expect_text(page, "Waiting: 1 run is ahead of yours")
    gone.close()
    expect_text(page, "Done: 3 epochs")


def test_a_phone_and_the_keyboard(url, page, expect_no_horizontal_scrolling):
    page.set_viewport_size(PHONE)
    page.goto(f"{url}/playground?images=Faces&hidden=8&epochs=2")
    start = page.get_by_role("button", name="Start", exact=True)
    expect_visible(start)
    start.focus()
    page.keyboard.press("Enter")
    expect_text(page, "Done: 2 epochs")
    expect_visible(page.get_by_role("table", name=re.compile("Confusion matrix")))
    expect_no_horizontal_scrolling(page)
