"""Measure how the time of an epoch grows with the examples, the width, the depth and the threads.

One thing changes at a time, from 784-512-256-10 on 12,000 examples in batches of 128, with Adam. A line is fitted to
the logarithms: an exponent of 1 means twice the time for twice the size. The settings take turns; times are medians.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --plot docs/images/scaling.png
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from model.batches import ArrayBatches
from model.config import NetworkConfig, TrainingConfig
from model.training import Trainer, start

M, WIDTH, N_X = 12_000, 512, 784
Curve = dict[int, float]


def epoch(m: int = M, hidden: tuple[int, ...] = (WIDTH, WIDTH // 2), threads: int = 1) -> Callable[[], object]:
    """Return a function that trains one epoch."""
    rng = np.random.default_rng(0)
    X, labels = rng.random((m, N_X), dtype=np.float32), rng.integers(0, 10, m)
    network = NetworkConfig(hidden=hidden, batch_norm=False)
    training = TrainingConfig(epochs=10_000, batch_size=128, optimizer="adam", learning_rate=0.001)
    state = start(network, training, n_x=N_X, m=m, n_classes=10)
    run, source = Trainer(state, labels), ArrayBatches(X.T, labels)

    def train_one_epoch() -> None:
        with threadpool_limits(threads):
            run.epoch(source, None)

    return train_one_epoch


def settings(threads: int) -> dict[str, dict[int, Callable[[], object]]]:
    """Return the measurements: name of the axis -> value on it -> function that trains an epoch."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "examples": {m: epoch(m=m, threads=threads) for m in (3_000, 6_000, 12_000, 24_000, 48_000)},
        "width": {n: epoch(hidden=(n, n), threads=threads) for n in (128, 256, 512, 1024, 2048)},
        "hidden layers": {d: epoch(hidden=(WIDTH,) * d, threads=threads) for d in (1, 2, 4, 8)},
        "threads": {k: epoch(threads=k) for k in sorted({1, 2, cores})},
    }


def measure(axes: dict[str, dict[int, Callable[[], object]]], repeats: int) -> dict[str, Curve]:
    """Return the median seconds of an epoch for each value on each axis."""
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(repeats + 1):
        for axis, epochs in axes.items():
            for value, run in epochs.items():
                begin = time.perf_counter()
                run()
                times.setdefault((axis, value), []).append(time.perf_counter() - begin)
    return {
        axis: {value: statistics.median(times[axis, value][1:]) for value in epochs}  # the first time warms up
        for axis, epochs in axes.items()
    }


def exponent(curve: Curve) -> float:
    """Return the exponent k of the power law seconds = c size^k that fits best."""
    return float(np.polyfit(np.log(list(curve)), np.log(list(curve.values())), 1)[0]) if len(curve) > 1 else np.nan


def plot(curves: dict[str, Curve], path: Path) -> None:
    """Draw the curves side by side, with logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.6), layout="constrained")
    for axes, (name, curve) in zip(figure.subplots(1, len(curves), sharey=True), curves.items(), strict=True):
        axes.loglog(list(curve), list(curve.values()), "o-", color="#2a6f97", markersize=4)
        axes.set_title(f"exponent {exponent(curve):.2f}", fontsize=9)
        axes.set_xlabel(name)
        axes.set_xticks(list(curve), [f"{at:,}" for at in curve], fontsize=7, minor=False)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("seconds per epoch")
    figure.savefig(path, dpi=80)


def main() -> None:
    """Print the table, and draw it if requested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="number of threads, except on the axis of threads")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    curves = measure(settings(options.threads), options.repeats)
    print(f"{options.threads} threads, medians of {options.repeats}; NumPy {np.__version__}\n")
    print("| Axis | Seconds per epoch | Exponent |\n|---|---|--:|")
    for name, curve in curves.items():
        points = ", ".join(f"{at:,}: {seconds:.3g}" for at, seconds in curve.items())
        print(f"| {name} | {points} | {exponent(curve):.2f} |")
    if options.plot:
        plot(curves, options.plot)


if __name__ == "__main__":
    main()
