"""Help that fits on a screen, examples that work, and hints for what is mistyped."""

from __future__ import annotations

import re
import shlex
from importlib import import_module

import pytest

from pipeline.cli.main import COMMANDS, main, parse
from pipeline.cli.parser import Parser, near_matches


def help_text(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main([*words])
    assert ended.value.code == 0
    return capsys.readouterr().out


def options(text):
    return set(re.findall(r"^  (?:-\w(?: [A-Z]+)?, )?(--[\w-]+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("name", ["train", "demo"])
def test_help_explains_few_options_and_help_all_every_one(name, capsys):
    short, full = help_text(capsys, name, "--help"), help_text(capsys, name, "--help-all")
    assert len(short.splitlines()) < 60
    assert len(options(short)) <= 14
    assert {"--epochs", "--hidden", "--help-all"} <= options(short) < options(full)
    assert len(options(full)) > 60
    assert "--help-all" in short.splitlines()[-1]
    assert "--beta1" not in short


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_reads_well(name, capsys):
    text = help_text(capsys, name, "--help-all" if name in ("train", "demo") else "--help")
    assert text.splitlines()[0].startswith(f"usage: facette {name} [options]")
    titles = re.findall(r"^(\S.*):$", text.split("examples, with")[0], flags=re.MULTILINE)
    assert len(titles) == len(set(titles))
    for option, form in re.findall(r"^  (?:-\w \S+, )?(--[\w-]+) (\S+)", text, flags=re.MULTILINE):
        last_word = option.rpartition("-")[2]
        assert form.lower() != last_word or form == "NAME", f"{option} {form} does not say what to give"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_in_the_help_are_command_lines_that_work(name, capsys):
    text = help_text(capsys, name, "--help")
    lines = [line for line in text.split("examples, with")[1].splitlines()[1:] if re.match(r"  \S", line)]
    lines = [line for line in lines if "--help-all" not in line]
    examples = import_module(f"pipeline.cli.commands.{name}").EXAMPLES
    assert len(lines) == len(examples) >= 2
    for line, (words, _) in zip(lines, examples, strict=True):
        command = shlex.split(line)
        assert command[-len(words.split()) - 1 :] == [name, *shlex.split(words)]
        assert parse([name, *shlex.split(words)]).command == name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "photos", "--learning_rate", "0.1"], "--learning_rate; did you mean --learning-rate?"),
        (["train", "photos", "--learning_rate=0.1"], "--learning_rate; did you mean --learning-rate?"),
        (["train", "--lr", "0.1", "photos"], "--lr; did you mean --learning-rate or --layer-rates?"),
        (["train", "photos", "--epoch_s", "3"], "--epoch_s; did you mean --epochs?"),
        (["train", "photos", "--no-batchnorm"], "--no-batchnorm; did you mean --no-batch-norm"),
        (["train", "photos", "--Hidden", "3"], "--Hidden; did you mean --hidden?"),
        (["train", "photos", "-epochs", "3"], "-epochs; did you mean --epochs?"),
        (["train", "photos", "--colour", "gray"], "--colour; did you mean --color?"),
        (["predict", "--treshold", "0.5"], "--treshold; did you mean --threshold?"),  # before what else is missing
        (["evaluate", "m", "photos", "--xyzzy"], "there is no option --xyzzy"),
    ],
)
def test_a_mistyped_option_gets_the_help_of_its_command_and_near_matches(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    err = capsys.readouterr().err
    assert ended.value.code == 2
    assert said in err
    assert re.search(rf"\(see  .*facette {words[0]} --help(-all)? \)\n$", err)
    assert err.count("\n") == 1


def test_options_that_argparse_understands_are_left_to_it():
    assert parse(["train", "photos", "--learning", "0.1"]).learning_rate == 0.1
    assert parse(["filters", "model.h5", "-oout.png"]).output == "out.png"
    assert parse(["predict", "m.h5", "-", "--", "--odd-name.png"]).inputs == ["-", "--odd-name.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian", "photos"], "there is no command trian; did you mean train?"),
        (["classify", "photos"], "there is no command classify; the commands are demo, ingest, inspect, train"),
        (["--verison"], "there is no option --verison; did you mean --version?"),
        (["evaluate", "m", "photos", "more"], "'more' is one argument too many"),
    ],
)
def test_a_mistyped_command_or_argument(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_folder_in_place_of_a_command_is_proposed_to_train(tmp_path, monkeypatch, capsys):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["photos"])
    assert "facette train photos" in capsys.readouterr().err


def test_near_matches_put_the_likeliest_first():
    known = ["--batch-size", "--batch-norm", "--size", "--learning-rate", "--decay-rate"]
    assert near_matches("--bs", known) == ["--batch-size"]
    assert near_matches("--batch", known) == ["--batch-size", "--batch-norm"]
    assert near_matches("--rate", known) == ["--learning-rate", "--decay-rate"]
    assert near_matches("--batchSize", known) == ["--batch-size"]
    assert near_matches("--", known) == []


def test_a_parser_without_main_options_has_one_help():
    parser = Parser(prog="facette x")
    parser.add_argument("--one", metavar="N", help="one")
    assert parser.format_short_help() == parser.format_help()
