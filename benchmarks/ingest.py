"""How fast images become a data set: against plain loops over the same decoders, and as the images get many.

    python benchmarks/ingest.py --data PHOTOS [--rounds 5] [--threads 1]
    python benchmarks/ingest.py --growth 10000,30000,100000,300000 --figure docs/images/ingest.png

PHOTOS is a folder of photographs, of which those of about 500x375 are taken as they are, repeated under other names.
Contestants alternate, each with the same number of threads; what is given are medians: seconds by the clock, and of the
processor, which other programs disturb less. All bring the images to 64x64 RGB (small ones stay 32x32); only ours
also lists the files, hashes them, looks for near duplicates, measures, divides, and writes the data set file.
simplejpeg and OpenCV take part where they are installed. Memory is the peak of a process for each number of images.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.config import DataConfig
from pipeline.data.division import Undivided, divide
from pipeline.data.splits import UNDIVIDED
from pipeline.ingestion.ingest import ingest
from pipeline.sources.source import Sample, Source

SIDE = 64
Decode = Callable[[Path, int], np.ndarray]


def main() -> None:
    """Measure, and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of photographs")
    parser.add_argument("--images", type=int, default=1000, help="photographs (default: 1000)")
    parser.add_argument("--tiny", type=int, default=10_000, help="images of 32x32 (default: 10000)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--growth", default="", help="numbers of images, such as 10000,30000,100000,300000")
    parser.add_argument("--figure", type=Path, help="where to draw the growth")
    arguments = parser.parse_args()
    print(_about(arguments))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if arguments.data:
            photos, tiny = make_images(arguments.data, work, arguments.images, arguments.tiny)
            for title, root, side in (("photographs", photos, SIDE), ("images of 32x32", tiny, 32)):
                compare(title, root, side, work / "out.h5", arguments.rounds, arguments.threads)
        if arguments.growth:
            grow([int(m) for m in arguments.growth.split(",")], work, arguments.threads, arguments.figure)


