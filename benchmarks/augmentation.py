"""Compare the time to augment a batch of images with the time of its training step; both on one thread.

    python benchmarks/augmentation.py

The two are timed in turns. In a training run they run at the same time, each in its own thread.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from model.batches import Batch
from model.config import NetworkConfig, TrainingConfig
from model.training import Trainer, start
from pipeline.images.augment import AugmentConfig, augment, resolve_augmentation
from pipeline.images.geometry import Geometry
from pipeline.preprocess import Preprocessor

# height, width, color, images in a batch, recipe, hidden layers
CASES = (
    (28, 28, "gray", 256, "digits", (1024, 512)),
    (28, 28, "gray", 256, "digits", (512, 256)),
    (28, 28, "gray", 256, "affine", (512, 256)),
    (64, 64, "rgb", 32, "affine", (512, 256)),
    (64, 64, "rgb", 64, "objects", (512, 256)),
)


def times(*contestants: Callable[[], object], repeats: int = 31) -> list[float]:
    """Return the median milliseconds of each, timed in turns."""
    found = np.empty((repeats, len(contestants)))
    for row in found:
        for k, work in enumerate(contestants):
            begin = time.perf_counter()
            work()
            row[k] = 1000 * (time.perf_counter() - begin)
    return list(np.median(found, axis=0))


def main() -> None:
    """Print a table with a row for each case."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    rng = np.random.default_rng(0)
    print(f"One thread; medians of 31; Python {platform.python_version()}, numpy {np.__version__}\n")
    print("| images | recipe | layers | augmenting, ms | training step, ms | ratio |\n" + "|---" * 6 + "|")
    for height, width, color, b, recipe, hidden in CASES:
        geometry = Geometry(height, width, color)
        pixels, labels = rng.integers(0, 256, (b, geometry.n_x), dtype=np.uint8), rng.integers(0, 10, b)
        config = resolve_augmentation(AugmentConfig(recipe), b)
        training = TrainingConfig(batch_size=b)
        state = start(NetworkConfig(hidden), training, n_x=geometry.n_x, m=b, n_classes=10)
        run, batch = Trainer(state, labels), Batch(Preprocessor(geometry).apply(pixels), labels)
        with threadpool_limits(1):
            augmenting, step = times(
                lambda: augment(pixels, geometry, config, rng),  # noqa: B023
                lambda: run.step(batch, 1e-3),  # noqa: B023
            )
        layers = "-".join(map(str, hidden))
        print(
            f"| {b} of {height}x{width} {color} | {recipe} | {layers} | {augmenting:.2f} | {step:.2f} "
            f"| {augmenting / step:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
