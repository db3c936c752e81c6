"""Measure whether a second layer that learns in local windows, without labels, is better than a random one.

    python benchmarks/parts.py              # five splits of scikit-image's lfw_subset; some minutes on one core
    python benchmarks/parts.py --seeds 1

Layers 1 to 3 are pretrained as by `facette train --pretrain-layers 3` (`model.edges.upper_layers`), with k-means and
with two other methods. The control has random weights in the same windows. Measured on held-out images, before and
after training with labels:

- area: share of the image that holds 90 % of a unit's receptive field, median of layers 1 to 3;
- AUC: how well a single unit separates faces from other patches, median of layers 1 to 3;
- R²: how much of the held-out images a linear map from the activations of layer 2 reconstructs;
- probe: accuracy of a linear classifier on the activations of layer 2, from 5 labelled images per class;
- sparseness: 1 - mean absolute value / root mean square of Z of layer 2; noise has 0.2.

Needs scikit-image (pip install 'facette[demo]').
"""

from __future__ import annotations

import argparse
import platform
from dataclasses import replace
from typing import Any

import numpy as np
from edges import Data, Outcome, Recipe, ShiftedBatches, Split, lfw_subset

from model.activations import Array
from model.config import NetworkConfig, TrainingConfig
from model.edges.first_layer import (
    PRETRAINERS,
    crop_shape_for,
    n_crops_for,
    n_filters_for,
    pretrain_first_layer,
    whiten,
)
from model.edges.scores import energy_area, score_filters
from model.edges.stimuli import layer_activations, receptive_fields, unit_auc
from model.edges.upper_layers import Learner, k_means, pretrain_upper_layers
from model.folding import fold_batch_norm
from model.network import class_probabilities, labels_from
from model.training import TrainingState, start, train
from pipeline.images.crops import embedded_photographs, take_crops

WIDTHS = (256, 144, 32)
RATES = (0.1, 0.3, 1.0, 1.0)
UNLABELLED = 8_000
AUGMENTED: dict[str, Any] = {"shift": 2, "training": {"epochs": 160}}


def by_sparse_filtering(A: Array, n: int, rng: np.random.Generator) -> Array:
    """Return n directions in which whitened activations are sparse."""
    Z, P = whiten(A, min(len(A), 2 * n))
    return PRETRAINERS["sparse_filtering"].learn(Z, n, rng, []) @ P


def by_nmf(A: Array, n: int, rng: np.random.Generator) -> Array:
    """Return the n parts of a non-negative factorisation of the activations (Lee & Seung 1999)."""
    import warnings

    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        parts = NMF(n, init="nndsvda", max_iter=60, random_state=int(rng.integers(2**31))).fit(A.T[:2000]).components_
    return parts - parts.mean(axis=1, keepdims=True)


def at_random(A: Array, n: int, rng: np.random.Generator) -> Array:
    """Return n random directions: the control."""
    return rng.normal(size=(n, len(A)))


LEARNERS: dict[str, Learner] = {
    "random": at_random,
    "sparse filtering": by_sparse_filtering,
    "k-means": k_means,
    "NMF": by_nmf,
}


def pretrain(state: TrainingState, X: Array, shape: tuple[int, int, int], method: str, seed: int) -> None:
    """Fill W1 from photographs, and W2 and W3 by the method from the unlabelled X (n_x, m)."""
    rng, crop_shape = np.random.default_rng([seed, 1]), crop_shape_for(shape)
    n_1, n_2, n_3 = state.parameters.layer_dims[1:4]
    crops = take_crops(embedded_photographs(), crop_shape, n_crops_for(n_filters_for(n_1, "relu")), rng)
    W1 = pretrain_first_layer(crops, crop_shape, shape, X, n_1, "relu", rng=rng)
    state.parameters[1].W[:] = W1
    if not method:
        return
    rng, Z1 = np.random.default_rng([seed, 2]), W1.astype(np.float32) @ X
    layers = pretrain_upper_layers(Z1, W1, shape, (n_2, n_3), "relu", rng=rng, learn=LEARNERS[method])
    for l, (W, _) in enumerate(layers, start=2):
        state.parameters[l].W[:] = W


