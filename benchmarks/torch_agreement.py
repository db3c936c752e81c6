"""Compare our NumPy network with PyTorch: the same weights and inputs must give the same results.

Compared are every activation and head forward and backward, batch normalisation with its running statistics, label
smoothing, gradient clipping, several steps of every optimiser, and twenty steps of a whole training run. Prints the
largest difference of each and exits with 1 if one is above 1e-6. All is computed in double precision, in which rounding
cannot hide a wrong formula; the probabilities of a network of realistic size are also compared in single precision.

    pip install "torch==2.13.0"        # only for this comparison; Facette does not depend on it
    python benchmarks/torch_agreement.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from model import optimizers
from model.activations import ACTIVATIONS
from model.batches import ArrayBatches
from model.config import NetworkConfig, TrainingConfig
from model.heads import HEADS
from model.network import class_probabilities, cost_and_gradients
from model.optimizers import OPTIMIZERS
from model.parameters import Parameters, initialize
from model.training import Trainer, clip, start

try:
    import torch
except ImportError:
    sys.exit('This comparison needs PyTorch: pip install "torch==2.13.0"')

LIMIT = 1e-6
PEERS = {
    "identity": torch.nn.Identity(),
    "sigmoid": torch.nn.Sigmoid(),
    "tanh": torch.nn.Tanh(),
    "relu": torch.nn.ReLU(),
    "leaky_relu": torch.nn.LeakyReLU(0.01),
    "elu": torch.nn.ELU(),
    "gelu": torch.nn.GELU(approximate="tanh"),
    "softplus": torch.nn.Softplus(),
}
Difference = tuple[str, float]


def largest(ours: np.ndarray, peer: torch.Tensor | np.ndarray) -> float:
    """Return the largest difference: absolute for values up to 1, relative for larger ones."""
    theirs = peer.detach().numpy() if isinstance(peer, torch.Tensor) else peer
    if ours.shape != theirs.shape:
        return float("inf")
    return float(np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))))


def twin_of(parameters: Parameters, config: NetworkConfig) -> torch.nn.Sequential:
    """Return a PyTorch network with the same weights; a batch-normalised layer has no bias before the normalisation."""
    layers: list[torch.nn.Module] = []
    dtype = torch.float64 if parameters.flat.dtype == np.float64 else torch.float32
    for l in range(1, parameters.L + 1):
        W, b, gamma = parameters[l]
        linear = torch.nn.Linear(W.shape[1], W.shape[0], bias=gamma is None, dtype=dtype)
        linear.weight.data = torch.tensor(W)
        layers.append(linear)
        if gamma is None:
            linear.bias.data = torch.tensor(b[:, 0])
        else:
            normalization = torch.nn.BatchNorm1d(len(W), dtype=dtype)
            normalization.weight.data, normalization.bias.data = torch.tensor(gamma[:, 0]), torch.tensor(b[:, 0])
            layers.append(normalization)
        if l < parameters.L:
            layers.append(PEERS[config.activation])
    return torch.nn.Sequential(*layers)


def gradient_of(twin: torch.nn.Sequential, like: Parameters) -> np.ndarray:
    """Return PyTorch's gradient in the order of our flat vector."""
    flat = like.like(np.zeros_like(like.flat))
    modules = [module for module in twin if isinstance(module, (torch.nn.Linear, torch.nn.BatchNorm1d))]
    for l in range(1, like.L + 1):
        W, b, gamma = flat[l]
        linear = modules.pop(0)
        W[:] = linear.weight.grad.numpy()
        shift = linear
        if gamma is not None:
            shift = modules.pop(0)
            gamma[:, 0] = shift.weight.grad.numpy()
        b[:, 0] = shift.bias.grad.numpy()
    return flat.flat


def networks(rng: np.random.Generator) -> Iterator[Difference]:
    """Compare cost, gradient and probabilities of a network, for every activation and head."""
    for head in HEADS:
        n_classes = 2 if head == "sigmoid" else 5
        for activation in ACTIVATIONS:
            for batch_norm in (False, True):
                config = NetworkConfig(hidden=(13, 9), activation=activation, head=head, batch_norm=batch_norm)
                parameters = initialize(config.layer_dims(20, n_classes), config, rng, np.float64)
                parameters.flat += 0.3 * rng.normal(size=parameters.flat.size)
                X, labels = rng.normal(size=(20, 30)), rng.integers(0, n_classes, 30)
                Y = HEADS[head].targets(labels, n_classes, 0.1, np.dtype(np.float64))
                twin = twin_of(parameters, config)
                gradients = parameters.like(np.zeros_like(parameters.flat))
                cost, _ = cost_and_gradients(X, Y, np.full(30, 1 / 30), parameters, gradients, config)
                logits = twin(torch.tensor(X.T))
                if head == "softmax":
                    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
                    their_cost = criterion(logits, torch.tensor(labels))
                else:
                    their_cost = torch.nn.BCEWithLogitsLoss()(logits, torch.tensor(Y.T))
                their_cost.backward()
                name = f"{head}, {activation}{', batch_norm' if batch_norm else ''}"
                yield f"cost: {name}", largest(np.array(cost), their_cost)
                yield f"gradient: {name}", largest(gradients.flat, gradient_of(twin, parameters))
                if batch_norm:
                    yield f"running statistics: {name}", running_difference(parameters, twin)
                twin.eval()
                logits = twin(torch.tensor(X.T))
                theirs = torch.softmax(logits, 1) if head == "softmax" else torch.sigmoid(logits)
                ours = class_probabilities(X, parameters, config).T
                yield f"probabilities: {name}", largest(ours if head == "softmax" else ours[:, 1:], theirs)


