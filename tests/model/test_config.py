"""Hyperparameters: names and ranges are checked when a config is made, "auto" becomes values by stated rules."""

import dataclasses

import pytest

from model.activations import ACTIVATIONS
from model.config import NetworkConfig, ResolvedTraining, TrainingConfig, resolve
from model.errors import ConfigError
from model.heads import HEADS
from model.initializers import INITIALIZERS
from model.optimizers import OPTIMIZERS
from model.schedules import SCHEDULES

TABLES = [
    (NetworkConfig, "activation", ACTIVATIONS),
    (NetworkConfig, "head", HEADS),
    (NetworkConfig, "initializer", INITIALIZERS),
    (TrainingConfig, "optimizer", OPTIMIZERS),
    (TrainingConfig, "schedule", SCHEDULES),
    (TrainingConfig, "class_weight", ["none", "balanced"]),
    (TrainingConfig, "dtype", ["float32", "float64"]),
]


@pytest.mark.parametrize(("kind", "field", "names"), TABLES, ids=[row[1] for row in TABLES])
def test_an_unknown_name_is_answered_with_the_valid_ones(kind, field, names):
    for name in names:
        assert getattr(kind(**{field: name}), field) == name
    with pytest.raises(ConfigError) as error:
        kind(**{field: "relux"})
    assert f"{field}: 'relux' is unknown" in str(error.value)
    assert all(name in str(error.value) for name in names)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        *((NetworkConfig, "hidden", value) for value in [(4, 0), (-3,), (2.5,), 4, "big", [4], (True,), None]),
        *((NetworkConfig, "dropout", value) for value in [1, 1.0, -0.1, float("nan"), "0.5", None]),
        (NetworkConfig, "head_scale", 0),
        (NetworkConfig, "batch_norm", "yes"),
        *((TrainingConfig, "epochs", value) for value in [0, -1, 2.5, True, float("inf"), "many"]),
        *((TrainingConfig, "batch_size", value) for value in [0, 1.5, -8]),
        *((TrainingConfig, "learning_rate", value) for value in [0, -0.1, float("nan"), float("inf")]),
        *((TrainingConfig, "beta1", value) for value in [1, -0.1]),
        *((TrainingConfig, "decay_rate", value) for value in [0, 1.1]),
        (TrainingConfig, "layer_rates", (1.0, -1.0)),
        (TrainingConfig, "layer_rates", 1.0),
        (TrainingConfig, "seed", 1.5),
        (TrainingConfig, "seed", -1),
        (TrainingConfig, "patience", 2.5),
        (TrainingConfig, "restore_best", "no"),
    ],
)
def test_a_value_that_cannot_work_is_named_with_a_remedy(kind, field, value):
    with pytest.raises(ConfigError) as error:
        kind(**{field: value})
    assert str(error.value).startswith(f"{field}: {value!r} does not work; give ")


def test_configurations_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        NetworkConfig().activation = "tanh"


@pytest.mark.parametrize("field", [f for kind in (NetworkConfig, TrainingConfig) for f in dataclasses.fields(kind)])
def test_every_hyperparameter_says_what_it_is(field):
    assert field.metadata["help"]


def resolved(network=None, training=None, *, n_x=64, m=500, n_classes=3):
    return resolve(network or NetworkConfig(), training or TrainingConfig(), n_x=n_x, m=m, n_classes=n_classes)


@pytest.mark.parametrize("m", [1, 2, 5, 31, 999, 1000, 2500, 10_000, 10**7])
@pytest.mark.parametrize("n_classes", [2, 10])
def test_nothing_auto_is_left_and_it_stays_as_it_is(m, n_classes):
    network, training = resolved(m=m, n_classes=n_classes)
    assert "auto" not in {*vars(network).values(), *vars(training).values()}
    assert training.batch_size <= m
    assert resolve(network, training, n_x=64, m=m, n_classes=n_classes) == (network, training)


