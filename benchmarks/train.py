"""Compare the speed of training with libraries that people would use instead, and with the limit of the machine.

Contestants take turns, epoch by epoch, on the same images, with the same batch size, rule (Adam) and number of
threads; all in float32 but the course's own program, which is in float64:

- ours: `model.training`, without batch normalisation and the other extras;
- scikit-learn's MLPClassifier; PyTorch, eager with the fused Adam, and with torch.compile;
- the course's program: straightforward NumPy, one matrix expression after the other;
- the floor: the bare matrix products of the same steps, into memory that is already allocated.

The shapes: a128 and a512 are 784-512-256-10 on 60,000 examples in batches of 128 and 512, b is 3072-1024-512-10 on
20,000 in batches of 128, c the course's 12288-20-7-5-1 on 209 examples at once. `--extras` adds batch normalisation,
dropout, weight decay and averaging one at a time, to ours and to PyTorch's.

    pip install -e ".[bench]"     # Numba, and the contestants; missing ones are left out
    python benchmarks/train.py
    NUMBA_DISABLE_JIT=1 python benchmarks/train.py       # ours without Numba
    python benchmarks/train.py --shape a128 b --threads 1 --repeats 3
    python benchmarks/train.py --extras
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from model.batches import ArrayBatches
from model.config import NetworkConfig, TrainingConfig
from model.training import Trainer, start

Epoch = Callable[[], object]
RATE = 0.001


class Shape(NamedTuple):
    """A network and the data it is trained on."""

    layer_dims: tuple[int, ...]
    m: int
    batch_size: int

    @property
    def n_classes(self) -> int:
        """Number of classes; a single output is for two."""
        return max(self.layer_dims[-1], 2)


SHAPES = {
    "a128": Shape((784, 512, 256, 10), 60_000, 128),
    "a512": Shape((784, 512, 256, 10), 60_000, 512),
    "b": Shape((3072, 1024, 512, 10), 20_000, 128),
    "c": Shape((12288, 20, 7, 5, 1), 209, 209),
}

# The settings of each extra, for ours and for PyTorch.
EXTRAS: dict[str, dict[str, Any]] = {
    "bare": {},
    "batch norm": {"batch_norm": True},
    "dropout": {"dropout": 0.2},
    "weight decay": {"optimizer": "adamw"},
    "averaging": {"average": 0.999},
}


def examples(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Return images (m, n_x), half of their pixels dark, and labels (m,) that depend on them."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, shape.n_classes, shape.m)
    prototypes = rng.random((shape.n_classes, shape.layer_dims[0]), dtype=np.float32) - 0.5
    X = prototypes[labels]
    for rows in np.array_split(X, max(1, X.size // 10_000_000)):  # limits the memory
        rows += rng.random(rows.shape, dtype=np.float32) - 0.5
        np.clip(rows, 0, 1, out=rows)
    return X, labels


def ours(shape: Shape, X: np.ndarray, labels: np.ndarray, **extras: Any) -> Epoch:
    """Return an epoch of the network and the training loop of this project."""
    network = NetworkConfig(
        hidden=shape.layer_dims[1:-1],
        batch_norm=extras.get("batch_norm", False),
        dropout=extras.get("dropout", 0.0),
    )
    training = TrainingConfig(
        epochs=10_000,
        batch_size=shape.batch_size,
        learning_rate=RATE,
        schedule="constant",
        warmup=0.0,
        optimizer=extras.get("optimizer", "adam"),
        average=extras.get("average", 0.0),
    )
    state = start(network, training, n_x=X.shape[1], m=len(X), n_classes=shape.n_classes)
    source = ArrayBatches(X.T, labels)
    run = Trainer(state, labels)
    return lambda: run.epoch(source, None)


def floor(shape: Shape, X: np.ndarray) -> Epoch:
    """Return the matrix products of an epoch, and nothing else."""
    rng, dims = np.random.default_rng(0), shape.layer_dims
    W = [rng.normal(size=(n, n_prev), scale=0.01).astype(np.float32) for n_prev, n in itertools.pairwise(dims)]
    dW = [np.empty_like(w) for w in W]
    A = [np.asfortranarray(rng.random((n, shape.batch_size), dtype=np.float32)) for n in dims]
    out = [np.empty_like(a) for a in A]

    def epoch() -> None:
        for _ in range(-(-shape.m // shape.batch_size)):
            for l, w in enumerate(W):
                np.matmul(w, A[l], out=out[l + 1])
            for l in reversed(range(len(W))):
                np.matmul(A[l + 1], A[l].T, out=dW[l])
                if l:
                    np.matmul(W[l].T, A[l + 1], out=out[l])

    return epoch


def with_sklearn(shape: Shape, X: np.ndarray, labels: np.ndarray) -> Epoch:
    """Return an epoch of scikit-learn's MLPClassifier, without a penalty."""
    model = MLPClassifier(
        shape.layer_dims[1:-1], batch_size=shape.batch_size, alpha=0.0, learning_rate_init=RATE, random_state=0
    )
    classes = np.arange(shape.n_classes)
    return lambda: model.partial_fit(X, labels, classes=classes)  # one epoch, shuffled


