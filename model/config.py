"""Hyperparameters: the one home of their names, defaults, meanings and valid ranges.

Hyperparameters are chosen before training, and decide how the parameters W and b are found; they are kept apart
from the parameters (see `model.parameters`). Both dataclasses are frozen, and checked when they are made. Command-line
flags, the app's widgets and `NetClassifier` derive from the fields below. A field may be ``"auto"``: `resolve` turns
each such field into a value by a stated rule. A model is stored with resolved values only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from model.activations import ACTIVATIONS
from model.errors import ConfigError
from model.heads import HEADS
from model.initializers import INITIALIZERS
from model.optimizers import OPTIMIZERS
from model.schedules import SCHEDULES

Auto = Literal["auto"]


def option(default: Any, help: str, *, choices: Iterable[str] = (), check: str = "") -> Any:
    """Make a dataclass field that carries its meaning (`help`), its valid names, and the name of its range check."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": tuple(choices), "check": check})


_CHECKS: dict[str, tuple[Callable[[float], bool], str]] = {
    "positive": (lambda v: v > 0, "greater than 0"),
    "at_least_0": (lambda v: v >= 0, "0 or greater"),
    "fraction": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "rate": (lambda v: 0 < v <= 1, "greater than 0 and at most 1"),
    "up_to_1024": (lambda v: 1 <= v <= 1024, "from 1 to 1024"),
    "one_to_three": (lambda v: 1 <= v <= 3, "from 1 to 3"),
}
_LARGEST = 2**1023  # larger numbers are none that a float can hold


def check_fields(config: Any) -> None:
    """Check every field of a config dataclass against its choices and its range.

    Raises
    ------
    ConfigError
        The message names the field, the value found and the values that are valid.
    """
    for field in dataclasses.fields(config):
        value, kind = getattr(config, field.name), str(field.type)
        if value == "auto" and "Auto" in kind:
            continue
        choices, check = field.metadata.get("choices", ()), field.metadata.get("check", "")
        if choices and value not in choices:
            raise ConfigError(f"{field.name}: {value!r} is unknown; choose one of {', '.join(choices)}")
        if kind.startswith("str") and not isinstance(value, str):
            raise ConfigError(f"{field.name}: {value!r} does not work; give text")
        if kind.startswith("bool") and not isinstance(value, bool):
            raise ConfigError(f"{field.name}: {value!r} does not work; give True or False")
        if not check:
            continue
        is_valid, words = _CHECKS[check]
        is_tuple, types = kind.startswith("tuple"), (int, float) if "float" in kind else (int,)
        noun = "number" if float in types else "whole number"
        words = f"a tuple of {noun}s {words}" if is_tuple else f"a {noun} {words}"
        if isinstance(value, tuple) != is_tuple:
            raise ConfigError(f"{field.name}: {value!r} does not work; give {words}")
        for number in value if is_tuple else (value,):
            if isinstance(number, bool) or not isinstance(number, types):
                raise ConfigError(f"{field.name}: {value!r} does not work; give {words}")
            if not abs(number) <= _LARGEST or not is_valid(number):
                raise ConfigError(f"{field.name}: {value!r} does not work; give {words}")


@dataclass(frozen=True)
class NetworkConfig:
    """Hyperparameters of the network: what it computes."""

    hidden: tuple[int, ...] | Auto = option("auto", "units of each hidden layer, first to last", check="positive")
    activation: str = option("relu", "activation of the hidden layers", choices=ACTIVATIONS)
    head: str = option("auto", "output layer and its cost", choices=("auto", *HEADS))
    initializer: str = option("he", "distribution of the initial W", choices=INITIALIZERS)
    head_scale: float = option(
        0.1, "factor on the initial W of the output layer (0.1: the first predictions are undecided)", check="positive"
    )
    batch_norm: bool | Auto = option("auto", "batch normalisation: normalise Z over the batch in every hidden layer")
    dropout: float = option(0.0, "share of hidden units set to 0 in each training step", check="fraction")
    input_dropout: float = option(0.0, "share of inputs set to 0 in each training step", check="fraction")

    def __post_init__(self) -> None:
        check_fields(self)

    def layer_dims(self, n_x: int, n_classes: int) -> tuple[int, ...]:
        """Return (n_0, n_1, ..., n_L): n_0 = n_x inputs, the hidden layers, and the n_L outputs of the head."""
        if self.hidden == "auto" or self.head == "auto":
            raise ConfigError("layer_dims needs a resolved configuration; call model.config.resolve first")
        return (n_x, *self.hidden, HEADS[self.head].n_outputs(n_classes))