def _about(arguments: argparse.Namespace) -> str:
    found = []
    for name in ("pillow", "numpy", "h5py", "simplejpeg", "opencv-python-headless"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"{arguments.threads} thread(s), {os.cpu_count()} cores, Python {sys.version.split()[0]}, {', '.join(found)}"


def make_images(data: Path, work: Path, n: int, n_tiny: int) -> tuple[Path, Path]:
    """Copy photographs of about 500x375 as they are, under n names in two classes, and cut small pieces of them."""
    rng = np.random.default_rng(0)
    found = [
        path for path in sorted(data.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg") and _is_ordinary(path)
    ]
    if not found:
        raise SystemExit(f"{data}: no JPEG photographs of about 500x375")
    encoded = [path.read_bytes() for path in found]
    for kind in ("photos", "tiny"):
        for label in "ab":
            (work / kind / label).mkdir(parents=True)
    for i in range(n):
        # Bytes after the end of the image make all files different ones, as far as their hashes tell.
        (work / "photos" / "ab"[i % 2] / f"{i:05d}.jpg").write_bytes(encoded[i % len(found)] + i.to_bytes(4, "big"))
    whole = [Image.open(io.BytesIO(content)).convert("RGB") for content in encoded]
    for i in range(n_tiny):
        image = whole[i % len(whole)]
        left, top = int(rng.integers(0, image.width - 32)), int(rng.integers(0, image.height - 32))
        piece = image.crop((left, top, left + 32, top + 32))
        piece.save(work / "tiny" / "ab"[i % 2] / f"{i:05d}.jpg", quality=90)
    size = np.mean([len(content) for content in encoded]) / 1000
    print(
        f"\n{n} photographs of about 500x375, {len(found)} of them different, {size:.0f} kB on average; {n_tiny} pieces"
    )
    return work / "photos", work / "tiny"


def _is_ordinary(path: Path) -> bool:
    with Image.open(path) as image:
        short, long = sorted(image.size)
        return long == 500 and 330 <= short <= 400 and image.mode == "RGB"


def pillow(path: Path, side: int) -> np.ndarray:
    """What most scripts do."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC))


def draft(path: Path, side: int) -> np.ndarray:
    """Let Pillow decode at a fraction of a half, a quarter or an eighth, with twice the size left."""
    with Image.open(path) as image:
        image.draft("RGB", (2 * side, 2 * side))
        small = image.convert("RGB")
        return np.asarray(small.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0))


def unpacking(path: Path, side: int) -> np.ndarray:
    """Decode at an eighth, and leave it at that: Huffman's code has to be read to the end at any scale."""
    with Image.open(path) as image:
        image.draft("RGB", (1, 1))
        return np.asarray(image)


def image_folder(path: Path, side: int) -> np.ndarray:
    """Do what torchvision's ImageFolder does with Resize and CenterCrop: its loader, and the shorter side first."""
    with path.open("rb") as file:
        image = Image.open(file).convert("RGB")
    scale = side / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return np.asarray(image.crop((left, top, left + side, top + side)))


def opencv(path: Path, side: int) -> np.ndarray:
    """OpenCV, with the one of its interpolations that antialiases."""
    import cv2

    found = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(cv2.resize(found, (side, side), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


def simplejpeg(path: Path, side: int) -> np.ndarray:
    """Decode at a fraction, with twice the size left: the limit."""
    import simplejpeg

    least = {"min_width": 2 * side, "min_height": 2 * side}
    found = simplejpeg.decode_jpeg(path.read_bytes(), min_factor=1, **least)
    return np.asarray(Image.fromarray(found).resize((side, side), Image.Resampling.BICUBIC))


LOOPS: dict[str, tuple[Decode, str]] = {
    "plain Pillow": (pillow, "pillow"),
    "Pillow, draft and reducing_gap": (draft, "pillow"),
    "ImageFolder-style": (image_folder, "pillow"),
    "OpenCV": (opencv, "opencv-python-headless"),
    "simplejpeg": (simplejpeg, "simplejpeg"),
    "unpacking alone": (unpacking, "pillow"),
}


def compare(title: str, root: Path, side: int, out: Path, rounds: int, threads: int) -> None:
    """Time all contestants in turn."""
    files = sorted(root.rglob("*.jpg"))
    contestants: dict[str, Callable[[], object]] = {}
    for name, (decode, package) in LOOPS.items():
        try:
            version(package)
        except PackageNotFoundError:
            continue
        contestants[name] = _loop(decode, files, side, threads)
    for name, exact in (("facette ingest", False), ("facette ingest --exact", True)):
        config = DataConfig(size=str(side), color="rgb", exact=exact)
        contestants[name] = partial(ingest, root, out, config, jobs=threads, overwrite=True)
    if "OpenCV" in contestants:
        import cv2

        cv2.setNumThreads(0)
    clock: dict[str, list[float]] = {name: [] for name in contestants}
    processor: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            begin, begin_processor = time.perf_counter(), time.process_time()
            run()
            if turn:  # the first is for warming up
                clock[name].append(time.perf_counter() - begin)
                processor[name].append(time.process_time() - begin_processor)
    print(f"\n{len(files):,} {title}\n\n| | images/s | images/CPU s | of plain Pillow | of simplejpeg |")
    print("|---|---|---|---|---|")
    middle = {name: statistics.median(processor[name]) for name in contestants}
    for name in contestants:
        last = f"{100 * middle['simplejpeg'] / middle[name]:.0f} %" if "simplejpeg" in middle else ""
        speeds = [len(files) / seconds for seconds in (statistics.median(clock[name]), middle[name])]
        print(
            f"| {name} | {speeds[0]:,.0f} | {speeds[1]:,.0f} | {middle['plain Pillow'] / middle[name]:.2f} | {last} |"
        )
    print("\nThe last two columns compare time of the processor.")


def _loop(decode: Decode, files: Sequence[Path], side: int, threads: int) -> Callable[[], object]:
    def run() -> None:
        if threads == 1:
            for path in files:
                decode(path, side)
            return
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(lambda path: decode(path, side), files):
                pass

    return run


def grow(numbers: Sequence[int], work: Path, threads: int, figure: Path | None) -> None:
    """Measure ingestion, and the search for duplicates with the division into splits, as m grows."""
    kinds: dict[str, Callable[[int], Callable[[], object]]] = {
        "ingest": partial(_ingest_many, work=work, threads=threads),
        "near duplicates and splits": partial(_divide, work=work),
    }
    found = {name: [_apart(run, m) for m in numbers] for name, run in kinds.items()}
    columns = [f"{name}, {unit}" for name in kinds for unit in ("s", "CPU s", "peak MB")]
    print("\n| images | " + " | ".join(columns) + " |\n|" + "---|" * (1 + len(columns)))
    for i, m in enumerate(numbers):
        cells = [
            f"{value:.1f}" if j < 2 else f"{value:,.0f}" for name in kinds for j, value in enumerate(found[name][i])
        ]
        print(f"| {m:,} | " + " | ".join(cells) + " |")
    lines = {name: [row[1] for row in rows] for name, rows in found.items()}
    for name, seconds in lines.items():
        if len(numbers) > 1:
            power = np.polyfit(np.log(numbers), np.log(seconds), 1)[0]
            grown = (found[name][-1][2] - found[name][0][2]) * 1e6 / (numbers[-1] - numbers[0])
            print(f"\n{name}: processor time grows as m to the {power:.2f}, memory by {grown:,.0f} bytes an image")
    if figure:
        draw(numbers, lines, figure)


def _apart(run: Callable[[int], Callable[[], object]], m: int) -> tuple[float, float, float]:
    """Run in a process of its own; return seconds by the clock and of the processor, and the peak of memory in MB."""
    receive, send = multiprocessing.get_context("spawn").Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_measure, args=(run, m, send))
    process.start()
    result = receive.recv()
    process.join()
    return result


def _measure(run: Callable[[int], Callable[[], object]], m: int, send: Connection) -> None:
    work = run(m)
    begin, begin_processor = time.perf_counter(), time.process_time()
    work()
    send.send((time.perf_counter() - begin, time.process_time() - begin_processor, _peak()))


def _ingest_many(m: int, work: Path, threads: int) -> Callable[[], object]:
    config = DataConfig(size="32", color="rgb")
    return partial(ingest, synthetic(m), work / f"{m}.h5", config, jobs=threads, overwrite=True)


def synthetic(m: int) -> Source:
    """Return m JPEGs of 32x32 that are in no file: 1,000 different ones, told apart by a comment."""
    rng = np.random.default_rng(0)
    low = rng.integers(0, 256, (1000, 4, 4, 3), dtype=np.uint8)
    encoded = []
    for corner in low:
        data = io.BytesIO()
        Image.fromarray(corner).resize((32, 32), Image.Resampling.BICUBIC).save(data, "JPEG", quality=90)
        encoded.append(data.getvalue())

    def read(sample: Sample) -> bytes:
        i = int(sample.key)
        comment = i.to_bytes(4, "big")
        data = encoded[i % 1000]
        return data[:2] + b"\xff\xfe\x00\x06" + comment + data[2:]

    samples = [Sample(f"{i % 10}/{i:08d}.jpg", str(i % 10), "", "", i) for i in range(m)]
    return Source("synthetic", "synthetic", samples, read)


def _divide(m: int, work: Path) -> Callable[[], object]:
    """Prepare the division of m images large enough to be compared, a tenth of them near copies of others."""
    rng = np.random.default_rng(0)
    thumbnails = np.memmap(work / f"{m}.thumbnails", np.uint8, "w+", shape=(m, 32, 32))  # in a file, as in an ingestion
    for start in range(0, m, 1000):
        n = min(1000, m - start)
        rough = np.kron(rng.normal(size=(n, 4, 4)), np.ones((8, 8))) + 0.3 * rng.normal(size=(n, 32, 32))
        thumbnails[start : start + n] = np.clip(40 * rough + 128, 0, 255)
    copies = rng.permutation(m)[: m // 10]
    for part in np.split(copies, range(1000, len(copies), 1000)):
        thumbnails[part] = np.clip(thumbnails[rng.integers(0, m, len(part))].astype(int) + 3, 0, 255)
    digests = rng.integers(0, 256, (m, 16), dtype=np.uint8)
    digests[copies[: m // 20]] = digests[rng.integers(0, m, m // 20)]
    labels = rng.integers(0, 10, m)
    classes = [str(k) for k in range(10)]
    given = np.full(m, UNDIVIDED, np.uint8)
    images = Undivided(labels, classes, given, [""] * m, digests, np.arange(m), thumbnails)
    return partial(divide, images, DataConfig())


def _peak() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def draw(numbers: Sequence[int], lines: dict[str, list[float]], path: Path) -> None:
    """Draw seconds over images, both on a logarithmic scale, with what a straight proportion would be."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    for name, seconds in lines.items():
        (line,) = axes.loglog(numbers, seconds, "o-", label=name)
        axes.loglog(numbers, [seconds[0] * m / numbers[0] for m in numbers], ":", color=line.get_color())
    axes.set_xlabel("images (dotted: in proportion)")
    axes.set_ylabel("seconds of the processor")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
