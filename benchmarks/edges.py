"""Measure whether a pretrained first layer is a bank of edge detectors, what controls give, and what it costs.

    python benchmarks/edges.py goals                 # each size and method; about two minutes on one core
    python benchmarks/edges.py controls              # the same method on noise; random weights; a plain trained net
    python benchmarks/edges.py accuracy              # on scikit-image's lfw_subset, 5-fold x 3
    python benchmarks/edges.py accuracy --data DIR   # and on DIR/orl_faces (class folders of PGM), 5/5 images x 3
    python benchmarks/edges.py accuracy --contrast   # and with every image normalised for contrast
    python benchmarks/edges.py few                   # 5 to 50 labelled images a class of lfw_subset
    python benchmarks/edges.py layers                # receptive fields and selectivity of layers 1 to 3
    python benchmarks/edges.py figures               # writes docs/images/edges.png and docs/images/hierarchy.png

Five seeds by default. Prints Markdown tables. Needs scikit-image (pip install 'facette[demo]').
Set OMP_NUM_THREADS=1 for timings of one core.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from model.activations import Array
from model.batches import ArrayBatches, Batch, split_evenly
from model.config import NetworkConfig, TrainingConfig
from model.contrast import normalize_contrast
from model.edges.first_layer import (
    crop_shape_for,
    fit_filters,
    learn_filters,
    n_crops_for,
    n_filters_for,
    pretrain_first_layer,
)
from model.edges.scores import FilterScores, energy_area, score_filters
from model.edges.stimuli import (
    layer_activations,
    maximally_activating_mean,
    maximise_activation,
    receptive_fields,
    unit_auc,
)
from model.folding import fold_batch_norm
from model.network import class_probabilities, labels_from
from model.parameters import Parameters
from model.training import start, train
from pipeline.explanation.figures import LayerImages, draw_filters, draw_hierarchy, save_figure
from pipeline.images.crops import NOISES, Photographs, embedded_photographs, noise_photographs, take_crops

Shape = tuple[int, int, int]
Split = tuple[np.ndarray, np.ndarray]
SIZES: list[tuple[Shape, int]] = [((25, 25, 1), 100), ((16, 16, 1), 20), ((64, 64, 1), 256), ((32, 32, 3), 100)]
METHODS = ("sparse_filtering", "rica", "ica")


def learn(photographs: Photographs, shape: Shape, n: int, seed: int, method: str) -> tuple[FilterScores, list[float]]:
    """Learn n filters; return their scores, and the CPU seconds of cutting crops, learning and scoring."""
    rng, crop_shape = np.random.default_rng(seed), crop_shape_for(shape)
    times = [time.process_time()]
    crops = take_crops(photographs, crop_shape, n_crops_for(n), rng)
    times.append(time.process_time())
    filters = fit_filters(learn_filters(crops, n, method=method, rng=rng)[0], crop_shape, shape)
    times.append(time.process_time())
    scores = score_filters(filters, shape)
    times.append(time.process_time())
    return scores, list(np.diff(times))


def about(what: str) -> str:
    """Return a line with the measurement, the number of threads and the versions."""
    from importlib.metadata import version

    from threadpoolctl import threadpool_info

    threads = max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "scikit-learn", "scikit-image"))
    return f"`benchmarks/edges.py {what}`: Python {platform.python_version()}, {versions}; BLAS threads: {threads}"


def table(*heads: str) -> None:
    """Print the head of a Markdown table."""
    print(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")


def row(name: str, scores: Sequence[FilterScores], seconds: Sequence[list[float]] = ()) -> None:
    """Print the mean over seeds, and the worst seed in brackets."""
    share, number = "{:.1%} ({:.1%})", "{:.2f} ({:.2f})"
    facts = [
        (share, [s.edge.mean() for s in scores]),
        (share, [s.strict.mean() for s in scores]),
        (share, [s.distinct_share for s in scores]),
        (number, [s.coverage for s in scores]),
    ]
    cells = [name, *(form.format(np.mean(values), np.min(values)) for form, values in facts)]
    cells += ["{:.2f}, {:.2f}, {:.2f}".format(*np.mean(seconds, axis=0))] if seconds else []
    print(f"| {' | '.join(cells)} |", flush=True)


def goals(seeds: int) -> None:
    """Score the learned filters for all sizes and methods."""
    photographs = embedded_photographs()
    print(photographs.origin)
    table("", "edge", "strict", "distinct", "coverage", "CPU seconds: crops, learn, score")
    for shape, n in SIZES:
        for method in METHODS if n == 100 and shape[2] == 1 else METHODS[:1]:
            results = [learn(photographs, shape, n, seed, method) for seed in range(seeds)]
            name = f"{shape[1]}x{shape[0]}{' in colour' * (shape[2] == 3)}, {n} filters, {method}"
            row(name, [scores for scores, _ in results], [seconds for _, seconds in results])


def controls(seeds: int) -> None:
    """Score what the same method learns from images without edges, and layers learned without photographs."""
    shape, n = (25, 25, 1), 100
    photographs = embedded_photographs()
    rngs = [np.random.default_rng([7, seed]) for seed in range(seeds)]
    table("", "edge", "strict", "distinct", "coverage")
    kinds = {
        "photographs": [photographs] * seeds,
        **{kind: [noise_photographs(kind, rng) for rng in rngs] for kind in NOISES},
    }
    for name, scenes in kinds.items():
        row(name, [learn(images, shape, n, seed, METHODS[0])[0] for seed, images in enumerate(scenes)])
    row("random weights", [score_filters(rng.normal(size=(n, 625)), shape) for rng in rngs])
    crops = [take_crops(photographs, shape, n, rng) for rng in rngs]
    row("the crops themselves", [score_filters((X - X.mean(axis=0)).T, shape) for X in crops])
    data = lfw_subset()
    plain = Recipe("plain", network={"hidden": (100, 50)})
    row(
        "plain network trained on lfw_subset",
        [fit(data, data.splits[seed], plain, seed).scores for seed in range(seeds)],
    )


@dataclass(frozen=True)
class Data:
    """Images as columns, 0 to 1, and the (train, test) splits to evaluate recipes on."""

    name: str
    X: Array
    labels: np.ndarray
    shape: Shape
    splits: list[Split]


@dataclass(frozen=True)
class Recipe:
    """How to train: pretraining, contrast normalisation, augmentation (shifts by up to `shift` pixels, mirroring)."""

    name: str
    pretrain: bool = False
    contrast: bool = False
    rate: float = 0.3
    shift: int = 0
    network: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """Result of one training run.

    `change` is how far W1 moved in training, as a share of its length; NaN without pretraining. Batch normalisation is
    folded into `parameters`; `X_held_out` holds the test images, preprocessed.
    """

    accuracy: float
    scores: FilterScores
    change: float
    network: NetworkConfig
    parameters: Parameters
    X_held_out: Array


def lfw_subset() -> Data:
    """Return the 100 faces and 100 other patches that come with scikit-image, and three times five folds."""
    from skimage.data import lfw_subset as load
    from sklearn.model_selection import StratifiedKFold

    X = np.rint(load() * 255).astype(np.float32).reshape(200, -1).T / 255
    labels = np.repeat([0, 1], 100)
    splits = [
        split
        for repeat in range(3)
        for split in StratifiedKFold(5, shuffle=True, random_state=repeat).split(X.T, labels)
    ]
    return Data("lfw_subset", X, labels, (25, 25, 1), splits)


def orl_faces(folder: Path) -> Data:
    """Return 10 images of each of 40 people at 32x32, and three times two halves of 5 + 5 images each."""
    columns, labels, splits = [], [], []
    for person, path in enumerate(sorted((folder / "orl_faces").glob("s*"))):
        for file in sorted(path.glob("*.pgm")):
            image = Image.open(file).resize((32, 32), Image.Resampling.BICUBIC, reducing_gap=3)
            columns.append(np.asarray(image, np.float32).ravel() / 255)
            labels.append(person)
    for repeat in range(3):
        rng = np.random.default_rng(repeat)
        order = np.concatenate([rng.permutation(np.flatnonzero(np.array(labels) == person)) for person in set(labels)])
        first = np.arange(len(labels)) % 10 < 5
        splits += [(order[first], order[~first]), (order[~first], order[first])]
    return Data("orl_faces", np.array(columns).T, np.array(labels), (32, 32, 1), splits)


class ShiftedBatches:
    """Images shifted by up to `shift` pixels in each direction and mirrored at random, then preprocessed."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, shift: int, prepare: Any) -> None:
        self._padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="edge")
        self._size, self._shift, self._prepare = images.shape[1:3], shift, prepare
        self.labels, self.n_x = labels, images[0].size

    def batches(self, batch_size: int, order: Sequence[int] | None) -> Iterator[Batch]:
        """Yield every image once, each with its own random shift."""
        rng = np.random.default_rng(order)
        shuffled = rng.permutation(len(self.labels))
        windows = np.lib.stride_tricks.sliding_window_view(self._padded, self._size, axis=(1, 2))
        for part in split_evenly(len(shuffled), batch_size):
            chosen = shuffled[part]
            down, right = rng.integers(2 * self._shift + 1, size=(2, len(chosen)))
            images = windows[chosen, down, right].transpose(0, 2, 3, 1)
            mirrored = rng.random(len(chosen)) < 0.5
            images[mirrored] = images[mirrored, :, ::-1]
            yield Batch(self._prepare(images.reshape(len(chosen), -1).T), self.labels[chosen])


