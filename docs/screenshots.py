"""Take the screenshots of the app that the documentation shows: ``make screenshots``.

Train the demos in a temporary folder, serve the app there, and visit its pages with a headless Chromium. All images
in the screenshots come with installed packages (lfw_subset of scikit-image; digits and photographs of scikit-learn).
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES = Path(__file__).parent / "images"
DESKTOP, PHONE = {"width": 1280, "height": 760}, {"width": 390, "height": 844}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SECONDS, TRAINING = 60, 300


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the app in a folder; yield its address."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pipeline.cli", "app", "--port", str(port), "--no-browser"]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        url, end = f"http://localhost:{port}", time.monotonic() + SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{url}/_stcore/health").close()
                break
            except OSError:
                if time.monotonic() > end or server.poll() is not None:
                    sys.exit("the app does not start")
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait()


def take(page: Page, name: str) -> None:
    """Save what the page shows, as a PNG of 256 colours."""
    page.locator("[data-testid=stStatusWidget]").wait_for(state="detached")
    page.evaluate("document.fonts.ready")
    page.mouse.move(0, 0)
    page.wait_for_timeout(800)  # until fades and bars stop moving
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = IMAGES / f"{name}.png"
    image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def photographs() -> list[dict[str, str | bytes]]:
    """Return files to upload: two photographs, two faces, and a file that is not an image."""
    from skimage.data import lfw_subset
    from sklearn.datasets import load_sample_images

    arrays = dict(zip(("temple.jpg", "flower.jpg"), load_sample_images().images, strict=True))
    arrays |= {
        "first.png": (255 * lfw_subset()[3]).astype("uint8"),
        "second.png": (255 * lfw_subset()[60]).astype("uint8"),
    }
    files: list[dict[str, str | bytes]] = []
    for name, array in arrays.items():
        data = io.BytesIO()
        Image.fromarray(array).save(data, format="jpeg" if name.endswith("jpg") else "png")
        files.append({"name": name, "mimeType": "image/*", "buffer": data.getvalue()})
    return [*files, {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"a shopping list"}]


def main() -> None:
    """Take all screenshots."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("Chromium is needed: install the system's package chromium")
    IMAGES.mkdir(exist_ok=True)
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder, profile = Path(scratch) / "facette", Path(scratch) / "profile"
        folder.mkdir()
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, headless=True, args=FLAGS, viewport=DESKTOP
        )
        page = browser.pages[0]
        page.set_default_timeout(1000 * SECONDS)
        with serving(folder) as url:
            page.goto(url)
            page.get_by_role("button", name="Train the demo model").wait_for()
            take(page, "app-empty")
            for demo in ("digits", "faces"):
                subprocess.run(
                    [sys.executable, "-m", "pipeline.cli", "demo", demo],
                    cwd=folder,
                    check=True,
                    capture_output=True,
                )
            page.goto(f"{url}/?sample=7")
            page.get_by_text("True class").wait_for()
            take(page, "app")
            page.goto(f"{url}/?from=Upload")
            page.locator("input[type=file]").set_input_files(photographs())
            page.get_by_text("4 of 5 images classified").wait_for()
            page.locator("[data-testid=stDataFrame] canvas").first.wait_for()
            page.get_by_role("button", name="Download JSONL").wait_for()
            take(page, "app-many")
            page.goto(f"{url}/?model=demo-digits&sample=4")
            page.get_by_text("True class").wait_for()
            take(page, "app-digits")
            for place, name, last in (
                ("first-layer", "app-first-layer", "Is it more than chance?"),
                ("deeper-layers", "app-deeper-layers", "Product of the weights"),
                ("data?model=demo-digits&view=Label+issues", "app-data", "Search in"),
                ("model", "app-model", "Training"),
            ):
                page.goto(f"{url}/{place}")
                page.get_by_text(last, exact=True).wait_for()
                take(page, name)
            page.goto(f"{url}/playground?images=Digits&hidden=64&epochs=20")
            page.get_by_role("button", name="Start").click()
            page.get_by_text("Done: 20 epochs").wait_for(timeout=1000 * TRAINING)
            page.get_by_text("Validation images").wait_for()
            take(page, "app-playground")
            page.set_viewport_size(PHONE)
            page.goto(f"{url}/?sample=3")
            page.get_by_text("True class").wait_for()
            take(page, "app-phone")
        browser.close()


if __name__ == "__main__":
    main()
