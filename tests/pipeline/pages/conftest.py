"""A model trained for a moment on real images, in a run folder as `facette train` leaves it; the app in a browser."""

import io
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from model.config import NetworkConfig, TrainingConfig
from pipeline.sources.demo import write_demo
from pipeline.training.prepare import prepare

SMALL = NetworkConfig(hidden=(32,)), TrainingConfig(epochs=4, batch_size=32, pretrain="none")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with data/faces and runs/faces; not to be changed."""
    root = tmp_path_factory.mktemp("trained")
    source = write_demo("faces", root / "data" / "faces")
    run = prepare(source, root / "runs" / "faces", network=SMALL[0], training=SMALL[1])
    with run.dataset:
        list(run.epochs())
        run.finish()
    return root


@pytest.fixture(scope="session")
def photo():
    """The bytes of a wide colour photograph, as JPEG."""
    from sklearn.datasets import load_sample_image

    data = io.BytesIO()
    Image.fromarray(load_sample_image("china.jpg")).save(data, format="jpeg")
    return data.getvalue()


@pytest.fixture(scope="session")
def face():
    """The bytes of a face, as PNG."""
    from skimage.data import lfw_subset

    data = io.BytesIO()
    Image.fromarray(np.rint(lfw_subset()[0] * 255).astype(np.uint8)).save(data, format="png")
    return data.getvalue()


ROOT = Path(__file__).parents[3]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SECONDS = 60


class ServedApp(NamedTuple):
    """The app as a process, and its address."""

    process: subprocess.Popen
    url: str

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="session")
def serve():
    """Start the app in a folder; return it once it answers."""

    def start(folder, *arguments):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "pipeline.cli", "app", "--port", str(port), "--no-browser", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with (folder / "server.log").open("w") as log:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        app = ServedApp(process, f"http://localhost:{port}")
        for _ in range(SECONDS * 5):
            try:
                with urllib.request.urlopen(f"{app.url}/_stcore/health") as answer:
                    if answer.status == 200:
                        return app
            except OSError:
                if process.poll() is not None:
                    break
                with pytest.raises(subprocess.TimeoutExpired):  # wait a little, or until it ends
                    process.wait(0.2)
        app.stop()
        raise AssertionError(f"the app does not answer:\n{(folder / 'server.log').read_text()}")

    return start


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A headless Chromium with a profile of its own."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium here; install the system's package chromium")
    with playwright.sync_playwright() as run:
        context = run.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("browser"),
            executable_path=CHROMIUM,
            headless=True,
            args=FLAGS,
            viewport={"width": 1280, "height": 900},
        )
        yield context
        context.close()


@pytest.fixture
def page(browser):
    """A page of the browser, which must not send a request to another machine."""
    page = browser.new_page()
    page.set_default_timeout(SECONDS * 1000)
    elsewhere = []
    page.on("request", lambda request: elsewhere.append(request.url) if _leaves(request.url) else None)
    yield page
    page.close()
    assert elsewhere == [], "the page sends requests to other machines"


def _leaves(url):
    return url.startswith("http") and not url.startswith("http://localhost:")


@pytest.fixture
def phone(page):
    """The page at the size of a phone."""
    page.set_viewport_size({"width": 390, "height": 844})
    return page


@pytest.fixture(scope="session")
def expect_no_horizontal_scrolling():
    """Fail if what a page shows is wider than its window."""

    def expect(page):
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), page.url

    return expect
