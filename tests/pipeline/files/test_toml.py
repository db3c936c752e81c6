"""Configuration files: what is written is read again, and what cannot be read is explained."""

from __future__ import annotations

import dataclasses
import os

import pytest

from model.config import NetworkConfig
from pipeline.cli.main import main
from pipeline.errors import InputError
from pipeline.files.toml import read_toml, write_toml


@pytest.mark.parametrize("text", ['S\\d+ "quoted"', "a\nb\t\x01\x7f", "größe", ""])
def test_what_is_written_is_read_again(tmp_path, text):
    sections = {
        "network": dataclasses.asdict(NetworkConfig(hidden=(3, 2), batch_norm=True)),
        "data": {"group_by": text, "drop_leaks": False},
    }
    write_toml(sections, tmp_path / "c.toml")
    assert read_toml(tmp_path / "c.toml") == sections


def test_bad_files_are_explained(tmp_path):
    (tmp_path / "c.toml").write_text("[training\n")
    with pytest.raises(InputError, match="not a TOML file"):
        read_toml(tmp_path / "c.toml")
    with pytest.raises(InputError, match="cannot be read"):
        read_toml(tmp_path / "none.toml")
    (tmp_path / "d.toml").write_text("[netwrk]\nhidden = [3]\n")
    with pytest.raises(InputError, match="unknown: netwrk; the sections are data, network"):
        read_toml(tmp_path / "d.toml")


def test_a_path_that_is_not_utf_8_is_escaped(tmp_path):
    write_toml({"run": {"pretrain_on": os.fsdecode(b"photos-\xff")}}, tmp_path / "c.toml")
    assert read_toml(tmp_path / "c.toml")["run"]["pretrain_on"] == "photos-%FF"


@pytest.mark.parametrize(
    "value", ["[" * 5000 + "]" * 5000, "1" + "0" * 5000, "1" + "0" * 400, "2020-01-01", "{a = 1}", "nan"]
)
def test_a_value_that_no_setting_has_is_one_message(value, tmp_path, capsys):
    (tmp_path / "c.toml").write_text(f"[training]\nlearning_rate = {value}\n")
    assert main(["train", str(tmp_path), "--config", str(tmp_path / "c.toml")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "not a TOML file" in err or "learning_rate" in err