def test_more_data_means_larger_batches_and_fewer_epochs():
    runs = [resolved(m=m)[1] for m in (500, 2000, 5000, 50_000)]
    assert [run.batch_size for run in runs] == [32, 64, 128, 256]
    assert [run.epochs for run in runs] == sorted((run.epochs for run in runs), reverse=True)
    assert runs[0].learning_rate == pytest.approx(runs[3].learning_rate * (32 / 256) ** 0.5)


def test_layer_rates_are_those_given_and_1_for_the_rest():
    assert resolved(training=TrainingConfig())[1].layer_rates == ()
    assert resolved(training=TrainingConfig(layer_rates=(0.5,)))[1].layer_rates == (0.5, 1.0, 1.0)
    assert resolved(training=TrainingConfig(layer_rates=(0.0, 2.0)))[1].layer_rates == (0.0, 2.0, 1.0)


def test_two_classes_get_the_sigmoid_head_and_layers_follow():
    network, _ = resolved(n_classes=2)
    assert network.head == "sigmoid"
    assert network.layer_dims(64, 2) == (64, 256, 128, 1)
    network, _ = resolved(n_classes=5, n_x=12288)
    assert network.head == "softmax"
    assert network.layer_dims(12288, 5) == (12288, 512, 256, 5)
    assert resolved(n_x=784, m=50_000)[0].hidden == (1024, 512)
    assert resolved(n_x=64, m=50_000)[0].hidden == (256, 128)
    with pytest.raises(ConfigError, match="resolve first"):
        NetworkConfig().layer_dims(64, 2)


def test_what_is_asked_for_is_not_changed():
    network = NetworkConfig(hidden=(7,), head="softmax", batch_norm=False)
    training = TrainingConfig(epochs=3, batch_size=9, learning_rate=0.3, restore_best=True)
    found = resolved(network, training, n_classes=2)
    assert found[0] == network
    assert vars(found[1]) == vars(training)


@pytest.mark.parametrize(
    ("network", "training", "data", "message"),
    [
        ({}, {"batch_size": 64}, {"m": 50}, "batch_size: 64 is more than the 50 training examples; give at most 50"),
        ({"batch_norm": True}, {"batch_size": 1}, {}, "batch_norm: 500 examples in batches of at most 1 leave a batch"),
        ({"batch_norm": True}, {"batch_size": 2}, {"m": 37}, "leave a batch of a single example"),
        ({"head": "sigmoid"}, {}, {"n_classes": 3}, "distinguishes two classes, not 3; use softmax"),
        ({"hidden": (4,)}, {"layer_rates": (1.0, 1.0, 1.0)}, {}, "layer_rates: 3 given, but the network has 2 layers"),
        ({}, {}, {"m": 0}, "nothing to train on: 0 training examples"),
        ({}, {}, {"n_classes": 1}, "a classifier needs examples of at least 2 classes"),
    ],
)
def test_what_cannot_work_with_the_data(network, training, data, message):
    with pytest.raises(ValueError, match=message):
        resolved(NetworkConfig(**network), TrainingConfig(**training), **data)


@pytest.mark.parametrize(("m", "batch_size", "expected"), [(37, 2, False), (38, 2, True), (1, 1, False), (37, 3, True)])
def test_batch_norm_auto_is_on_where_every_batch_has_two(m, batch_size, expected):
    assert resolved(training=TrainingConfig(batch_size=batch_size), m=m)[0].batch_norm is expected


def test_batch_norm_auto_is_off_without_hidden_layers():
    assert resolved(NetworkConfig(hidden=()))[0].batch_norm is False


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, False), ({"schedule": "cosine"}, False), ({"schedule": "constant"}, True), ({"patience": 3}, True)],
)
def test_the_best_weights_are_restored_where_the_last_have_not_settled(settings, expected):
    assert resolved(training=TrainingConfig(**settings))[1].restore_best is expected
    assert resolved(training=TrainingConfig(**settings, restore_best=not expected))[1].restore_best is not expected


def test_a_resolved_configuration_has_no_auto():
    with pytest.raises(ConfigError, match="not resolved"):
        ResolvedTraining(epochs=3)