@dataclass(frozen=True)
class TrainingConfig:
    """Hyperparameters of the training: how W and b are found."""

    epochs: int | Auto = option("auto", "passes over the training examples", check="positive")
    batch_size: int | Auto = option("auto", "examples per training step", check="positive")
    learning_rate: float | Auto = option(
        "auto", "size of a training step (with a schedule: the largest)", check="positive"
    )
    optimizer: str = option("adamw", "rule that turns gradients into parameter updates", choices=OPTIMIZERS)
    momentum: float = option(
        0.9,
        "share of the previous update that is kept (momentum, nesterov); decay of the average (rmsprop)",
        check="fraction",
    )
    beta1: float = option(0.9, "decay of the first moment of the gradient (adam, adamw)", check="fraction")
    beta2: float = option(0.999, "decay of the second moment of the gradient (adam, adamw)", check="fraction")
    epsilon: float = option(
        1e-8, "number added to the denominator of an update (rmsprop, adam, adamw)", check="positive"
    )
    schedule: str = option("one_cycle", "how the learning rate changes over the training steps", choices=SCHEDULES)
    warmup: float = option(0.2, "share of all training steps in which the learning rate rises", check="fraction")
    decay_rate: float = option(
        0.1,
        "factor on the learning rate: at each drop (step schedule), or over the whole run (exponential schedule)",
        check="rate",
    )
    decay_steps: int = option(
        3,
        "number of equal parts of the run; the learning rate drops between two of them (step schedule)",
        check="positive",
    )
    layer_rates: tuple[float, ...] = option(
        (), "factor on the learning rate of each layer, first to last; 1 for layers not given", check="at_least_0"
    )
    l2: float = option(
        0.0,
        "L2 penalty: half of this number times the sum of squares of all W is added to the cost",
        check="at_least_0",
    )
    weight_decay: float = option(
        0.02,
        "share of W, times the learning rate, that is subtracted in each training step (adamw)",
        check="at_least_0",
    )
    clip_norm: float = option(
        0.0, "largest norm of the whole gradient, which is shortened if it is longer; 0: no limit", check="at_least_0"
    )
    average: float = option(
        0.0,
        "decay of an exponential moving average of the weights, which is used in their place; 0: off",
        check="fraction",
    )
    label_smoothing: float = option(0.0, "share of each label spread evenly over the classes", check="fraction")
    mixup: float = option(
        0.0,
        "mixup: mix each example with another one, in a share drawn for each batch from the distribution Beta(a, a); "
        "this number is a; 0: off",
        check="at_least_0",
    )
    class_weight: str = option(
        "none",
        "weight of the classes in the cost; balanced: every class counts the same, whatever its number of examples",
        choices=("none", "balanced"),
    )
    patience: int = option(
        0, "stop after this many epochs without a lower validation cost; 0: never", check="at_least_0"
    )
    restore_best: bool | Auto = option(
        "auto", "keep the weights with the lowest validation cost, in place of the last ones"
    )
    seed: int = option(
        0, "random seed of the weights, the order of the examples and the augmentation", check="at_least_0"
    )
    dtype: str = option("float32", "precision of weights and examples in training", choices=("float32", "float64"))

    def __post_init__(self) -> None:
        check_fields(self)


class ResolvedTraining(TrainingConfig):
    """A `TrainingConfig` without "auto".

    Raises
    ------
    ConfigError
        When a field is "auto".
    """

    if TYPE_CHECKING:
        epochs: int
        batch_size: int
        learning_rate: float
        restore_best: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if "auto" in vars(self).values():
            raise ConfigError("the configuration is not resolved; call model.config.resolve first")


