"""A served app and a real browser without a window."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

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


@pytest.fixture(autouse=True)
def _main_module():
    """Put back the main module, which Streamlit's AppTest replaces and worker processes of later tests would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def serve():
    """Return a context manager that starts the app in a folder and gives its address once it answers."""

    @contextmanager
    def served(folder, *arguments):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "pipeline.cli", "app", "--port", str(port), "--no-browser", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with (folder / "server.log").open("w") as log:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            yield _wait_for_answer(process, f"http://localhost:{port}", folder / "server.log")
        finally:
            process.terminate()
            process.wait(20)

    return served


def _wait_for_answer(process, url, log):
    for _ in range(SECONDS * 5):
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health") as answer:
                if answer.status == 200:
                    return url
        except OSError:
            if process.poll() is not None:
                break
            with pytest.raises(subprocess.TimeoutExpired):  # wait a little, or until it ends
                process.wait(0.2)
    raise AssertionError(f"the app does not answer:\n{log.read_text()}")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium here; install the system's package chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    folder = tmp_path_factory.mktemp("browser")
    with playwright.sync_playwright() as run:
        context = run.chromium.launch_persistent_context(
            folder, executable_path=CHROMIUM, headless=True, args=FLAGS, viewport={"width": 1280, "height": 900}
        )
        yield context
        context.close()


@pytest.fixture
def page(browser):
    page = browser.new_page()
    page.set_default_timeout(SECONDS * 1000)
    elsewhere = []
    page.on("request", lambda request: elsewhere.append(request.url) if _leaves(request.url) else None)
    yield page
    page.close()
    assert elsewhere == [], "the page sends requests to other machines"


def _leaves(url):
    return url.startswith("http") and not url.startswith("http://localhost:")


@pytest.fixture(scope="session")
def expect_no_horizontal_scrolling():
    """Return a function that checks that all of a page fits the width of the screen."""
    fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"

    def expect(page):
        assert page.evaluate(fits), page.url

    return expect
