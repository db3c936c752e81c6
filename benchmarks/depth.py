"""Test a common claim: that the parity of n bits needs deep networks.

There are two different questions. The first is what a network can *compute* with how many units. Three networks are
built by hand, and each is checked on all 2^n inputs: a tree of XORs, log2(n) layers deep; one hidden layer with a unit
per pattern; and one hidden layer that counts. The second is what *training finds*: deep, narrow and shallow, wide
networks with equally many parameters are trained on three quarters of all patterns and tested on the others.

    python benchmarks/depth.py                       # a few minutes on one core; writes docs/images/depth.png
    python benchmarks/depth.py --seeds 1 --steps 500 --output /dev/null     # a quick look
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model.activations import Array
from model.batches import ArrayBatches
from model.config import NetworkConfig, TrainingConfig
from model.network import class_probabilities, labels_from
from model.parameters import Parameters
from model.training import cost_and_accuracy, start, train

CERTAIN = 20.0  # logit of a network built by hand, a probability of 1 - 2e-9
RELU = {"activation": "relu", "head": "sigmoid", "batch_norm": False}


def all_patterns(n: int) -> tuple[Array, np.ndarray]:
    """Return every input of n bits as a column of 0 and 1, shape (n, 2^n), and its parity, shape (2^n,)."""
    X = ((np.arange(2**n) >> np.arange(n)[:, np.newaxis]) & 1).astype(np.float64, order="F")
    return X, X.sum(axis=0).astype(int) % 2


def xor_tree(n: int) -> Parameters:
    """Return a network of ceil(log2 n) hidden layers that combines the bits in pairs until one is left.

    For bits a, b: XOR(a, b) = relu(a + b) - 2 relu(a + b - 1). A hidden layer has these two units for every pair, and
    one unit for a bit without a partner; the W of the layer above computes the difference.
    """
    reads = np.eye(n)  # row i: weights that compute bit i from the units of the layer below
    Ws, bs = [], []
    while len(reads) > 1:
        rows, offsets, combine = [], [], []
        for first in range(0, len(reads), 2):
            pair = reads[first : first + 2]
            rows += [pair.sum(axis=0)] * len(pair)
            offsets += [0.0, -1.0][: len(pair)]
            combine.append([1.0, -2.0][: len(pair)])
        Ws.append(np.array(rows))
        bs.append(np.array(offsets))
        reads, at = np.zeros((len(combine), len(rows))), 0
        for bit, coefficients in enumerate(combine):
            reads[bit, at : at + len(coefficients)] = coefficients
            at += len(coefficients)
    return assembled([*Ws, 2 * CERTAIN * reads], [*bs, np.array([-CERTAIN])])


def one_unit_per_pattern(n: int) -> Parameters:
    """Return one hidden layer of 2^(n-1) units, each 1 for one pattern of odd parity and 0 for all other patterns."""
    X, parity = all_patterns(n)
    patterns = X[:, parity == 1].T
    W = 2 * patterns - 1
    b = 1 - patterns.sum(axis=1)
    return assembled([W, np.full((1, len(W)), 2 * CERTAIN)], [b, np.array([-CERTAIN])])


def counting(n: int) -> Parameters:
    """Return one hidden layer of n units: parity is a zigzag of the number of ones, and each ReLU adds a bend."""
    bends = np.array([1.0] + [2.0 * (-1) ** k for k in range(1, n)])
    return assembled(
        [np.ones((n, n)), 2 * CERTAIN * bends[np.newaxis]], [-np.arange(n, dtype=float), np.array([-CERTAIN])]
    )


def assembled(Ws: list[Array], bs: list[Array]) -> Parameters:
    """Return a network with these weights."""
    parameters = Parameters((Ws[0].shape[1], *(len(W) for W in Ws)), dtype=np.float64)
    for l, (W, b) in enumerate(zip(Ws, bs, strict=True), start=1):
        parameters[l].W[:], parameters[l].b[:] = W, b[:, np.newaxis]
    return parameters


def n_wrong(parameters: Parameters, n: int) -> int:
    """Return for how many of all 2^n inputs a network does not give the parity."""
    X, parity = all_patterns(n)
    config = NetworkConfig(hidden=parameters.layer_dims[1:-1], **RELU)
    return int((labels_from(class_probabilities(X, parameters, config)) != parity).sum())


class Outcome(NamedTuple):
    """Accuracies on the patterns trained on and on the others, one for each seed, at the best learning rate."""

    seen: list[float]
    unseen: list[float]


DEEP = (16, 16, 16, 16)
RATES = (0.001, 0.003, 0.01)


def shallow_like(n: int) -> tuple[int]:
    """Return the width of a single hidden layer with nearly as many parameters as `DEEP`, for n inputs."""
    return (round((Parameters((n, *DEEP, 1)).flat.size - 1) / (n + 2)),)


def trained(n: int, hidden: tuple[int, ...], seeds: int, steps: int) -> Outcome:
    """Train on three quarters of all patterns with each learning rate; return the result that fits these best."""
    X, parity = all_patterns(n)
    X = 2 * X - 1  # -1 and 1 are easier to train on than 0 and 1
    outcomes = []
    for rate in RATES:
        seen, unseen = [], []
        for seed in range(seeds):
            order = np.random.default_rng([n, seed]).permutation(2**n)
            chosen, others = np.split(order, [3 * 2**n // 4])
            source, rest = (ArrayBatches(np.asfortranarray(X[:, part]), parity[part]) for part in (chosen, others))
            batch_size = min(64, len(chosen))
            training = TrainingConfig(
                optimizer="adam",
                learning_rate=rate,
                batch_size=batch_size,
                epochs=max(1, steps // -(-len(chosen) // batch_size)),
                seed=seed,
            )
            network = NetworkConfig(hidden=hidden, **RELU)
            state = start(network, training, n_x=n, m=len(chosen), n_classes=2)
            for _ in train(state, source):
                pass
            seen.append(cost_and_accuracy(state.result, state.network, source)[1])
            unseen.append(cost_and_accuracy(state.result, state.network, rest)[1])
        outcomes.append(Outcome(seen, unseen))
    return max(outcomes, key=lambda outcome: float(np.mean(outcome.seen)))


def draw(bits: list[int], outcomes: dict[str, list[Outcome]], output: Path) -> None:
    """Draw the units needed and the accuracies found, both against n."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    units, found = figure.subplots(1, 2)
    n = np.arange(2, 17)
    by_hand = (  # the last: position of the name relative to the last point
        ("a unit per pattern, 1 layer", "#b3452c", None, (-32, 3, "top")),
        ("XOR tree, log2 n layers", "#1f6f8b", xor_tree, (0, 8, "bottom")),
        ("counting, 1 layer", "#6b8e23", counting, (0, -10, "top")),
    )
    for name, color, build, (x, y, vertical) in by_hand:
        counts = [2 ** (k - 1) if build is None else sum(build(k).layer_dims[1:-1]) for k in n.tolist()]
        units.semilogy(n, counts, "o-", color=color, markersize=4)
        units.annotate(
            name, (n[-1], counts[-1]), (x, y), textcoords="offset points", color=color, ha="right", va=vertical
        )
    units.set(xlabel="n (bits)", ylabel="hidden units", title="What three networks built by hand need")
    for (name, rows), color in zip(outcomes.items(), ("#1f6f8b", "#b3452c"), strict=True):
        for shift, (part, marker) in enumerate((("seen", "o-"), ("unseen", "s--"))):
            values = np.array([getattr(row, part) for row in rows])
            label = f"{name}, {'patterns trained on' if part == 'seen' else 'held-out patterns'}"
            found.plot(bits, values.mean(axis=1), marker, color=color, label=label, markersize=5)
            jitter = 0.05 * (shift - 0.5)
            found.plot(np.array(bits) + jitter, values, ".", color=color, alpha=0.35, markersize=4)
    found.axhline(0.5, color="gray", linewidth=0.8)
    found.annotate("guessing", (bits[0], 0.5), (0, 3), textcoords="offset points", color="gray")
    found.set(xlabel="n (bits)", ylabel="accuracy", title="What training found, at equal parameter counts", xticks=bits)
    found.set_ylim(-0.03, 1.05)
    found.legend(fontsize=8, loc="lower right")
    for axes in (units, found):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(output, format="png")


