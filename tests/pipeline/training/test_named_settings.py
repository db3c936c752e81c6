"""Settings by their names: each goes where it belongs, and a wrong name is refused."""

from __future__ import annotations

import pytest

from model.errors import ConfigError
from pipeline.data.config import DataConfig
from pipeline.errors import InputError
from pipeline.training.named_settings import with_settings
from pipeline.training.recipe import Recipe


def test_each_setting_goes_to_its_part():
    names = {"epochs": 5, "hidden": [8, 4], "augment": "affine", "memory": 10.0, "size": "48"}
    recipe, data = with_settings(Recipe(), None, names)
    assert (recipe.training.epochs, recipe.network.hidden, recipe.augmentation.augment) == (5, (8, 4), "affine")
    assert recipe.run.memory == 10.0
    assert data == DataConfig(size="48")


def test_what_is_given_otherwise_stays():
    recipe, data = with_settings(Recipe(), DataConfig(color="gray"), {"size": "48"})
    assert (recipe, data) == (Recipe(), DataConfig(color="gray", size="48"))
    assert with_settings(Recipe(), None, {"epochs": 5})[1] is None


@pytest.mark.parametrize(
    ("name", "message"), [("epoch", "there is no setting 'epoch'; did you mean epochs?"), ("xyz", "the settings are ")]
)
def test_a_wrong_name_is_refused(name, message):
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        with_settings(Recipe(), None, {name: 1})


def test_a_wrong_value_is_refused():
    with pytest.raises(ConfigError, match="epochs"):
        with_settings(Recipe(), None, {"epochs": 0})
