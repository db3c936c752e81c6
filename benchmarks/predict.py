"""Compare `facette predict` with what people would write instead, and with what the machine can do at most.

Three questions, answered side by side in one run:

- ordinary photographs: files a second, beside the rate at which the same threads only decode them, and beside three
  loops with the same network: Pillow + scikit-learn, a PyTorch DataLoader, Pillow + onnxruntime;
- tiny pictures from a data set file: pictures a second, beside the network's bare matrix products;
- seconds from the start of the process to the first row.

All contestants write a CSV file, use the same weights and the same number of threads. Each is run `--repeat` times,
taking turns, and the best time counts: what disturbs a machine only makes it slower.

    pip install -e ".[bench]" onnx onnxruntime     # peers to compare with; those missing are left out
    python benchmarks/predict.py
    python benchmarks/predict.py --data FOLDER_OF_PHOTOS
"""

from __future__ import annotations

import argparse
import csv
import os
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
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from model.config import NetworkConfig, TrainingConfig
from model.network import class_probabilities
from model.parameters import initialize
from pipeline.batch import Threads, predict_to_file
from pipeline.classifier import ImageClassifier
from pipeline.config import Geometry
from pipeline.images import decode, read_bytes
from pipeline.ingest import ingest
from pipeline.inputs import Inputs
from pipeline.predict import Settings
from pipeline.preprocess import Preprocessor
from pipeline.writers import FORMATS

HIDDEN = (256, 128)


def random_classifier(geometry: Geometry, n_classes: int) -> ImageClassifier:
    """Return a classifier with random weights: how fast it is does not depend on them."""
    config = NetworkConfig(hidden=HIDDEN, activation="relu", head="softmax", batch_norm=False, initializer="he")
    parameters = initialize((geometry.n_x, *HIDDEN, n_classes), config, np.random.default_rng(0))
    classes = tuple(f"class {k}" for k in range(n_classes))
    return ImageClassifier(Preprocessor(geometry), config, parameters, classes, TrainingConfig())


def best(contestants: dict[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """Return the least seconds of each contestant."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeat):
        for name, run in contestants.items():
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
    return {name: min(values) for name, values in seconds.items()}


def facette(classifier: ImageClassifier, source: Path, jobs: int, output: Path) -> Callable[[], object]:
    """Return what `facette predict SOURCE -o OUTPUT` does after starting up."""

    def run() -> None:
        with threadpool_limits(1):
            items = Inputs([str(source)], classifier.classes)
            done = predict_to_file(
                classifier, items, output, FORMATS["csv"], Settings(), work=Threads(jobs), overwrite=True
            )
            done.journal.remove()

    return run


def write_rows(path: Path, names: list[str], probabilities: np.ndarray) -> None:
    """Write what a plain script would: name, class, probability."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(zip(names, probabilities.argmax(axis=1), probabilities.max(axis=1), strict=True))


def read_with_pillow(path: str, geometry: Geometry) -> np.ndarray:
    """Return a picture as a row of numbers, the way tutorials do it."""
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
    """A PyTorch DataLoader with as many worker processes as threads are allowed."""
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


def with_onnx(classifier: ImageClassifier, files: list[str], output: Path) -> Callable[[], object]:
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
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])

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


def compare_photographs(folder: Path, jobs: int, repeat: int, work: Path) -> None:
    """Print the rates on a folder of photographs."""
    classifier = random_classifier(Geometry(64, 64, "rgb", "crop"), 5)
    files = [str(item.path) for item in Inputs([str(folder)])]

    def decode_only() -> None:
        with ThreadPoolExecutor(jobs) as threads:
            for _ in threads.map(lambda path: decode(read_bytes(path), classifier.geometry), files, chunksize=16):
                pass

    contestants: dict[str, Callable[[], object]] = {
        "decoding alone": decode_only,
        "facette": facette(classifier, folder, jobs, work / "out.csv"),
        "Pillow + scikit-learn": with_sklearn(classifier, files, work / "sklearn.csv"),
    }
    for name, make in (
        ("PyTorch DataLoader", lambda: with_torch(classifier, files, work / "torch.csv", jobs)),
        ("Pillow + onnxruntime", lambda: with_onnx(classifier, files, work / "onnx.csv")),
    ):
        try:
            contestants[name] = make()
        except ImportError as error:
            print(f"  ({name} is left out: {error})")
    show(f"{len(files)} photographs to 64 x 64 colour", best(contestants, repeat), len(files), "decoding alone")


