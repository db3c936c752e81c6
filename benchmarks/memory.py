"""Measure the memory of training, and what it costs to leave the images in their file.

Images of 28x28 train a network 784-512-256-10 in batches of 128: held in memory as 8-bit pixels, or read from an
HDF5 file through windows of a tenth of their size. Each run is a separate process, and the runs take turns. The table
gives the peak memory of the process minus that at its start (Python and libraries), the size of the images, and the
seconds per epoch, with the file in the cache of the operating system.

    python benchmarks/memory.py
    python benchmarks/memory.py --m 60000 --repeats 5
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
from threadpoolctl import threadpool_limits

from model.config import NetworkConfig, TrainingConfig
from model.training import start, train
from pipeline.images.geometry import Geometry
from pipeline.preprocess import Preprocessor
from pipeline.training.batches import FileBatches, MemoryBatches

SIDE = 28


def write_images(path: Path, m: int) -> None:
    """Write random images in the layout of a data set, a chunk at a time."""
    rng, chunk = np.random.default_rng(0), 1024
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", (m, SIDE, SIDE, 1), np.uint8, chunks=(chunk, SIDE, SIDE, 1))
        for first in range(0, m, chunk):
            images[first : first + chunk] = rng.integers(0, 256, (min(chunk, m - first), SIDE, SIDE, 1), np.uint8)
        file["labels"] = rng.integers(0, 10, m)


def peak() -> float:
    """Return the peak memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def child(path: Path, where: str, threads: int) -> None:
    """Train two epochs; print the MB beyond those at the start, and the seconds of the second epoch."""
    at_start = peak()
    preprocessor = Preprocessor(Geometry(height=SIDE, width=SIDE, color="gray", fit="pad"))
    with h5py.File(path) as file:
        labels = file["labels"][()]
        source: MemoryBatches | FileBatches
        if where == "memory":
            source = MemoryBatches(file["images"][()], labels, preprocessor)
        else:
            dataset = SimpleNamespace(images=file["images"], labels=labels)
            source = FileBatches(dataset, np.arange(len(labels)), preprocessor, len(labels) * SIDE**2 // 10)  # type: ignore[arg-type]
        network = NetworkConfig(hidden=(512, 256), batch_norm=False)
        training = TrainingConfig(epochs=2, batch_size=128, optimizer="adam")
        state = start(network, training, n_x=SIDE**2, m=len(labels), n_classes=10)
        with threadpool_limits(threads):
            *_, last = train(state, source)
    print(peak() - at_start, last.seconds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--m", type=int, nargs="+", default=[60_000, 200_000])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(Path(options.child[0]), options.child[1], options.threads)
        return
    print(f"{options.threads} threads, medians of {options.repeats}; NumPy {np.__version__}, h5py {h5py.__version__}\n")
    print("| Images | Size | Held in | Memory | Seconds per epoch | Images per second |\n|--:|--:|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for m in options.m:
            path = Path(folder) / f"{m}.h5"
            write_images(path, m)
            results: dict[str, list[list[float]]] = {"memory": [], "file": []}
            for _ in range(options.repeats):
                for where, measured in results.items():
                    command = [sys.executable, __file__, "--threads", str(options.threads), "--child", str(path), where]
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                    measured.append([float(number) for number in done.stdout.split()])
            for where, measured in results.items():
                megabytes, seconds = (statistics.median(values) for values in zip(*measured, strict=True))
                size = m * SIDE**2 / 1e6
                print(f"| {m:,} | {size:.0f} MB | {where} | {megabytes:.0f} MB | {seconds:.2f} | {m / seconds:,.0f} |")


if __name__ == "__main__":
    main()