def resolve(
    network: NetworkConfig, training: TrainingConfig, *, n_x: int, m: int, n_classes: int
) -> tuple[NetworkConfig, ResolvedTraining]:
    """Turn every "auto" into a value, by rules on the data alone.

    ============== =====================================================================================
    hidden         256-128 up to 700 inputs, 512-256 above, 1024-512 above with 50,000 examples or more
    head           sigmoid for two classes, softmax for more
    batch_norm     on (off if a batch would hold a single example, or there is no hidden layer)
    batch_size     32 below 1,000 examples, 64 below 2,500, 128 below 10,000, 256 from there; at most m
    epochs         80, 40, 20, 12 at the same four sizes
    learning_rate  the optimiser's own learning rate at batch size 256, times sqrt(batch_size / 256)
    layer_rates    1 for the layers that are not given
    restore_best   off if the learning rate falls to 0 (the last weights have settled; a validation cost that rises
                   with overconfidence would choose earlier ones, a point worse on clothes); on with patience
    ============== =====================================================================================

    `pipeline.training.recipe.resolve_recipe` knows more about images, and resolves some fields before.

    Parameters
    ----------
    network, training : NetworkConfig, TrainingConfig
    n_x, m, n_classes : int
        Inputs, training examples and classes.

    Returns
    -------
    network : NetworkConfig
        Without "auto".
    training : ResolvedTraining

    Raises
    ------
    ConfigError
        When the given values cannot work with this data.
    """
    if m < 1 or n_x < 1:
        raise ConfigError(f"there is nothing to train on: {m} training examples of {n_x} inputs")
    if n_classes < 2:
        raise ConfigError(f"n_classes: {n_classes}; a classifier needs examples of at least 2 classes")
    size = next((i for i, limit in enumerate(_SIZES) if m < limit), len(_SIZES))
    batch_size = min((32, 64, 128, 256)[size], m) if training.batch_size == "auto" else training.batch_size
    if batch_size > m:
        raise ConfigError(f"batch_size: {batch_size} is more than the {m} training examples; give at most {m}")
    smallest_batch = m // -(-m // batch_size)  # batches have even sizes, see `model.batches.split_evenly`
    if network.batch_norm is True and smallest_batch < 2:
        raise ConfigError(
            f"batch_norm: {m} examples in batches of at most {batch_size} leave a batch of a single example; "
            "raise batch_size or turn batch_norm off"
        )
    if network.head == "sigmoid" and n_classes != 2:
        raise ConfigError(f"head: sigmoid distinguishes two classes, not {n_classes}; use softmax or auto")
    if network.batch_norm is True and network.hidden == ():
        raise ConfigError("batch_norm: there is no hidden layer to normalise; leave it at auto, or add one")
    hidden = _hidden(n_x, m) if network.hidden == "auto" else network.hidden
    network = dataclasses.replace(
        network,
        hidden=hidden,
        head=("sigmoid" if n_classes == 2 else "softmax") if network.head == "auto" else network.head,
        batch_norm=smallest_batch > 1 and bool(hidden) if network.batch_norm == "auto" else network.batch_norm,
    )
    learning_rate = OPTIMIZERS[training.optimizer].rate_at_256 * math.sqrt(batch_size / 256)
    rates, n_layers = training.layer_rates, len(network.layer_dims(n_x, n_classes)) - 1
    if len(rates) > n_layers:
        raise ConfigError(
            f"layer_rates: {len(rates)} given, but the network has {n_layers} layers; give at most one for each"
        )
    values: dict[str, Any] = {
        "epochs": (80, 40, 20, 12)[size],
        "learning_rate": learning_rate,
        "restore_best": _should_restore_best(training),
    }
    values = {name: value for name, value in values.items() if getattr(training, name) == "auto"}
    values |= {"batch_size": batch_size, "layer_rates": (*rates, *[1.0] * (n_layers - len(rates))) if rates else ()}
    return network, ResolvedTraining(**{**vars(training), **values})


def _hidden(n_x: int, m: int) -> tuple[int, ...]:
    if n_x <= 700:
        return 256, 128
    return (512, 256) if m < 50_000 else (1024, 512)


def _should_restore_best(training: TrainingConfig) -> bool:
    return bool(training.patience) or SCHEDULES[training.schedule](1.0, training) > 0


_SIZES = (1_000, 2_500, 10_000)
