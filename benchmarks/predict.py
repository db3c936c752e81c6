"""Compare `facette predict` with what users would write instead, and with the most that the machine can do.

Three comparisons, each in one run:

- `photographs`: files a second; the rate at which the same threads only decode them; and three loops with the same
  network: Pillow + scikit-learn, a PyTorch DataLoader, Pillow + onnxruntime;
- `tiny`: images a second from a data set file, for some networks, and their matrix products alone;
- `start`: seconds from the start of the process to the first row.

All contestants write a CSV file, use the same weights and the same number of threads. Each is run `--repeats` times,
in alternation; figures are medians, and the ratio is the median of the ratios within a turn.

    pip install -e ".[bench]" onnx onnxruntime     # what it is compared with; what is missing is left out
    python benchmarks/predict.py
    python benchmarks/predict.py --only tiny --tiny 300000
    python benchmarks/predict.py --only photographs --data FOLDER_OF_PHOTOS
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import PIL
import sklearn
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from model.config import NetworkConfig, TrainingConfig
from model.parameters import initialize
from pipeline.classifier import ImageClassifier
from pipeline.images.decode import decode_image, read_bytes
from pipeline.images.geometry import Geometry
from pipeline.ingestion.ingest import ingest
from pipeline.prediction.inputs import Inputs
from pipeline.prediction.job import PredictionJob, predict_to_file
from pipeline.prediction.predict import Settings
from pipeline.preprocess import Preprocessor
from pipeline.workers import Threads

HIDDEN = (256, 128)
NETWORKS = {
    "784-256-128-10": (28, "gray"),
    "784-512-256-10": (28, "gray"),
    "784-1024-512-10": (28, "gray"),  # what training takes for 50,000 images and more
    "3072-512-256-10": (32, "rgb"),
}
Runs = dict[str, Callable[[], object]]


def random_classifier(geometry: Geometry, n_classes: int, hidden: tuple[int, ...] = HIDDEN) -> ImageClassifier:
    """Return a classifier with random weights: how fast it is does not depend on them."""
    config = NetworkConfig(hidden=hidden, activation="relu", head="softmax", batch_norm=False, initializer="he")
    parameters = initialize((geometry.n_x, *hidden, n_classes), config, np.random.default_rng(0))
    classes = tuple(f"class {k}" for k in range(n_classes))
    return ImageClassifier(Preprocessor(geometry), config, parameters, classes, TrainingConfig())


def measure(contestants: Runs, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each contestant's runs, after one run that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats + 1):
        for name, run in contestants.items():
            begin = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def show(title: str, seconds: dict[str, list[float]], m: int) -> None:
    """Print rates, and their ratio to the first of them."""
    first = next(iter(seconds.values()))
    print(f"\n| {title} | images/s | of the first |\n|---|---:|---:|")
    for name, values in seconds.items():
        ratio = statistics.median(one / other for one, other in zip(first, values, strict=True))
        print(f"| {name} | {m / statistics.median(values):,.0f} | {ratio:.2f} |", flush=True)


def facette(classifier: ImageClassifier, source: Path, jobs: int, output: Path) -> Callable[[], object]:
    """Return what `facette predict SOURCE -o OUTPUT` does after starting up."""

    def run() -> None:
        with threadpool_limits(1):
            items = Inputs([str(source)], classifier.classes)
            job = PredictionJob(classifier, items, output, Settings(), overwrite=True)
            done = predict_to_file(job, Threads(jobs))
            done.journal.remove()

    return run


def write_rows(path: Path, names: list[str], probabilities: np.ndarray) -> None:
    """Write what a plain script would: name, class, probability."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(zip(names, probabilities.argmax(axis=1), probabilities.max(axis=1), strict=True))


def read_with_pillow(path: str, geometry: Geometry) -> np.ndarray:
    """Return an image as a row of values, as tutorials do it."""
    with Image.open(path) as image:
        small = image.convert("RGB").resize((geometry.width, geometry.height))
    return np.asarray(small, np.float32).reshape(-1) / 255


def with_sklearn(classifier: ImageClassifier, files: list[str], output: Path) -> Callable[[], object]:
    """A loop of Pillow and scikit-learn's MLPClassifier."""
    n_x, n_classes = classifier.geometry.n_x, len(classifier.classes)
    model = MLPClassifier(HIDDEN, max_iter=1)
    model.partial_fit(np.zeros((n_classes, n_x), np.float32), np.arange(n_classes), classes=np.arange(n_classes))
    layers = [classifier.parameters[l] for l in range(1, classifier.parameters.L + 1)]
    model.coefs_, model.intercepts_ = [W.T for W, _, _ in layers], [b[:, 0] for _, b, _ in layers]

    def run() -> None:
        parts = []
        for start in range(0, len(files), 64):
            X = np.stack([read_with_pillow(path, classifier.geometry) for path in files[start : start + 64]])
            parts.append(model.predict_proba(X))
        write_rows(output, files, np.concatenate(parts))

    return run


