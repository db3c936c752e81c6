"""Decode unusual, rare and broken image files with Facette and with other libraries.

    python benchmarks/odd_files.py --data FOLDER [FOLDER ...]

Every file is read in a separate process, with limits on time and memory. Facette must return an image or one of its
error codes; the other libraries read a colour image at full size. OpenCV and scikit-image take part if they are
installed. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import platform
import re
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from pipeline.images.decode import decode_image, read_bytes
from pipeline.images.errors import ERROR_CODES, ImageError
from pipeline.images.geometry import Geometry
from pipeline.images.signatures import sniff

SECONDS, BYTES = 30, 4 << 30
GEOMETRY = Geometry(64, 64)


class Outcome(NamedTuple):
    """Result for one file: ok, an error code, the name of an exception, or DIED; and whether it wrote to stderr."""

    word: str
    message: str
    seconds: float
    megabytes: float
    wrote_to_stderr: bool


def facette(path: Path) -> tuple[str, str]:
    """Decode to 64x64 pixels."""
    try:
        decode_image(path, GEOMETRY)
    except ImageError as error:
        return (error.code if error.code in ERROR_CODES and "\n" not in str(error) else "BAD MESSAGE"), str(error)
    return "ok", ""


def pillow(path: Path) -> tuple[str, str]:
    """Open, load and convert."""
    with Image.open(path) as image:
        image.convert("RGB")
    return "ok", ""


def opencv(path: Path) -> tuple[str, str]:
    """Read as colour."""
    import cv2

    return ("ok" if cv2.imread(str(path)) is not None else "nothing"), ""


def scikit_image(path: Path) -> tuple[str, str]:
    """Read as stored."""
    import skimage.io

    skimage.io.imread(path)
    return "ok", ""


READERS: dict[str, tuple[str, Callable[[Path], tuple[str, str]]]] = {
    "Facette": ("pillow", facette),
    "Pillow": ("pillow", pillow),
    "OpenCV": ("opencv-python-headless", opencv),
    "scikit-image": ("scikit-image", scikit_image),
}


def apart(read: Callable[[Path], tuple[str, str]], path: Path) -> Outcome:
    """Read a file in a separate process."""
    out, into = os.pipe()
    stderr_out, stderr_in = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.dup2(stderr_in, 2)
            faulthandler.disable()
            resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            Path("/proc/self/clear_refs").write_text("5")  # restarts the measurement of the peak
            before, begin = _kilobytes("VmRSS"), time.perf_counter()
            try:
                word, message = read(path)
            except Exception as error:
                word, message = type(error).__name__, str(error)
            seconds = time.perf_counter() - begin
            result = [word, message[:300], seconds, max(0, _kilobytes("VmHWM") - before) / 1024]
            os.write(into, json.dumps(result).encode())
        finally:
            os._exit(0)
    os.close(into)
    os.close(stderr_in)
    with os.fdopen(out, "rb") as results, os.fdopen(stderr_out, "rb") as stderr:
        text, wrote_to_stderr = results.read(), bool(stderr.read())
    status = os.waitpid(child, 0)[1]
    if not text:
        return Outcome("DIED", f"status {status}", 0.0, 0.0, wrote_to_stderr)
    return Outcome(*json.loads(text), wrote_to_stderr)


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))


def format_of(path: Path) -> str:
    """Return the format that the first bytes of a file show."""
    try:
        return sniff(read_bytes(path)[:256])
    except ImageError as error:
        known = re.match(r"is (.+?), which is not supported", str(error))
        return known[1] if known else "(anything else)"


def table(rows: list[list[object]]) -> str:
    """Return a Markdown table; the first row is its header."""
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" + "|--:" * (len(rows[0]) - 1) + "|", *lines[1:]])


def main() -> None:
    """Read all files with all readers and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="folders of files")
    arguments = parser.parse_args()
    files = sorted(path for folder in arguments.data for path in folder.rglob("*") if path.is_file())
    readers = {}
    for name, (package, read) in READERS.items():
        try:
            version(package)
        except PackageNotFoundError:
            print(f"{package} is not installed, so {name} is left out", file=sys.stderr)
            continue
        readers[name] = read
    for name in readers:  # slow imports are done once, before the processes fork
        if name == "OpenCV":
            __import__("cv2").setNumThreads(1)
        if name == "scikit-image":
            __import__("skimage.io")
    found = {path: {name: apart(read, path) for name, read in readers.items()} for path in files}

    versions = ", ".join(f"{READERS[name][0]} {version(READERS[name][0])}" for name in readers)
    print(f"{len(files)} files; {versions}; Python {platform.python_version()}, one thread\n")
    formats = defaultdict(list)
    for path in files:
        formats[format_of(path)].append(path)
    order = sorted(formats, key=lambda name: (name.startswith("("), -len(formats[name]), name))

    words = sorted({found[path]["Facette"].word for path in files}, key=lambda w: (w != "ok", w))
    print("Results of Facette:\n")
    rows: list[list[object]] = [["format", "files", *words]]
    for name in order:
        counts = Counter(found[path]["Facette"].word for path in formats[name])
        rows.append([name, len(formats[name]), *(counts[word] or "" for word in words)])
    totals = Counter(found[path]["Facette"].word for path in files)
    print(table([*rows, ["**all**", len(files), *(totals[word] for word in words)]]))

    print("\nFiles read by each; died: crashed or exceeded the limits; stderr: wrote to stderr:\n")
    rows = [["format", "files", *readers]]
    for name in order:
        counts = Counter(reader for path in formats[name] for reader in readers if found[path][reader].word == "ok")
        rows.append([name, len(formats[name]), *(counts[reader] for reader in readers)])
    rows.append(["**all**", len(files), *(sum(found[p][r].word == "ok" for p in files) for r in readers)])
    rows.append(["died", "", *(sum(found[p][r].word == "DIED" for p in files) for r in readers)])
    rows.append(["stderr", "", *(sum(found[p][r].wrote_to_stderr for p in files) for r in readers)])
    for label, i, unit in (("slowest, s", 2, 2), ("most memory, MB", 3, 0)):
        rows.append([label, "", *(f"{max(found[p][r][i] for p in files):.{unit}f}" for r in readers)])
    rows.append(["all files, s", "", *(f"{sum(found[p][r].seconds for p in files):.1f}" for r in readers)])
    print(table(rows))

    for label, key in (("Slowest", 2), ("Most memory", 3)):
        print(f"\n{label} for Facette:\n")
        first = sorted(files, key=lambda path: -found[path]["Facette"][key])[:5]
        rows = [["file", "outcome", "s", "MB"]]
        for path in first:
            own = found[path]["Facette"]
            rows.append([path.name, own.word, f"{own.seconds:.3f}", f"{own.megabytes:.0f}"])
        print(table(rows))

    others = [name for name in readers if name != "Facette"]
    for label, wanted in (
        ("Read by Pillow and not by Facette, of the formats that Facette reads", True),
        ("Read by Facette and not by Pillow", False),
    ):
        chosen = [
            path
            for path in files
            if (found[path]["Facette"].word == "ok") != wanted
            and (found[path]["Pillow"].word == "ok") == wanted
            and found[path]["Facette"].word not in ("unsupported_format", "not_an_image")
        ]
        print(f"\n{label}: {len(chosen)}\n")
        rows = [["file", "Facette", *others]]
        for path in chosen:
            own = found[path]["Facette"]
            rows.append([path.name, f"{own.word} {own.message}".strip(), *(found[path][name].word for name in others)])
        if chosen:
            print(table(rows))


if __name__ == "__main__":
    main()
