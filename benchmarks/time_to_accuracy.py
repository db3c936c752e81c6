"""Measure how long training takes to reach an accuracy: from arrays in memory to the last step, on two cores.

    python benchmarks/time_to_accuracy.py --data DIR --seeds 3

DIR holds mnist.npz and fashion_mnist.npz. Each goal has its own settings, chosen on validation images (`--validation`
trains on 50,000 images and evaluates on the other 10,000). The accuracy after the last step counts, since it would be
optimistic to stop at the best point of a noisy curve. Seconds include scaling the images, but not reading them and not
the evaluation.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from model.config import NetworkConfig, TrainingConfig
from model.training import cost_and_accuracy, start, train
from pipeline.images.augment import AugmentConfig, resolve_augmentation
from pipeline.images.geometry import Geometry
from pipeline.preprocess import Preprocessor
from pipeline.training.batches import MemoryBatches


class Goal(NamedTuple):
    """An accuracy in percent to reach within some seconds, and the settings for it."""

    set: str
    accuracy: float
    seconds: float
    hidden: tuple[int, ...]
    epochs: int
    recipe: str


GOALS = (
    Goal("mnist", 98.0, 4, (256, 128), 4, "none"),
    Goal("mnist", 98.5, 10, (256, 128), 7, "affine"),
    Goal("mnist", 99.0, 25, (512, 256), 9, "digits"),
    Goal("fashion_mnist", 88.0, 6, (256, 128), 3, "none"),
    Goal("fashion_mnist", 89.5, 14, (256, 128), 10, "none"),
)


def run(goal: Goal, data: Path, seed: int, threads: int, validation: bool) -> tuple[float, float]:
    """Train once; return the accuracy in percent and the seconds."""
    found = np.load(data / f"{goal.set}.npz")
    images, labels = found["train_images"], found["train_labels"].astype(int)
    test, test_labels = found["test_images"], found["test_labels"].astype(int)
    if validation:
        images, test, labels, test_labels = images[:50_000], images[50_000:], labels[:50_000], labels[50_000:]
    m = len(labels)
    with threadpool_limits(threads):
        begin = time.perf_counter()
        preprocessor = Preprocessor(Geometry(28, 28, "gray")).fitted([images[::10]])
        source = MemoryBatches(images, labels, preprocessor)
        augmentation = resolve_augmentation(AugmentConfig(goal.recipe), m)
        source.augmentation = augmentation if augmentation.is_on else None
        training = TrainingConfig(epochs=goal.epochs, seed=seed)
        state = start(NetworkConfig(hidden=goal.hidden), training, n_x=784, m=m, n_classes=10)
        for _ in train(state, source):
            pass
        seconds = time.perf_counter() - begin
        _, accuracy = cost_and_accuracy(state.current, state.network, MemoryBatches(test, test_labels, preprocessor))
    return 100 * accuracy, seconds


def main() -> None:
    """Print a table with a row for each goal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of mnist.npz and fashion_mnist.npz")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="threads of BLAS; one more augments")
    parser.add_argument("--goals", type=int, nargs="+", default=range(len(GOALS)), help="rows of the table, from 0")
    parser.add_argument("--hidden", type=int, nargs="+", help="instead of the settings of the goals")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--recipe")
    parser.add_argument("--validation", action="store_true", help="evaluate on the last 10,000 training images")
    arguments = parser.parse_args()
    print(f"{arguments.seeds} seeds, BLAS threads: {arguments.threads}, {os.cpu_count()} cores; batches of 256;")
    print(f"Python {platform.python_version()}, numpy {np.__version__}\n")
    print("| set | goal | in | hidden | epochs | recipe | accuracies | median seconds |\n" + "|---" * 8 + "|")
    instead = {name: getattr(arguments, name) for name in ("epochs", "recipe") if getattr(arguments, name)}
    if arguments.hidden:
        instead["hidden"] = tuple(arguments.hidden)
    for goal in (GOALS[k]._replace(**instead) for k in arguments.goals):
        found = [run(goal, arguments.data, s, arguments.threads, arguments.validation) for s in range(arguments.seeds)]
        accuracies = ", ".join(f"{accuracy:.2f}" for accuracy, _ in found)
        widths = "-".join(map(str, goal.hidden))
        print(
            f"| {goal.set} | {goal.accuracy:g} % | {goal.seconds:g} s | {widths} | {goal.epochs} | {goal.recipe} "
            f"| {accuracies} | {np.median([seconds for _, seconds in found]):.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