def main() -> int:
    """Check the networks built by hand, train, print both tables, draw; return the exit status."""
    parser = argparse.ArgumentParser(description="Deep, narrow and shallow, wide networks on the parity of n bits.")
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 6, 8, 10, 12], help="n of the trained networks")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each network and learning rate")
    parser.add_argument("--steps", type=int, default=4000, help="training steps of each run")
    plot = Path(__file__).resolve().parents[1] / "docs" / "images" / "depth.png"
    parser.add_argument("--output", type=Path, default=plot, help="path of the plot")
    arguments = parser.parse_args()
    if not arguments.output.parent.is_dir():
        parser.error(f"--output: there is no folder {arguments.output.parent}")
    if min(arguments.bits) < 2 or min(arguments.seeds, arguments.steps) < 1:
        parser.error("--bits takes numbers of 2 or more, --seeds and --steps of 1 or more")

    print("Built by hand: hidden units (hidden layers), and how many of all 2^n inputs are wrong")
    wrong = 0
    for n in (2, 3, 4, 8, 12, 16):
        line = f"  n = {n:2}"
        for name, build in (("XOR tree", xor_tree), ("unit per pattern", one_unit_per_pattern), ("counting", counting)):
            if build is one_unit_per_pattern and n > 12:
                line += f"   {name}: {2 ** (n - 1):5} (1), not built"
                continue
            parameters = build(n)
            n_bad = n_wrong(parameters, n)
            wrong += n_bad
            line += f"   {name}: {sum(parameters.layer_dims[1:-1]):5} ({parameters.L - 1}), {n_bad} wrong"
        print(line)

    print(f"Trained: {arguments.steps} steps, {arguments.seeds} seeds, the best of the learning rates {RATES}")
    outcomes: dict[str, list[Outcome]] = {"deep, narrow": [], "shallow, wide": []}
    for n in arguments.bits:
        for name, hidden in (("deep, narrow", DEEP), ("shallow, wide", shallow_like(n))):
            outcome = trained(n, hidden, arguments.seeds, arguments.steps)
            outcomes[name].append(outcome)
            size = Parameters((n, *hidden, 1)).flat.size
            print(
                f"  n = {n:2}   {name:13} {'-'.join(map(str, hidden)):12} {size:5} parameters   "
                f"seen {np.mean(outcome.seen):6.1%}   held out {np.mean(outcome.unseen):6.1%}   "
                f"(each: {' '.join(f'{value:.2f}' for value in outcome.unseen)})",
                flush=True,
            )
    draw(arguments.bits, outcomes, arguments.output)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
