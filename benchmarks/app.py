"""Measure the app from a browser: first useful paint, upload to prediction, and twenty visitors at once.

    python benchmarks/app.py                   # about two minutes
    python benchmarks/app.py --runs runs       # with your own runs instead of the face demo
    python benchmarks/app.py --sessions 5 --repeats 3

Needs Chromium, Playwright and scikit-image (pip install 'facette[dev]'). The server and the browser share this machine,
so every figure includes the work of the browser. The result is printed as Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

ROOT = Path(__file__).parents[1]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
ANSWER = "table[aria-label='Probability of each class']"
PAINT_AIM, ANSWER_AIM = 2000, 300  # milliseconds


@contextmanager
def serving(folder: Path, runs: Path) -> Iterator[tuple[str, int, float]]:
    """Serve the app; yield its address, its process ID, and the milliseconds until it answered."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "pipeline.cli",
        "app",
        "--port",
        str(port),
        "--no-browser",
        "--runs",
        str(runs),
    ]
    begin = time.perf_counter()
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
    try:
        url = f"http://localhost:{port}"
        while True:
            try:
                urllib.request.urlopen(f"{url}/_stcore/health").close()
                break
            except OSError:
                if server.poll() is not None or time.perf_counter() > begin + 60:
                    sys.exit(f"the app does not start:\n{(folder / 'server.log').read_text()}")
                time.sleep(0.02)
        yield url, server.pid, 1000 * (time.perf_counter() - begin)
    finally:
        server.terminate()
        server.wait()


def photograph(width: int) -> bytes:
    """Return an enlarged photograph, with an aspect of 3:2, as JPEG."""
    from sklearn.datasets import load_sample_image

    image, data = Image.fromarray(load_sample_image("china.jpg")), io.BytesIO()
    image.resize((width, width * 2 // 3), Image.Resampling.BICUBIC).save(data, format="jpeg", quality=92)
    return data.getvalue()


@asynccontextmanager
async def visitor(browser: Browser) -> AsyncIterator[Page]:
    """Yield a page with an empty cache."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    yield await context.new_page()
    await context.close()


async def first_paint(browser: Browser, url: str) -> float:
    """Return the milliseconds from the request of the page to a classified sample."""
    async with visitor(browser) as page:
        begin = time.perf_counter()
        await page.goto(url, wait_until="commit")
        await page.locator(ANSWER).wait_for()
        return 1000 * (time.perf_counter() - begin)


async def upload(browser: Browser, url: str, photo: Path) -> float:
    """Return the milliseconds from choosing a file to its probabilities.

    As for a person, the page is idle before (no request for half a second), and the browser reads the file from disk:
    sending the bytes to the browser would take longer than all the rest.
    """
    async with visitor(browser) as page:
        await page.goto(f"{url}/?from=Upload", wait_until="networkidle")
        await page.get_by_text("Add an image").wait_for()
        begin = time.perf_counter()
        await page.locator("input[type=file]").set_input_files(photo)
        await page.locator(ANSWER).wait_for()
        return 1000 * (time.perf_counter() - begin)


async def click(page: Page, sample: str) -> float:
    """Return the milliseconds from choosing a sample to its probabilities."""
    shown = page.locator(".facette-views img").first
    before = await shown.get_attribute("alt")
    begin = time.perf_counter()
    await page.get_by_role("radio", name=sample, exact=True).click()
    changed = "before => { const image = document.querySelector('.facette-views img'); return image?.alt != before }"
    await page.wait_for_function(changed, arg=before)
    return 1000 * (time.perf_counter() - begin)


async def crowd(browser: Browser, url: str, process: int, n: int) -> tuple[float, list[float], list[float]]:
    """Let n visitors arrive one after another, then all click at once.

    Returns
    -------
    memory : float
        Megabytes of the server with all visitors.
    alone, together : list of float
        Milliseconds of each click, if the visitors click one after another, and if all click at once.
    """
    visitors = [visitor(browser) for _ in range(n)]
    pages = [await context.__aenter__() for context in visitors]
    for page in pages:
        await page.goto(url)
        await page.locator(ANSWER).wait_for()
    alone = [await click(page, "2") for page in pages]
    together = await asyncio.gather(*(click(page, "3") for page in pages))
    used = megabytes(process)
    for context in visitors:
        await context.__aexit__(None, None, None)
    return used, alone, list(together)


def megabytes(process: int) -> float:
    """Return the resident memory of a process in MB; nan if there is no /proc."""
    status = Path(f"/proc/{process}/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if status.exists() else float("nan")


def row(what: str, values: Sequence[float], aim: str = "", unit: str = "ms") -> str:
    """Return a row of the table: median and worst."""
    return f"| {what} | {statistics.median(values):,.0f} {unit} | {max(values):,.0f} {unit} | {aim} |"


async def measure(folder: Path, runs: Path, arguments: argparse.Namespace) -> list[str]:
    """Measure everything; return the rows of the table."""
    from playwright.async_api import async_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("Chromium is needed: install the system's package chromium")
    repeats = range(arguments.repeats)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        with serving(folder, runs) as (url, process, started):
            lines = [row("start of the server", [started])]
            lines.append(row("first useful paint, first visitor", [await first_paint(browser, url)]))
            paints = [await first_paint(browser, url) for _ in repeats]
            lines.append(row("first useful paint, later visitors", paints, f"under {PAINT_AIM:,} ms"))
            for width in (640, 4032):
                photo = folder / f"{width}.jpg"
                photo.write_bytes(photograph(width))
                times = [await upload(browser, url, photo) for _ in repeats]
                name = f"upload to prediction, {width}×{width * 2 // 3} JPEG of {photo.stat().st_size / 1e6:.1f} MB"
                lines.append(row(name, times, f"under {ANSWER_AIM:,} ms"))
            before = megabytes(process)
            used, alone, together = await crowd(browser, url, process, arguments.sessions)
            lines.append(row("memory of the server, one visitor at a time", [before], unit="MB"))
            lines.append(row(f"memory of the server, {arguments.sessions} visitors", [used], unit="MB"))
            lines.append(row(f"another sample, {arguments.sessions} visitors, one clicks", alone))
            lines.append(row(f"another sample, {arguments.sessions} visitors, all click at once", together))
        await browser.close()
    return lines


def main() -> None:
    """Train the face demo if no runs are given, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="folder of runs (default: the face demo, trained now)")
    parser.add_argument("--sessions", type=int, default=20, help="visitors at once (default: 20)")
    parser.add_argument("--repeats", type=int, default=7, help="repeats of each measurement (default: 7)")
    arguments = parser.parse_args()
    load = os.getloadavg() if hasattr(os, "getloadavg") else ()
    with tempfile.TemporaryDirectory(prefix="facette-") as scratch:
        folder = Path(scratch)
        runs = arguments.runs.absolute() if arguments.runs else folder / "runs"
        if not arguments.runs:
            demo = [sys.executable, "-m", "pipeline.cli", "demo", "faces"]
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            subprocess.run(demo, cwd=folder, env=environment, check=True, capture_output=True)
        lines = asyncio.run(measure(folder, runs, arguments))
    names = ("streamlit", "playwright", "numpy", "pillow")
    print(
        f"{os.cpu_count()} cores, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in names)
        + f"; medians and worst of {arguments.repeats}, with the browser on the same machine"
        + (f"; load {load[0]:.1f} before, {os.getloadavg()[0]:.1f} after\n" if load else "\n")
    )
    print("| | median | worst | aim |\n|---|---|---|---|\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
