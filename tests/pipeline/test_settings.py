"""Flags derive from the configuration dataclasses."""

from __future__ import annotations

import argparse
import dataclasses
import re

import pytest

from model.config import NetworkConfig, TrainingConfig
from pipeline.data.config import DataConfig
from pipeline.errors import InputError
from pipeline.settings import CONFIGURATIONS, add_flags, config_from_flags, with_flags
from pipeline.training.recipe import RunConfig

KINDS = (DataConfig, RunConfig, *CONFIGURATIONS.values())


def parse(*words):
    parser = argparse.ArgumentParser(exit_on_error=False)
    for kind in KINDS:
        add_flags(parser, kind, kind.__name__)
    return parser.parse_args(words)


def test_no_flags_give_the_defaults():
    for kind in KINDS:
        assert config_from_flags(kind, parse(), {}) == kind()


def test_every_default_survives_a_trip_through_text():
    for kind in KINDS:
        for field in dataclasses.fields(kind):
            flag, value = f"--{field.name.replace('_', '-')}", field.default
            if isinstance(value, bool):
                words = [flag if value else f"--no-{flag[2:]}"]
            elif isinstance(value, tuple) or "bool" in str(field.type):
                continue  # an empty tuple, and a switch left to "auto", are the flag left out
            else:
                words = [flag, str(value)]
            assert getattr(parse(*words), field.name) == value, flag


def test_lists_autos_and_switches():
    found = config_from_flags(NetworkConfig, parse("--hidden", "128,64", "--no-batch-norm"), {})
    assert found.hidden == (128, 64)
    assert found.batch_norm is False
    assert config_from_flags(NetworkConfig, parse("--hidden", "auto"), {}).hidden == "auto"
    assert config_from_flags(TrainingConfig, parse("--layer-rates", "0.1,1"), {}).layer_rates == (0.1, 1.0)


@pytest.mark.parametrize("words", [("--hidden", "a,b"), ("--epochs", "many"), ("--learning-rate", "fast")])
def test_what_is_not_a_number_is_explained(words):
    with pytest.raises(argparse.ArgumentError, match=r"give something like .* or auto"):
        parse(*words)


def test_flags_win_over_the_file_and_the_file_over_defaults():
    stored = {"epochs": 7, "seed": 3}
    found = config_from_flags(TrainingConfig, parse("--seed", "5"), stored)
    assert (found.epochs, found.seed) == (7, 5)


def test_a_name_in_the_file_that_is_no_setting_is_refused():
    with pytest.raises(InputError, match="epoch is unknown; valid names are epochs"):
        config_from_flags(TrainingConfig, parse(), {"epoch": 3})


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("batch_size: 9 is more than the 8 training examples", "--batch-size: 9 is more than the 8 training examples"),
        ("epochs: 0 does not work", "--epochs: 0 does not work"),
        (
            "batch_norm: raise batch_size or turn batch_norm off",
            "--batch-norm: raise --batch-size or turn --batch-norm off",
        ),
        ("photos/batch_size: there is no such folder", "photos/batch_size: there is no such folder"),
        ("my_photos: seed images are missing", "my_photos: seed images are missing"),
    ],
)
def test_a_message_for_the_command_line_names_flags(message, said):
    assert with_flags(message) == said


def test_the_form_of_every_flag_in_the_help_is_a_value_that_it_takes():
    parser = argparse.ArgumentParser(exit_on_error=False)
    for kind in KINDS:
        add_flags(parser, kind, kind.__name__)
    found = re.findall(r"^  (--[\w-]+) ([^-\s]\S*)", parser.format_help(), flags=re.MULTILINE)
    assert len(found) > 50
    for flag, form in found:
        for value in form.split("|"):
            parse(flag, "3" if value == "N" else value)
