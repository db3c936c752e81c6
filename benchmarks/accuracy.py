"""Compare the accuracy of `facette train` without options with classifiers of scikit-learn, on several image sets.

    python benchmarks/accuracy.py --data DIR --sets lfw orl cats cats-folds --seeds 3

DIR holds orl_faces/, catvnoncat/, cbcl_train_19x19.npz, mnist.npz and fashion_mnist.npz; `lfw` and `digits` come with
installed packages. The default recipe uses the same functions as `facette train`, and like that it sets 15 % of the
training images aside for validation; the baselines are fitted on all training images. The final model is evaluated once
on the test images. Folds keep exact and near duplicates together.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from recipe import configurations

from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.evaluation.evaluate import evaluate
from pipeline.ingestion.ingest import ingest
from pipeline.training.finish import save_model
from pipeline.training.prepare import prepare


class Split(NamedTuple):
    """Images (m, height, width[, channels]), uint8, and labels for training and for testing."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def folds(images: np.ndarray, labels: np.ndarray, seed: int) -> Iterator[Split]:
    """Yield 5 stratified folds that keep exact and near duplicates together."""
    from sklearn.model_selection import StratifiedGroupKFold

    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder, "all.npz"), images=images, labels=labels)
        ingest(Path(folder, "all.npz"), Path(folder, "all.h5"), DataConfig(size=f"{images.shape[1]}x{images.shape[2]}"))
        with Dataset.open(Path(folder, "all.h5")) as dataset:
            group = dataset.group[np.argsort(_indices(dataset))]
    group = np.where(group < 0, np.arange(len(group)) + group.max() + 1, group)
    for train, test in StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(images, labels, group):
        yield Split(images[train], labels[train], images[test], labels[test])


def _indices(dataset: Dataset) -> np.ndarray:
    """Return the index of each image of a data set in the array that was ingested."""
    return np.array([int(str(path).rpartition("/")[2].rpartition(":")[2]) for path in dataset.paths])


def lfw(data: Path, seed: int) -> Iterator[Split]:
    """Yield faces and other patches, 25x25."""
    from skimage.data import lfw_subset

    yield from folds(np.rint(lfw_subset() * 255).astype(np.uint8), np.repeat([0, 1], 100), seed)


def digits(data: Path, seed: int) -> Iterator[Split]:
    """Yield digits, 8x8."""
    from sklearn.datasets import load_digits

    found = load_digits()
    yield from folds((found.images * 15).astype(np.uint8), found.target, seed)


def orl(data: Path, seed: int) -> Iterator[Split]:
    """Yield 40 people, 64x64: 5 images of each for training and 5 for testing."""
    from PIL import Image

    paths = sorted((data / "orl_faces").glob("s*/*.pgm"))
    images = np.stack([np.asarray(Image.open(path).resize((64, 64), Image.Resampling.BOX)) for path in paths])
    labels = np.unique([path.parent.name for path in paths], return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    train = np.concatenate([rng.permutation(np.flatnonzero(labels == k))[:5] for k in range(40)])
    test = np.setdiff1d(np.arange(len(labels)), train)
    yield Split(images[train], labels[train], images[test], labels[test])


def cats(data: Path, seed: int) -> Iterator[Split]:
    """Yield cats and other images, 64x64 in colour: the course's split, in which one image is in both parts."""
    yield _cats(data)


def _cats(data: Path) -> Split:
    import h5py

    arrays: dict[str, np.ndarray] = {}
    for path in sorted((data / "catvnoncat").glob("*.h5")):
        with h5py.File(path) as file:
            arrays |= {name: file[name][()] for name in file}
    return Split(*(arrays[name] for name in ("train_set_x", "train_set_y", "test_set_x", "test_set_y")))


def cats_apart(data: Path, seed: int) -> Iterator[Split]:
    """Yield the same split without the training image that is also a test image."""
    split = _cats(data)
    copied = np.array([(split.test == image).all(axis=(1, 2, 3)).any() for image in split.train])
    yield split._replace(train=split.train[~copied], train_labels=split.train_labels[~copied])


def cats_folds(data: Path, seed: int) -> Iterator[Split]:
    """Yield folds of all 259 images."""
    split = _cats(data)
    yield from folds(
        np.concatenate([split.train, split.test]), np.concatenate([split.train_labels, split.test_labels]), seed
    )


def cbcl(data: Path, seed: int) -> Iterator[Split]:
    """Yield faces and other patches, 19x19: 1,000 for training, the others for testing."""
    found = np.load(data / "cbcl_train_19x19.npz")
    order = np.random.default_rng(seed).permutation(len(found["y"]))
    images, labels = found["X"][order].astype(np.uint8), np.unique(found["y"][order], return_inverse=True)[1]
    yield Split(images[:1000], labels[:1000], images[1000:], labels[1000:])


def _given(name: str) -> Callable[[Path, int], Iterator[Split]]:
    def read(data: Path, seed: int) -> Iterator[Split]:
        found = np.load(data / name)
        yield Split(*(found[key] for key in ("train_images", "train_labels", "test_images", "test_labels")))

    return read


SETS: dict[str, tuple[str, Callable[[Path, int], Iterator[Split]]]] = {
    "lfw": ("`lfw_subset`, 5 folds", lfw),
    "digits": ("digits of scikit-learn, 5 folds", digits),
    "orl": ("`orl_faces` 64x64, 5 + 5 images of each person", orl),
    "cats": ("`catvnoncat`, the course's split", cats),
    "cats-apart": ("the same without the duplicate in training", cats_apart),
    "cats-folds": ("`catvnoncat`, 5 folds", cats_folds),
    "cbcl": ("CBCL, 1,000 for training", cbcl),
    "mnist": ("MNIST", _given("mnist.npz")),
    "fashion": ("Fashion-MNIST", _given("fashion_mnist.npz")),
}


def baseline(make: Callable, scaled: bool) -> Callable[[Split, int], float]:
    """Return a function that fits a scikit-learn classifier on all training images and returns its test accuracy."""

    def measure(split: Split, seed: int) -> float:
        X, X_test = (part.reshape(len(part), -1).astype(np.float32) / 255 for part in (split.train, split.test))
        if scaled:
            mean, std = X.mean(axis=0), X.std()
            X, X_test = (X - mean) / std, (X_test - mean) / std
        model = make(seed).fit(X, split.train_labels)
        return float(np.mean(model.predict(X_test) == split.test_labels))

    return measure


def _logistic(seed: int):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=200)