def with_torch(classifier: ImageClassifier, files: list[str], output: Path, jobs: int) -> Callable[[], object]:
    """A PyTorch DataLoader with as many worker processes as there are threads."""
    import torch

    network = torch.nn.Sequential()
    for l in range(1, classifier.parameters.L + 1):
        W, b, _ = classifier.parameters[l]
        linear = torch.nn.Linear(W.shape[1], W.shape[0])
        linear.weight.data, linear.bias.data = torch.from_numpy(W.copy()), torch.from_numpy(b[:, 0].copy())
        network.append(linear)
        network.append(torch.nn.ReLU() if l < classifier.parameters.L else torch.nn.Softmax(1))

    class Files(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, i: int) -> torch.Tensor:
            return torch.from_numpy(read_with_pillow(files[i], classifier.geometry))

    def run() -> None:
        loader = torch.utils.data.DataLoader(Files(), batch_size=64, num_workers=jobs)
        with torch.no_grad():
            write_rows(output, files, torch.cat([network(X) for X in loader]).numpy())

    return run


def with_onnx(classifier: ImageClassifier, files: list[str], output: Path, jobs: int) -> Callable[[], object]:
    """A loop of Pillow and onnxruntime."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, before = [], [], "X"
    for l in range(1, classifier.parameters.L + 1):
        W, b, _ = classifier.parameters[l]
        weights += [numpy_helper.from_array(W.T.copy(), f"W{l}"), numpy_helper.from_array(b[:, 0].copy(), f"b{l}")]
        kind = "Relu" if l < classifier.parameters.L else "Softmax"
        nodes += [helper.make_node("Gemm", [before, f"W{l}", f"b{l}"], [f"Z{l}"])]
        nodes += [helper.make_node(kind, [f"Z{l}"], [f"A{l}"])]
        before = f"A{l}"
    X = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, classifier.geometry.n_x])
    A = helper.make_tensor_value_info(before, TensorProto.FLOAT, [None, len(classifier.classes)])
    graph = helper.make_graph(nodes, "network", [X], [A], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = jobs
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def run() -> None:
        parts = []
        for start in range(0, len(files), 64):
            X = np.stack([read_with_pillow(path, classifier.geometry) for path in files[start : start + 64]])
            parts.append(session.run(None, {"X": X})[0])
        write_rows(output, files, np.concatenate(parts))

    return run


def photographs(folder: Path, n: int) -> Path:
    """Write `n` JPEG files of scikit-learn's two sample photographs, 640 x 427."""
    folder.mkdir()
    images = [Image.fromarray(image) for image in load_sample_images().images]
    for i in range(n):
        images[i % 2].save(folder / f"{i:05d}.jpg", quality=90)
    return folder


def compare_photographs(folder: Path, jobs: int, repeats: int, work: Path) -> None:
    """Print the rates on a folder of photographs."""
    classifier = random_classifier(Geometry(64, 64, "rgb", "crop"), 5)
    files = [str(item.path) for item in Inputs([str(folder)])]

    def decode_only() -> None:
        with ThreadPoolExecutor(jobs) as threads:
            for _ in threads.map(lambda path: decode_image(read_bytes(path), classifier.geometry), files, chunksize=16):
                pass

    contestants: Runs = {
        "decoding alone": decode_only,
        "facette": facette(classifier, folder, jobs, work / "out.csv"),
        "Pillow + scikit-learn": with_sklearn(classifier, files, work / "sklearn.csv"),
    }
    for name, make in (
        ("PyTorch DataLoader", lambda: with_torch(classifier, files, work / "torch.csv", jobs)),
        ("Pillow + onnxruntime", lambda: with_onnx(classifier, files, work / "onnx.csv", jobs)),
    ):
        try:
            contestants[name] = make()
        except ImportError as error:
            print(f"({name} is left out: {error})")
    show(f"{len(files):,} photographs to 64 x 64 colour", measure(contestants, repeats), len(files))


