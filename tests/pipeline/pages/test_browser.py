"""What a person does, in a real browser without a window."""

import csv
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("streamlit")

PHONE = {"width": 390, "height": 844}

pytestmark = pytest.mark.browser


def test_the_command_takes_its_server_with_it(serve, tmp_path):
    with serve(tmp_path) as url:
        pass
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url)


@pytest.fixture(scope="module")
def url(serve, run_path, tmp_path_factory):
    with serve(tmp_path_factory.mktemp("served"), "--runs", str(run_path.parent)) as url:
        yield url


def test_classify_a_sample(url, page):
    page.goto(url)
    page.get_by_role("heading", name="Classify images").wait_for()
    page.get_by_role("radio", name="2", exact=True).click()
    table = page.get_by_role("table", name="Probability of each class")
    assert table.get_by_role("row").count() == 2
    page.get_by_text("True class: other").wait_for()
    assert page.get_by_alt_text("map of the evidence for").count() == 1
    assert "sample=2" in page.url


def test_upload_good_and_bad_files_and_download_the_rows(url, page, photo_jpeg, face_png, tmp_path):
    page.goto(f"{url}/?from=Upload")
    page.locator("input[type=file]").set_input_files(
        [
            {"name": "face.png", "mimeType": "image/png", "buffer": face_png},
            {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo_jpeg},
            {"name": "words.jpg", "mimeType": "image/jpeg", "buffer": b"some words"},
        ]
    )
    page.get_by_text("2 of 3 images classified").wait_for()
    page.get_by_text("1 could not be read").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    download.value.save_as(tmp_path / "app.csv")
    rows = list(csv.DictReader((tmp_path / "app.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["path"], row["status"]) for row in rows] == [
        ("face.png", "ok"),
        ("photo.jpg", "ok"),
        ("words.jpg", "error"),
    ]


def test_classify_a_part_of_a_photograph(url, page, photo_jpeg):
    page.goto(f"{url}/?from=Upload")
    page.locator("input[type=file]").set_input_files({"name": "p.jpg", "mimeType": "image/jpeg", "buffer": photo_jpeg})
    page.get_by_alt_text("the image p.jpg", exact=True).wait_for()
    page.get_by_text("Classify a part of the image").click()
    page.get_by_role("slider", name="Size").press("ArrowLeft")
    page.get_by_alt_text("the image part of p.jpg", exact=True).wait_for()


def test_one_bad_file_says_what_is_wrong(url, page):
    page.goto(f"{url}/?from=Upload")
    page.locator("input[type=file]").set_input_files(
        {"name": "words.jpg", "mimeType": "image/jpeg", "buffer": b"some words"}
    )
    message = page.get_by_role("alert").filter(has_text="words.jpg")
    message.wait_for()
    assert "not an image" in message.inner_text()


def test_upload_a_folder_of_class_folders(url, page, photo_jpeg, face_png, tmp_path):
    for name, data in (
        ("face/a.png", face_png),
        ("other/b.jpg", photo_jpeg),
        ("other/.hidden", b"x"),
        ("c.jpg", b"no"),
    ):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(data)
    page.goto(f"{url}/?from=Folder")
    page.locator("input[type=file]").set_input_files(tmp_path / "photos")
    page.get_by_text("2 of 3 images classified").wait_for()
    page.get_by_text("1 could not be read").wait_for()
    page.get_by_text("of 2 labelled images correct").wait_for()


def test_correct_a_label_and_download_the_manifest(url, page, tmp_path):
    page.goto(f"{url}/data?view=Label+issues")
    box = page.get_by_role("combobox", name="Label of").first
    box.click()
    page.get_by_role("option", name="remove image").click()
    page.get_by_text("1 image removed.").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download manifest.csv").click()
    download.value.save_as(tmp_path / "manifest.csv")
    rows = list(csv.DictReader((tmp_path / "manifest.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 199
    assert all(Path(row["path"]).is_file() for row in rows)


def test_two_visitors_do_not_see_each_others_images(url, page, browser, face_png):
    page.goto(f"{url}/?from=Upload")
    page.locator("input[type=file]").set_input_files({"name": "mine.png", "mimeType": "image/png", "buffer": face_png})
    page.get_by_alt_text("the image mine.png", exact=True).wait_for()
    other = browser.new_page()
    other.goto(f"{url}/?from=Upload")
    other.get_by_text("Add an image").wait_for()
    assert other.get_by_alt_text("the image mine.png", exact=True).count() == 0
    other.close()


def test_deeper_layers(url, page):
    page.goto(url)
    page.get_by_role("link", name="Deeper layers").click()
    page.get_by_role("heading", name="Product of the weights").wait_for()
    assert page.get_by_alt_text("Activation maximisation of").count() == 16


def test_look_at_a_unit_of_the_first_layer(url, page):
    page.goto(url)
    page.get_by_role("link", name="First layer").click()
    page.get_by_role("heading", name="First layer", exact=True).wait_for()
    page.get_by_alt_text("weights of unit 48:").first.wait_for()
    assert page.locator(".facette-tiles").first.locator("img").count() == 48
    page.get_by_label("Inspect unit").fill("7")
    page.keyboard.press("Enter")
    page.get_by_text("Unit 7:").wait_for()
    page.get_by_text("the image classified last").wait_for()  # the sample shown on the page before


def test_no_page_is_wider_than_a_phone(url, page, expect_no_horizontal_scrolling):
    page.set_viewport_size(PHONE)
    for place, title in (
        ("", "Classify images"),
        ("first-layer", "First layer"),
        ("deeper-layers", "Deeper layers"),
        ("data", "Data"),
        ("data?view=Label+issues", "Data"),
        ("model", "Model"),
    ):
        page.goto(f"{url}/{place}")
        page.get_by_role("heading", name=title, exact=True).wait_for()
        page.locator("[data-testid=stStatusWidget]").wait_for(state="detached")
        expect_no_horizontal_scrolling(page)


def test_the_keyboard_suffices(url, page):
    page.goto(url)
    page.get_by_role("table", name="Probability of each class").wait_for()

    def tab_to(words):
        for _ in range(30):
            page.keyboard.press("Tab")
            focus = page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel")
            if focus and focus.strip().endswith(words):
                return
        raise AssertionError(f"the Tab key does not reach {words}")

    tab_to("Samples")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_text("25MB per file").wait_for()
    tab_to("First layer")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="First layer", exact=True).wait_for()


def test_train_the_demo_where_there_is_no_model(serve, page, tmp_path):
    with serve(tmp_path) as url:
        page.goto(url)
        page.get_by_role("heading", name="No model yet").wait_for()
        page.get_by_role("button", name="Train the demo model").click()
        page.get_by_role("heading", name="Classify images").wait_for(timeout=180_000)  # it trains all of the demo
        page.get_by_role("table", name="Probability of each class").wait_for()
        assert (tmp_path / "runs" / "demo-faces" / "report.html").is_file()