def running_difference(parameters: Parameters, twin: torch.nn.Sequential) -> float:
    """Return the largest difference of the running means and variances after one batch."""
    norms = [module for module in twin if isinstance(module, torch.nn.BatchNorm1d)]
    return max(
        max(
            largest(parameters.running_statistics(l).mean[:, 0], norm.running_mean),  # type: ignore[union-attr]
            largest(parameters.running_statistics(l).variance[:, 0], norm.running_var),  # type: ignore[union-attr]
        )
        for l, norm in enumerate(norms, start=1)
    )


def single_precision(rng: np.random.Generator) -> Iterator[Difference]:
    """Compare the probabilities of a network for images of 64x64 in single precision, as it is used."""
    config = NetworkConfig(hidden=(512, 256), head="softmax", batch_norm=False)
    parameters = initialize((12288, 512, 256, 10), config, rng)
    X = rng.random((12288, 64), dtype=np.float32)
    theirs = torch.softmax(twin_of(parameters, config)(torch.tensor(X.T)), 1)
    yield "probabilities: 12288-512-256-10, float32", largest(class_probabilities(X, parameters, config).T, theirs)


def steps(rng: np.random.Generator) -> Iterator[Difference]:
    """Compare w after each of five steps of every optimiser."""
    c = {"momentum": 0.85, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6, "weight_decay": 0.04}
    peers = {
        "sgd": lambda w: torch.optim.SGD([w], lr=0.01),
        "momentum": lambda w: torch.optim.SGD([w], lr=0.01, momentum=c["momentum"]),
        "nesterov": lambda w: torch.optim.SGD([w], lr=0.01, momentum=c["momentum"], nesterov=True),
        "rmsprop": lambda w: torch.optim.RMSprop([w], lr=0.01, alpha=c["momentum"], eps=c["epsilon"]),
        "adam": lambda w: torch.optim.Adam([w], lr=0.01, betas=(c["beta1"], c["beta2"]), eps=c["epsilon"]),
        "adamw": lambda w: torch.optim.AdamW(
            [w], lr=0.01, betas=(c["beta1"], c["beta2"]), eps=c["epsilon"], weight_decay=c["weight_decay"]
        ),
    }
    for name in OPTIMIZERS:
        w = rng.normal(size=200)
        theirs = torch.tensor(w, requires_grad=True)
        optimizer, config = peers[name](theirs), TrainingConfig(optimizer=name, **c)
        moments, block = np.zeros((OPTIMIZERS[name].n_moments, 200)), optimizers.Block(0, 200, 1.0, True)
        for t in range(1, 6):
            gradient = rng.normal(size=200)
            theirs.grad = torch.tensor(gradient)
            optimizer.step()
            optimizers.apply(OPTIMIZERS[name].update, w, gradient, moments, [block], 0.01, t, config)
            yield f"optimiser: {name}, step {t}", largest(w, theirs)
    gradient = rng.normal(size=200)
    theirs = torch.zeros(200, dtype=torch.float64)
    theirs.grad = torch.tensor(gradient)
    torch.nn.utils.clip_grad_norm_([theirs], 1.5)
    clip(gradient, 1.5)
    yield "gradient clipping", largest(gradient, theirs.grad)


def whole_run(rng: np.random.Generator) -> Iterator[Difference]:
    """Compare the weights after 20 training steps with batch norm, L2 penalty and Adam together."""
    X, labels = np.asfortranarray(rng.normal(size=(20, 600))), rng.integers(0, 5, 600)
    network = NetworkConfig(hidden=(13, 9), batch_norm=True)
    training = TrainingConfig(
        optimizer="adam", learning_rate=0.01, batch_size=30, l2=0.02, epsilon=1e-5, dtype="float64"
    )
    state = start(network, training, n_x=20, m=600, n_classes=5)
    twin, run = twin_of(state.parameters, state.network), Trainer(state, labels)
    weights = [module.weight for module in twin if isinstance(module, torch.nn.Linear)]
    others = [p for p in twin.parameters() if not any(p is weight for weight in weights)]
    optimizer = torch.optim.Adam(
        [{"params": weights, "weight_decay": 0.02}, {"params": others}], lr=0.01, betas=(0.9, 0.999), eps=1e-5
    )
    for batch in ArrayBatches(X, labels).batches(30, None):
        optimizer.zero_grad()
        torch.nn.CrossEntropyLoss()(twin(torch.tensor(batch.X.T)), torch.tensor(batch.labels)).backward()
        optimizer.step()
        run.step(batch, 0.01)
    theirs = twin_parameters(twin, state.parameters)
    yield "weights after 20 steps: batch_norm, l2, adam", largest(state.parameters.flat, theirs)


def twin_parameters(twin: torch.nn.Sequential, like: Parameters) -> np.ndarray:
    """Return PyTorch's parameters in the order of our flat vector."""
    for parameter in twin.parameters():
        parameter.grad = parameter.detach().clone()
    return gradient_of(twin, like)


def main() -> int:
    """Print the table; return the exit status."""
    rng = np.random.default_rng(0)
    groups: dict[str, list[Difference]] = {}
    for part in (networks, single_precision, steps, whole_run):
        for name, difference in part(rng):
            groups.setdefault(name.split(":")[0] if part is networks else name.split(", step")[0], []).append(
                (name, difference)
            )
    print(f"{'compared with PyTorch ' + torch.__version__:58} {'checks':>6}  largest difference")
    failed = []
    for group, rows in groups.items():
        worst = max(difference for _, difference in rows)
        failed += [name for name, difference in rows if not difference <= LIMIT]
        print(f"{group:58} {len(rows):6}  {worst:.1e}{'' if worst <= LIMIT else '  DIFFERS'}")
    for name in failed:
        print(f"differs by more than {LIMIT}: {name}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