def with_torch(shape: Shape, X: np.ndarray, labels: np.ndarray, threads: int, compiled: bool, **extras: Any) -> Epoch:
    """Return an epoch of PyTorch, written as in its documentation, with all that makes it fast on a CPU."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    *hidden, n_outputs = shape.layer_dims[1:]
    for n_prev, n in zip(shape.layer_dims, hidden, strict=False):
        batch_norm = extras.get("batch_norm", False)
        layers += [nn.Linear(n_prev, n, bias=not batch_norm)]
        layers += [nn.BatchNorm1d(n)] if batch_norm else []
        layers += [nn.ReLU()]
        layers += [nn.Dropout(extras["dropout"])] if extras.get("dropout") else []
    network = nn.Sequential(*layers, nn.Linear(hidden[-1], n_outputs))
    rule = torch.optim.AdamW if extras.get("optimizer") == "adamw" else torch.optim.Adam
    optimizer = rule(network.parameters(), lr=RATE, fused=True)
    average = None
    if extras.get("average"):
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(extras["average"]))
    images = torch.from_numpy(X)
    if n_outputs == 1:
        cost: nn.Module = nn.BCEWithLogitsLoss()
        targets = torch.from_numpy(labels.astype(np.float32)[:, None])
    else:
        cost, targets = nn.CrossEntropyLoss(), torch.from_numpy(labels)

    def loss_of(images: Any, targets: Any) -> Any:
        return cost(network(images), targets)

    forward = torch.compile(loss_of) if compiled else loss_of

    def epoch() -> None:
        network.train()
        whole = shape.batch_size >= shape.m
        for chosen in [None] if whole else torch.randperm(shape.m).split(shape.batch_size):
            optimizer.zero_grad(set_to_none=True)
            loss = forward(images, targets) if whole else forward(images[chosen], targets[chosen])
            loss.backward()
            optimizer.step()
            if average is not None:
                average.update_parameters(network)

    return epoch


def straightforward(shape: Shape, X: np.ndarray, labels: np.ndarray) -> Epoch:
    """Return an epoch of the course's program: float64 matrices in dictionaries, one expression at a time, Adam."""
    rng, L = np.random.default_rng(0), len(shape.layer_dims) - 1
    X = X.T.astype(np.float64)  # (n_x, m), a row per pixel, as np.array(X).T in the course
    X = np.ascontiguousarray(X)
    n_outputs = shape.layer_dims[-1]
    Y = labels[None, :].astype(np.float64) if n_outputs == 1 else np.eye(n_outputs)[labels].T
    p = {}
    for l in range(1, L + 1):
        n_prev, n = shape.layer_dims[l - 1 : l + 1]
        p[f"W{l}"], p[f"b{l}"] = rng.normal(size=(n, n_prev)) * np.sqrt(2 / n_prev), np.zeros((n, 1))
    v, s = {k: np.zeros_like(w) for k, w in p.items()}, {k: np.zeros_like(w) for k, w in p.items()}
    t = 0

    def step(X: np.ndarray, Y: np.ndarray) -> None:
        nonlocal t
        m, A, Z, g = X.shape[1], {0: X}, {}, {}
        for l in range(1, L + 1):
            Z[l] = np.dot(p[f"W{l}"], A[l - 1]) + p[f"b{l}"]
            A[l] = np.maximum(0, Z[l])
        if n_outputs == 1:
            A[L] = 1 / (1 + np.exp(-Z[L]))
        else:
            powers = np.exp(Z[L] - Z[L].max(axis=0))
            A[L] = powers / powers.sum(axis=0)
        dZ = A[L] - Y
        for l in range(L, 0, -1):
            g[f"W{l}"] = np.dot(dZ, A[l - 1].T) / m
            g[f"b{l}"] = np.sum(dZ, axis=1, keepdims=True) / m
            if l > 1:
                dA = np.dot(p[f"W{l}"].T, dZ)
                dZ = np.array(dA, copy=True)
                dZ[Z[l - 1] <= 0] = 0
        t += 1
        for k in p:
            v[k] = 0.9 * v[k] + 0.1 * g[k]
            s[k] = 0.999 * s[k] + 0.001 * g[k] ** 2
            p[k] = p[k] - RATE * (v[k] / (1 - 0.9**t)) / (np.sqrt(s[k] / (1 - 0.999**t)) + 1e-8)

    def epoch() -> None:
        if shape.batch_size >= shape.m:
            step(X, Y)
            return
        order = rng.permutation(shape.m)
        shuffled_X, shuffled_Y = X[:, order], Y[:, order]
        for k in range(0, shape.m, shape.batch_size):
            step(shuffled_X[:, k : k + shape.batch_size], shuffled_Y[:, k : k + shape.batch_size])

    return epoch