def fit(data: Data, split: Split, recipe: Recipe, method: str | None, seed: int) -> list[Outcome]:
    """Pretrain (None: not at all) and train; return the outcomes before and after training with labels."""
    chosen, held_out = split
    X = data.X[:, chosen]
    mean = X.mean(axis=1, keepdims=True)
    std = np.sqrt(((X - mean) ** 2).mean())

    def prepare(X: Array) -> Array:
        return np.asfortranarray((X - mean) / std)

    labels, images = data.labels[chosen], X.T.reshape(-1, *data.shape)
    source = ShiftedBatches(images, labels, recipe.shift, prepare)
    network, training = NetworkConfig(**recipe.network), TrainingConfig(seed=seed, **recipe.training)
    state = start(network, training, n_x=len(X), m=len(chosen), n_classes=2)
    augmented = [next(iter(source.batches(len(chosen), [seed, k]))).X.copy() for k in range(UNLABELLED // len(chosen))]
    unlabelled = np.asfortranarray(np.concatenate(augmented, axis=1))
    if method is not None:
        pretrain(state, unlabelled, data.shape, method, seed)
        state.training = replace(state.training, layer_rates=RATES if method else (0.3, 1.0, 1.0, 1.0))
    _standardise(state, unlabelled)
    outcomes = [_outcome(data, held_out, state, prepare, state.parameters)]
    for _ in train(state, source):
        pass
    return [*outcomes, _outcome(data, held_out, state, prepare, state.result)]


def _standardise(state: TrainingState, X: Array) -> None:
    """Set the running statistics to those of X (n_x, m), so that the network can be measured before training."""
    A = X
    for l in range(1, state.parameters.L):
        Z = state.parameters[l].W @ A
        running = state.parameters.running_statistics(l)
        running.mean[:], running.variance[:] = Z.mean(axis=1, keepdims=True), Z.var(axis=1, keepdims=True)
        A = np.maximum((Z - running.mean) / np.sqrt(np.maximum(running.variance, 1e-12)), 0)


def _outcome(data: Data, held_out: np.ndarray, state: TrainingState, prepare: Any, parameters: Any) -> Outcome:
    X = prepare(data.X[:, held_out])
    found = labels_from(class_probabilities(X, parameters, state.network))
    folded, network = fold_batch_norm(parameters, state.network)
    accuracy = float((found == data.labels[held_out]).mean())
    return Outcome(accuracy, score_filters(folded[1].W, data.shape), float("nan"), network, folded, X)


def measures(outcome: Outcome, X: Array, data: Data, split: Split) -> list[float]:
    """Return the areas and AUCs of layers 1 to 3; R², probe and sparseness of layer 2; accuracy, and edge share."""
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.preprocessing import StandardScaler

    chosen, held_out = split
    areas, aucs = [], []
    for l in (1, 2, 3):
        fields = receptive_fields(l, outcome.X_held_out, outcome.parameters, outcome.network)
        areas.append(float(np.median(energy_area(fields[:, :, None]))))
        activations = layer_activations(outcome.X_held_out, outcome.parameters, outcome.network)[l - 1]
        aucs.append(float(np.median(unit_auc(activations, data.labels[held_out]))))
    A = [layer_activations(inputs, outcome.parameters, outcome.network) for inputs in (X, outcome.X_held_out)]
    scaler = StandardScaler().fit(A[0][1].T)
    known, unknown = scaler.transform(A[0][1].T), scaler.transform(A[1][1].T)
    ridge = RidgeCV(np.logspace(0, 4, 9)).fit(known, X.T)
    rest = ((outcome.X_held_out.T - ridge.predict(unknown)) ** 2).sum()
    r2 = 1 - rest / ((outcome.X_held_out.T - X.T.mean(axis=0)) ** 2).sum()
    labels, probes = data.labels[chosen], []
    for draw in range(10):
        rng = np.random.default_rng(draw)
        few = np.concatenate([rng.choice(np.flatnonzero(labels == k), 5, replace=False) for k in (0, 1)])
        probes.append(LogisticRegression(C=0.1).fit(known[few], labels[few]).score(unknown, data.labels[held_out]))
    layer = outcome.parameters[2]
    Z = layer.W @ A[1][0] + layer.b
    Z = Z - Z.mean(axis=1, keepdims=True)
    sparse = 1 - np.abs(Z).mean(axis=1) / np.maximum(np.sqrt((Z * Z).mean(axis=1)), 1e-9)
    edges = float(outcome.scores.edge.mean())
    return [*areas, *aucs, float(r2), float(np.mean(probes)), float(np.median(sparse)), outcome.accuracy, edges]


def _row(name: str, values: np.ndarray, random: np.ndarray | None) -> str:
    """Return a line of the table: means over splits; R² and probe minus those of random weights, 95 % intervals."""
    from scipy.stats import t

    m, against = values.mean(axis=0), ""
    if random is not None and len(values) > 1:
        gain = 100 * (values[:, 6:8] - random[:, 6:8])
        half = t.ppf(0.975, len(values) - 1) * gain.std(axis=0, ddof=1) / np.sqrt(len(values))
        against = ", ".join(f"{g:+.1f} ± {h:.1f}" for g, h in zip(gain.mean(axis=0), half, strict=True))
    return (
        f"| {name} | {m[0]:.2f}, {m[1]:.2f}, {m[2]:.2f} | {m[3]:.2f}, {m[4]:.2f}, {m[5]:.2f} | {m[6]:.2f} "
        f"| {m[7]:.3f} | {m[8]:.2f} | {m[9]:.3f} | {m[10]:.0%} | {against} |"
    )


def main() -> None:
    """Print one table before training with labels, and one after it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    data = lfw_subset()
    recipe = Recipe("", network={"hidden": WIDTHS}, **AUGMENTED)
    print(f"lfw_subset, {seeds} splits, widths {WIDTHS}; Python {platform.python_version()}, NumPy {np.__version__}")
    tables: list[list[str]] = [[], []]
    contestants = {"plain": None, "layer 1 only": "", **{f"windows, {method}": method for method in LEARNERS}}
    random: dict[int, np.ndarray] = {}
    for name, method in contestants.items():
        found: list[list[list[float]]] = [[], []]
        for seed, split in enumerate(data.splits[:seeds]):
            X = data.X[:, split[0]]
            mean = X.mean(axis=1, keepdims=True)
            X = np.asfortranarray((X - mean) / np.sqrt(((X - mean) ** 2).mean()))
            for when, outcome in enumerate(fit(data, split, recipe, method, seed)):
                found[when].append(measures(outcome, X, data, split))
        for when, rows in enumerate(found):
            values = np.array(rows)
            if method == "random":
                random[when] = values
            tables[when].append(_row(name, values, None if method in (None, "", "random") else random[when]))
            print(tables[when][-1], "after" if when else "before", flush=True)
    for title, rows in zip(("Before training with labels", "After training with labels"), tables, strict=True):
        print(f"\n{title}:\n")
        print("| | area of layers 1-3 | AUC of layers 1-3 | R² | probe, 5 per class | sparseness | accuracy | edges "
              "| R², probe minus random, points |\n|---|---|---|---|---|---|---|---|---|")  # fmt: skip
        print("\n".join(rows))


if __name__ == "__main__":
    main()