def _pca_svm(seed: int):
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    return make_pipeline(PCA(0.95, whiten=True, svd_solver="full", random_state=seed), SVC(C=10))


def _forest(seed: int):
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(300, n_jobs=-1, random_state=seed)


def _mlp(seed: int):
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((256, 128), random_state=seed)


def majority(split: Split, seed: int) -> float:
    """Return the accuracy of always predicting the most frequent class."""
    return float(np.mean(split.test_labels == np.bincount(split.train_labels).argmax()))


BASELINES: dict[str, Callable[[Split, int], float]] = {
    "majority": majority,
    "logistic regression": baseline(_logistic, True),
    "PCA + SVM": baseline(_pca_svm, True),
    "random forest": baseline(_forest, False),
    "MLPClassifier 256-128": baseline(_mlp, True),
}


def facette(variant: str, threads: int | None, tta: int) -> Callable[[Split, int], float]:
    """Return a function that trains as `facette train` does and returns the test accuracy.

    `variant` holds settings as for benchmarks/recipe.py, `tta` is the number of images for test-time augmentation.
    """

    def measure(split: Split, seed: int) -> float:
        names = ("train_images", "train_labels", "test_images", "test_labels")
        with tempfile.TemporaryDirectory() as folder:
            np.savez(Path(folder, "set.npz"), **dict(zip(names, split, strict=True)))
            data, recipe = configurations(variant, seed, threads=threads)
            run = prepare(Path(folder, "set.npz"), Path(folder, "run"), data=data, recipe=recipe)
            with run.dataset:
                for _ in run.epochs():
                    pass
                found, _ = evaluate(save_model(run), run.data_path, split="test", include_trained=True, tta=tta)
        return found.accuracy

    return measure


def measure_all(name: str, method: Callable[[Split, int], float], data: Path, seeds: int) -> tuple[np.ndarray, float]:
    """Return the accuracy for each seed (over all folds), and the median seconds of training and testing once."""
    accuracies, seconds = [], []
    for seed in range(seeds):
        correct = total = 0.0
        for split in SETS[name][1](data, seed):
            begin = time.perf_counter()
            accuracy = method(split, seed)
            seconds.append(time.perf_counter() - begin)
            correct += accuracy * len(split.test)
            total += len(split.test)
        accuracies.append(correct / total)
    return np.array(accuracies), float(np.median(seconds))


def as_text(accuracies: np.ndarray, seconds: float) -> str:
    """Return a mean in percent, its 95 % interval over seeds, and the time, as text."""
    from scipy.stats import t

    n = len(accuracies)
    interval = f" ± {100 * t.ppf(0.975, n - 1) * accuracies.std(ddof=1) / np.sqrt(n):.1f}" if n > 1 else ""
    return f"{100 * accuracies.mean():.2f}{interval} ({seconds:.1f} s)"


def main() -> None:
    """Print a table with a row for each set and a column for each method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(), help="folder of the sets")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", default=[""], help="settings such as validation=0, epochs=20")
    parser.add_argument("--baselines", nargs="*", choices=BASELINES, default=list(BASELINES))
    parser.add_argument(
        "--tta", type=int, nargs="+", default=[1], help="test-time augmentation, as in facette evaluate"
    )
    parser.add_argument("--threads", type=int, help="threads of facette (default: as facette train)")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # a baseline may not have converged
    methods = {name: BASELINES[name] for name in arguments.baselines}
    for tta, variant in itertools.product(arguments.tta, arguments.variants):
        name = f"facette {variant}".strip() + (f", --tta {tta}" if tta > 1 else "")
        methods[name] = facette(variant, arguments.threads, tta)
    versions = ", ".join(f"{module.__name__} {module.__version__}" for module in _modules())
    print(f"{arguments.seeds} seeds; {os.cpu_count()} cores; Python {platform.python_version()}, {versions}\n")
    print(" | ".join(["| set", *methods]) + " |")
    print("|---" * (len(methods) + 1) + "|")
    for name in arguments.sets:
        print(f"| {SETS[name][0]}", end="", flush=True)
        for method in methods.values():
            print(" |", as_text(*measure_all(name, method, arguments.data, arguments.seeds)), end="", flush=True)
        print(" |", flush=True)


def _modules() -> list:
    import sklearn

    return [np, sklearn]


if __name__ == "__main__":
    main()