def seconds(contestants: dict[str, Epoch], repeats: int) -> dict[str, float]:
    """Return the median seconds of an epoch of each contestant; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    epochs = dict.fromkeys(contestants, 1)
    for turn in range(repeats + 1):
        for name, epoch in contestants.items():
            if turn == 0:  # warms up, and finds how many epochs take long enough to be timed
                epoch()
                begin = time.perf_counter()
                epoch()
                epochs[name] = max(1, round(0.2 / (time.perf_counter() - begin)))
                continue
            begin = time.perf_counter()
            for _ in range(epochs[name]):
                epoch()
            times[name].append((time.perf_counter() - begin) / epochs[name])
    return {name: statistics.median(values) for name, values in times.items()}


def numba_version() -> str:
    """Return the version of Numba, or "" if it is not installed or disabled by NUMBA_DISABLE_JIT=1."""
    try:
        import numba
    except ImportError:
        return ""
    return "" if numba.config.DISABLE_JIT else str(numba.__version__)


def torch_version() -> str:
    """Return the version of PyTorch, or "" if it is not installed."""
    try:
        import torch
    except ImportError:
        return ""
    return str(torch.__version__)


def compare(name: str, threads: int, repeats: int) -> Iterator[str]:
    """Yield the rows of the table for one shape."""
    shape = SHAPES[name]
    X, labels = examples(shape)
    contestants: dict[str, Epoch] = {
        "floor: bare products": floor(shape, X),
        "ours": ours(shape, X, labels),
        "scikit-learn": with_sklearn(shape, X, labels),
        "straightforward NumPy, float64": straightforward(shape, X, labels),
    }
    if torch_version():
        contestants["PyTorch, eager"] = with_torch(shape, X, labels, threads, False)
        contestants["PyTorch, compiled"] = with_torch(shape, X, labels, threads, True)
    yield from rows(name, seconds(contestants, repeats), "ours")


def compare_extras(name: str, threads: int, repeats: int) -> Iterator[str]:
    """Yield the rows of the table of extras for one shape."""
    shape = SHAPES[name]
    X, labels = examples(shape)
    contestants: dict[str, Epoch] = {}
    for extra, options in EXTRAS.items():
        contestants[f"ours, {extra}"] = ours(shape, X, labels, **options)
        if torch_version():
            contestants[f"PyTorch, {extra}"] = with_torch(shape, X, labels, threads, False, **options)
    yield from rows(name, seconds(contestants, repeats), "ours, bare")


def rows(shape: str, medians: dict[str, float], reference: str) -> Iterator[str]:
    """Yield Markdown rows: seconds, and their ratio to those of one contestant."""
    for contestant, value in sorted(medians.items(), key=lambda item: item[1]):
        yield f"| {shape} | {contestant} | {value:.4g} | {value / medians[reference]:.2f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--extras", action="store_true", help="measure the cost of the extras instead")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    libraries = {
        "NumPy": np.__version__,
        "Numba": numba_version(),
        "scikit-learn": sklearn.__version__,
        "PyTorch": torch_version(),
    }
    versions = ", ".join(f"{name} {version or 'missing'}" for name, version in libraries.items())
    print(f"{options.threads} threads, medians of {options.repeats}; {versions}\n")
    print("| Shape | Contestant | Seconds per epoch | Time / ours |\n|---|---|--:|--:|")
    for name in options.shape:
        table = compare_extras if options.extras else compare
        with threadpool_limits(options.threads):
            for row in table(name, options.threads, options.repeats):
                print(row, flush=True)


if __name__ == "__main__":
    main()