def compare_tiny(m: int, jobs: int, repeat: int, work: Path) -> None:
    """Print the rates on pictures of 28 x 28 in a data set file."""
    images = np.random.default_rng(0).integers(0, 256, (m, 28, 28), dtype=np.uint8)
    np.save(work / "tiny.npy", images)
    ingest(work / "tiny.npy", work / "tiny.h5")
    with h5py.File(work / "tiny.h5") as file:
        images = file["images"][:]
    classifier = random_classifier(Geometry(28, 28, "gray", "crop"), 10)
    X = classifier.preprocessor.apply(images)
    layers = [classifier.parameters[l].W for l in range(1, classifier.parameters.L + 1)]

    def products() -> None:
        """All products, a part in each thread, into buffers that are there already."""

        def part(columns: tuple[int, int]) -> None:
            outs = [np.empty((len(W), 512), np.float32, order="F") for W in layers]
            for start in range(*columns, 512):
                A = X[:, start : min(start + 512, columns[1])]
                for W, out in zip(layers, outs, strict=True):
                    A = np.matmul(W, A, out=out[:, : A.shape[1]])

        with threadpool_limits(1), ThreadPoolExecutor(jobs) as threads:
            list(threads.map(part, pairwise(np.linspace(0, len(images), jobs + 1).astype(int).tolist())))

    def network() -> None:
        with threadpool_limits(1), ThreadPoolExecutor(jobs) as threads:
            edges = list(pairwise(np.linspace(0, len(images), jobs + 1).astype(int).tolist()))
            list(
                threads.map(
                    lambda e: class_probabilities(X[:, e[0] : e[1]], classifier.parameters, classifier.network), edges
                )
            )

    contestants = {
        "bare products": products,
        "network on X": network,
        "facette": facette(classifier, work / "tiny.h5", jobs, work / "tiny.csv"),
    }
    show(f"{len(images)} pictures of 28 x 28 from HDF5 to CSV", best(contestants, repeat), len(images), "bare products")


def first_row(work: Path, repeat: int) -> None:
    """Print the time from the start of a process to its first row."""
    classifier = random_classifier(Geometry(64, 64, "rgb", "crop"), 5)
    classifier.save(work / "model.h5")
    picture = next((work / "photos").iterdir())
    words = [sys.executable, "-m", "pipeline.cli", "predict", str(work / "model.h5"), str(picture)]

    def facette_starts() -> None:
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            assert child.stdout
            child.stdout.readline()
            child.stdout.readline()

    def libraries() -> None:
        subprocess.run([sys.executable, "-c", "import numpy, h5py, PIL.Image"], check=True)

    found = best({"first row": facette_starts, "numpy, h5py and Pillow alone": libraries}, max(5, repeat))
    print("From the start of the process")
    for name, seconds in found.items():
        print(f"  {name:30} {seconds:8.3f} s")


def show(title: str, seconds: dict[str, float], m: int, measure: str) -> None:
    """Print rates, and their ratio to one of them."""
    print(title)
    for name, value in seconds.items():
        print(f"  {name:30} {m / value:10,.0f} /s {seconds[measure] / value:8.2f}")


def main() -> None:
    """Run all three comparisons."""
    parser = argparse.ArgumentParser(description="Compare facette predict with other ways.")
    parser.add_argument("--data", type=Path, help="a folder of photographs (default: made from scikit-learn's)")
    parser.add_argument("--photos", type=int, default=1500, help="photographs to make (default: 1500)")
    parser.add_argument("--tiny", type=int, default=100_000, help="tiny pictures (default: 100,000)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="threads (default: all cores)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each (default: 3)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        made = photographs(work / "photos", arguments.photos)
        print(f"{arguments.jobs} threads on {os.cpu_count()} cores; rates, and their ratio to the first line")
        compare_photographs(arguments.data or made, arguments.jobs, arguments.repeat, work)
        compare_tiny(arguments.tiny, arguments.jobs, arguments.repeat, work)
        first_row(work, arguments.repeat)


if __name__ == "__main__":
    main()