def fit(data: Data, split: Split, recipe: Recipe, seed: int) -> Outcome:
    """Train by the recipe on the first part of a split and evaluate on the second."""
    chosen, held_out = split
    contrast = normalize_contrast if recipe.contrast else np.asarray
    X = contrast(data.X[:, chosen])
    mean = X.mean(axis=1, keepdims=True)
    std = np.sqrt(((X - mean) ** 2).mean())

    def prepare(X: Array) -> Array:
        return np.asfortranarray((contrast(X) - mean) / std)

    X, labels = prepare(data.X[:, chosen]), data.labels[chosen]
    network, training = NetworkConfig(**recipe.network), TrainingConfig(seed=seed, **recipe.training)
    state = start(network, training, n_x=len(X), m=X.shape[1], n_classes=int(data.labels.max()) + 1)
    W1, before = state.parameters[1].W, None
    if recipe.pretrain:
        rng, crop_shape, activation = np.random.default_rng([seed, 1]), crop_shape_for(data.shape), network.activation
        n_crops = n_crops_for(n_filters_for(len(W1), activation))
        crops = take_crops(embedded_photographs(), crop_shape, n_crops, rng)
        W1[:] = pretrain_first_layer(crops, crop_shape, data.shape, X, len(W1), activation, rng=rng)
        before = W1.copy()
        state.training = replace(state.training, layer_rates=(recipe.rate, *[1.0] * (state.parameters.L - 1)))
    images = data.X[:, chosen].T.reshape(-1, *data.shape)
    source = ShiftedBatches(images, labels, recipe.shift, prepare) if recipe.shift else ArrayBatches(X, labels)
    for _ in train(state, source):
        pass
    X_held_out = prepare(data.X[:, held_out])
    found = labels_from(class_probabilities(X_held_out, state.result, state.network))
    folded, plain_network = fold_batch_norm(state.result, state.network)
    change = float("nan") if before is None else np.linalg.norm(state.result[1].W - before) / np.linalg.norm(before)
    accuracy = float((found == data.labels[held_out]).mean())
    scores = score_filters(folded[1].W, data.shape)
    return Outcome(accuracy, scores, float(change), plain_network, folded, X_held_out)


