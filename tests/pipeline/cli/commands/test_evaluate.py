"""`facette evaluate`: the comparison with a random split is only announced if it can be made."""

from __future__ import annotations

from pipeline.cli.main import main


def test_a_training_that_cannot_be_compared_is_not_announced(run_path, capsys):
    assert main(["evaluate", str(run_path), str(run_path / "data.h5"), "--random-split"]) == 2
    err = capsys.readouterr().err
    assert "has no groups of images" in err
    assert "Training" not in err


def test_flags_that_mean_nothing_to_it_are_refused(run_path, capsys):
    words = ["evaluate", str(run_path), str(run_path / "data.h5"), "--random-split", "--tta", "4"]
    assert main(words) == 2
    assert "leave out --split, --include-trained and --tta" in capsys.readouterr().err
