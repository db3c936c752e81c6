"""How first layers are pretrained: values that cannot work are named with a remedy."""

from __future__ import annotations

import dataclasses

import pytest

from model.edges.config import NOT_PRETRAINED, PretrainConfig
from model.edges.first_layer import PRETRAINERS
from model.errors import ConfigError


@pytest.mark.parametrize(
    ("field", "value"),
    [*(("pretrain_layers", value) for value in [0, 4, 1.5, True]), ("normalize_contrast", "yes")],
)
def test_a_value_that_cannot_work_is_named_with_a_remedy(field, value):
    with pytest.raises(ConfigError) as error:
        PretrainConfig(**{field: value})
    assert str(error.value).startswith(f"{field}: {value!r} does not work; give ")


def test_an_unknown_method_is_answered_with_the_valid_ones():
    for name in ("auto", "none", *PRETRAINERS):
        assert PretrainConfig(name).is_on == (name != "none")
    with pytest.raises(ConfigError, match=r"pretrain: 'magic' is unknown; choose one of auto, none, .*rica"):
        PretrainConfig("magic")


@pytest.mark.parametrize("field", dataclasses.fields(PretrainConfig), ids=lambda field: field.name)
def test_every_hyperparameter_says_what_it_is(field):
    assert field.metadata["help"]


def test_layers_that_the_network_does_not_have_cannot_be_pretrained():
    PretrainConfig("rica", 2).check(2)
    NOT_PRETRAINED.check(0)
    for config, n_hidden, message in (
        (PretrainConfig("rica"), 0, "no hidden layer to pretrain"),
        (PretrainConfig("rica", 3), 2, "3 asked for, but the network has 2 hidden"),
        (PretrainConfig("none", 2), 2, "needs a pretrained layer 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            config.check(n_hidden)