def compare(data: Data, recipes: Sequence[Recipe], splits: Sequence[Split]) -> None:
    """Print the accuracy of each recipe, with 95 % intervals, and its difference to the first on the same splits."""
    first: np.ndarray | None = None
    for recipe in recipes:
        outcomes = [fit(data, split, recipe, seed) for seed, split in enumerate(splits)]
        accuracy = np.array([outcome.accuracy for outcome in outcomes])
        first = accuracy if first is None else first
        gain, half = 100 * (accuracy - first), 1.96 / np.sqrt(len(splits))
        edges = [outcome.scores.edge.mean() for outcome in outcomes]
        cells = [
            f"{data.name}, {recipe.name}",
            f"{accuracy.mean():.3f} ± {half * accuracy.std(ddof=1):.3f}",
            "" if first is accuracy else f"{gain.mean():+.1f} ± {half * gain.std(ddof=1):.1f}",
            f"{np.mean(edges):.1%} ({np.min(edges):.1%})",
            f"{np.mean([outcome.change for outcome in outcomes]):.0%}" if recipe.pretrain else "",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


_COMPARED = ("", "accuracy", "difference to the plain network, points", "edge units (worst split)", "W1 changed by")


def accuracy(folder: Path | None, *, contrast: bool) -> None:
    """Compare recipes with and without pretraining at the same widths, on the same splits."""
    augmented: dict[str, Any] = {"shift": 2, "training": {"epochs": 160}}
    recipes = [Recipe("plain"), Recipe("pretrained", pretrain=True)]
    recipes += [replace(recipe, name=f"{recipe.name}, contrast", contrast=True) for recipe in recipes if contrast]
    table(*_COMPARED)
    for data in (lfw_subset(), *([orl_faces(folder)] if folder else [])):
        compare(
            data, [replace(recipe, name=f"augmented, {recipe.name}", **augmented) for recipe in recipes], data.splits
        )
        compare(data, recipes, data.splits)


def layers(seeds: int) -> None:
    """Measure for each layer how much of the image a unit sees and how well a single unit separates the classes."""
    data = lfw_subset()
    widths: dict[str, Any] = {"network": {"hidden": (128, 64, 32)}}
    augmented: dict[str, Any] = {"shift": 2, "training": {"epochs": 160}}
    recipes = [
        Recipe("plain", **augmented, **widths),
        Recipe("pretrained", pretrain=True, **augmented, **widths),
        Recipe("untrained", training={"epochs": 1, "learning_rate": 1e-12}, **widths),
        Recipe("pretrained layer 1 only", pretrain=True, training={"epochs": 1, "learning_rate": 1e-12}, **widths),
    ]
    print("Median over the units of a layer, mean over splits; AUC on held-out images.")
    table("", "area of layers 1, 2, 3", "AUC of layers 1, 2, 3")
    for recipe in recipes:
        areas, aucs = [], []
        for seed, split in enumerate(data.splits[:seeds]):
            outcome = fit(data, split, recipe, seed)
            X, parameters, network = outcome.X_held_out, outcome.parameters, outcome.network
            fields = [receptive_fields(l, X, parameters, network) for l in (1, 2, 3)]
            areas.append([np.median(energy_area(field[:, :, None])) for field in fields])
            activations = layer_activations(X, parameters, network)[:3]
            aucs.append([np.median(unit_auc(A, data.labels[split[1]])) for A in activations])
        area, auc = np.mean(areas, axis=0), np.mean(aucs, axis=0)
        cells = [recipe.name, *(", ".join(f"{value:.2f}" for value in values) for values in (area, auc))]
        print(f"| {' | '.join(cells)} |", flush=True)


def figures() -> None:
    """Train one network on lfw_subset and draw its first layer, and some units of its three hidden layers."""
    data, images = lfw_subset(), Path(__file__).parents[1] / "docs" / "images"
    recipe = Recipe("", pretrain=True, shift=2, training={"epochs": 160}, network={"hidden": (128, 64, 32)})
    outcome = fit(data, data.splits[0], recipe, 0)
    parameters, network, X = outcome.parameters, outcome.network, outcome.X_held_out
    W1, n = parameters[1].W, 24
    title = "Layer 1 of a network trained to separate faces from other patches"
    save_figure(draw_filters(W1, data.shape, title=title, scores=outcome.scores), images / "edges.png")
    pairs = outcome.scores.order[outcome.scores.partner[outcome.scores.order] < 0]  # one of each on/off pair
    shown = pairs[np.linspace(0, len(pairs) - 1, n).astype(int)]
    panels = [LayerImages("Layer 1", f"{n} of {len(W1)} units: rows of W1. {outcome.scores.summary()}", W1[shown])]
    activations = layer_activations(X, parameters, network)
    for l in (2, 3):
        fields = receptive_fields(l, X, parameters, network)
        means = maximally_activating_mean(X, activations[l - 1], fields, n_images=8)[:n]
        optimised = maximise_activation(l, parameters, network, np.random.default_rng(0))[:n]
        units = f"the first {n} of {len(fields)} units"
        how = "mean of the 8 maximally activating held-out images, times the receptive field"
        panels.append(LayerImages(f"Layer {l}", f"{units}: {how}", means))
        panels.append(
            LayerImages("", "the same units: images optimised to activate them, by gradient ascent", optimised)
        )
    title = "One trained network, layer by layer"
    save_figure(draw_hierarchy(panels, data.shape, title=title), images / "hierarchy.png")


def few(seeds: int) -> None:
    """Compare recipes on few labelled images; the rest of lfw_subset is for testing."""
    data = lfw_subset()
    table(*_COMPARED)
    for n in (5, 10, 20, 50):
        splits = []
        for seed in range(seeds):
            rng = np.random.default_rng([n, seed])
            chosen = np.concatenate([rng.choice(np.flatnonzero(data.labels == k), n, replace=False) for k in (0, 1)])
            splits.append((chosen, np.setdiff1d(np.arange(200), chosen)))
        recipes = [Recipe(f"{n} a class, plain"), Recipe(f"{n} a class, pretrained", pretrain=True)]
        compare(data, recipes, splits)


def main() -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("goals", "controls", "accuracy", "few", "layers", "figures"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", type=Path, help="folder that holds orl_faces/")
    parser.add_argument("--contrast", action="store_true", help="accuracy: also with contrast normalisation")
    arguments = parser.parse_args()
    print(about(arguments.what))
    {
        "goals": lambda: goals(arguments.seeds),
        "controls": lambda: controls(arguments.seeds),
        "accuracy": lambda: accuracy(arguments.data, contrast=arguments.contrast),
        "few": lambda: few(2 * arguments.seeds),
        "layers": lambda: layers(arguments.seeds),
        "figures": figures,
    }[arguments.what]()


if __name__ == "__main__":
    main()