def compare_tiny(m: int, network: str, jobs: int, repeats: int, work: Path) -> None:
    """Print the rates of a network on tiny images in a data set file."""
    side, color = NETWORKS[network]
    geometry = Geometry(side, side, color, "crop")
    source, target = work / f"{color}.npy", work / f"{color}.h5"
    if not target.exists():
        np.save(source, np.random.default_rng(0).integers(0, 256, (m, *geometry.shape), dtype=np.uint8).squeeze())
        ingest(source, target)
    with h5py.File(target) as file:
        images = file["images"][:]
    hidden = tuple(map(int, network.split("-")[1:-1]))
    classifier = random_classifier(geometry, 10, hidden)
    X = classifier.preprocessor.apply(images)
    layers = [classifier.parameters[l].W for l in range(1, classifier.parameters.L + 1)]
    edges = list(pairwise(np.linspace(0, m, jobs + 1).astype(int).tolist()))

    def products() -> None:
        """All products, a part in each thread, into buffers that are there already."""

        def part(columns: tuple[int, int]) -> None:
            outs = [np.empty((len(W), 512), np.float32, order="F") for W in layers]
            for start in range(*columns, 512):
                A = X[:, start : min(start + 512, columns[1])]
                for W, out in zip(layers, outs, strict=True):
                    A = np.matmul(W, A, out=out[:, : A.shape[1]])

        with threadpool_limits(1), ThreadPoolExecutor(jobs) as threads:
            list(threads.map(part, edges))

    def memory() -> None:
        """The whole network on images that are in memory, without reading or writing."""
        with threadpool_limits(1), ThreadPoolExecutor(jobs) as threads:
            list(threads.map(lambda edge: classifier.probabilities(images[edge[0] : edge[1]]), edges))

    contestants: Runs = {
        "bare matrix products": products,
        "network, from and to memory": memory,
        "facette, HDF5 to CSV": facette(classifier, target, jobs, work / "tiny.csv"),
    }
    show(f"{m:,} images, {network}", measure(contestants, repeats), m)


def first_row(repeats: int, work: Path) -> None:
    """Print the time from the start of a process to its first row."""
    random_classifier(Geometry(64, 64, "rgb", "crop"), 5).save(work / "model.h5")
    image = next(photographs(work / "one", 1).iterdir())
    compiled = {**os.environ, "PYTHONPYCACHEPREFIX": str(work / "compiled")}  # as an installed program is
    compiled.pop("PYTHONDONTWRITEBYTECODE", None)
    words = [sys.executable, "-m", "pipeline.cli", "predict", str(work / "model.h5"), str(image)]

    def facette_starts() -> None:
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=compiled) as child:
            assert child.stdout
            child.stdout.readline()
            child.stdout.readline()

    def libraries() -> None:
        subprocess.run([sys.executable, "-c", "import numpy, h5py, PIL.Image"], check=True, env=compiled)

    def nothing() -> None:
        subprocess.run([sys.executable, "-c", ""], check=True, env=compiled)

    runs: Runs = {
        "facette: first row": facette_starts,
        "numpy, h5py and Pillow alone": libraries,
        "Python alone": nothing,
    }
    print("\n| from the start of the process | seconds |\n|---|---:|")
    for name, values in measure(runs, max(5, repeats)).items():
        print(f"| {name} | {statistics.median(values):.3f} |")


def main() -> None:
    """Run the comparisons."""
    parser = argparse.ArgumentParser(description="Compare facette predict with other ways.")
    parts = ("photographs", "tiny", "start")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts, help="what to compare (default: all)")
    parser.add_argument("--data", type=Path, help="a folder of photographs (default: made from scikit-learn's)")
    parser.add_argument("--photos", type=int, default=600, help="photographs to make (default: 600)")
    parser.add_argument("--tiny", type=int, default=100_000, help="tiny images (default: 100,000)")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=[*NETWORKS], help="default: all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="threads (default: all cores)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each (default: 5)")
    arguments = parser.parse_args()
    print(
        f"{arguments.jobs} threads on {os.cpu_count()} cores; Python {sys.version.split()[0]}, NumPy {np.__version__}, "
        f"h5py {h5py.__version__}, Pillow {PIL.__version__}, scikit-learn {sklearn.__version__}; medians of "
        f"{arguments.repeats} runs, taking turns"
    )
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        if "photographs" in arguments.only:
            folder = arguments.data or photographs(work / "photos", arguments.photos)
            compare_photographs(folder, arguments.jobs, arguments.repeats, work)
        if "tiny" in arguments.only:
            for network in arguments.networks:
                compare_tiny(arguments.tiny, network, arguments.jobs, arguments.repeats, work)
        if "start" in arguments.only:
            first_row(arguments.repeats, work)


if __name__ == "__main__":
    main()
