"""Calibration in the life of a model: fitted at the end of a training, kept in its file, the same everywhere."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest

from model.calibration import fold_temperature
from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED, PretrainConfig
from model.errors import FormatError
from pipeline.classifier import ImageClassifier
from pipeline.cli.main import main
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.evaluation.abstention import OOD_KINDS, coverage_curve
from pipeline.evaluation.calibrate import calibrated
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.scores import score, split_probabilities
from pipeline.prediction.inputs import Inputs
from pipeline.prediction.predict import Settings, predict
from pipeline.prediction.uploads import Upload, classify_uploads
from pipeline.sources.demo import write_demo
from pipeline.training.finish import finish
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Return the folder of images, and that of a run on them: enough of them to have a temperature."""
    folder = tmp_path_factory.mktemp("digits")
    images = write_demo("digits", folder / "digits")
    run = prepare(
        images,
        folder / "run",
        recipe=Recipe(NetworkConfig(hidden=(32,)), TrainingConfig(epochs=3), NOT_PRETRAINED),
    )
    with run.dataset:
        list(run.epochs())
        finish(run)
    return images, folder / "run"


def overconfident(classifier, times):
    return replace(classifier, parameters=fold_temperature(classifier.parameters, 1 / times), calibration=None)


def test_too_much_confidence_is_taken_back(digits):
    classifier = ImageClassifier.load(digits[1])
    with Dataset.open(digits[1] / "data.h5") as dataset:
        loud = overconfident(classifier, 16)
        quiet = calibrated(loud, dataset)
        less = calibrated(overconfident(classifier, 8), dataset)
        losses = {}
        for name, model in (("loud", loud), ("quiet", quiet)):
            probabilities, labels, _ = split_probabilities(model, dataset, "test")
            losses[name] = score(probabilities, labels, model.classes)
        validation = len(dataset.indices("validation"))

    assert quiet.calibration.temperature == pytest.approx(2 * less.calibration.temperature, rel=0.01)
    assert quiet.calibration.m == validation
    assert losses["quiet"].log_loss < losses["loud"].log_loss
    assert losses["quiet"].accuracy == losses["loud"].accuracy
    assert quiet.model_id != loud.model_id


def test_the_same_image_gets_the_same_probabilities_everywhere(digits, tmp_path, capsys):
    images, run = digits
    with Dataset.open(run / "data.h5") as dataset:
        model = calibrated(overconfident(ImageClassifier.load(run), 10), dataset)
    assert model.calibration.temperature > 2
    model.save(tmp_path / "model.h5")
    model = ImageClassifier.load(tmp_path / "model.h5")
    paths = sorted(images.rglob("*.png"))[::150]
    from_api = [model.classify(path) for path in paths]
    from_app = classify_uploads(model, [Upload(path.name, path.read_bytes()) for path in paths])
    main(["predict", str(tmp_path / "model.h5"), *map(str, paths), "--topk", "10", "--reject", "0.1"])
    from_cli = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    for api, app, cli in zip(from_api, from_app, from_cli, strict=True):
        assert dict(app.row.ranking) == pytest.approx(api, abs=1e-6)
        told = {cli[f"label{k}"]: float(cli[f"probability{k}"]) for k in ("", *(f"_{k}" for k in range(2, 11)))}
        assert told == pytest.approx(api, abs=1e-6)


def test_round_trip_keeps_the_calibration(digits, tmp_path):
    first = ImageClassifier.load(digits[1])
    first.save(tmp_path / "copy.h5")
    second = ImageClassifier.load(tmp_path / "copy.h5")
    images = OOD_KINDS["photographs"](first.geometry, np.random.default_rng(0))
    for one, other in zip(
        first.classify_with_uncertainty(images), second.classify_with_uncertainty(images), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert second.calibration.temperature == first.calibration.temperature


def test_files_without_calibration_keep_loading_and_say_so_when_asked(digits, tmp_path, capsys):
    shutil.copy(digits[1] / "model.h5", tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        del file["calibration"]
    old = ImageClassifier.load(tmp_path / "old.h5")
    assert old.calibration is None
    with pytest.raises(InputError, match="has no calibration"):
        old.uncertainty_threshold(0.1)
    image = str(next(digits[0].rglob("*.png")))
    assert main(["predict", str(tmp_path / "old.h5"), image]) == 0
    assert main(["predict", str(tmp_path / "old.h5"), image, "--reject", "0.1"]) == 2
    assert "train it again" in capsys.readouterr().err
    found, _ = evaluate(old, digits[1] / "data.h5")
    assert found.abstention is None


def test_a_calibration_of_another_network_is_damage(digits, tmp_path):
    shutil.copy(digits[1] / "model.h5", tmp_path / "mixed.h5")
    with h5py.File(tmp_path / "mixed.h5", "r+") as file:
        del file["calibration/means"]
        file["calibration/means"] = np.zeros((3, 3), np.float32)
    with pytest.raises(FormatError, match="calibration does not fit"):
        ImageClassifier.load(tmp_path / "mixed.h5")


def test_rejecting_refuses_strange_images_and_few_valid_ones(digits, capsys, tmp_path):
    run = digits[1]
    words = ["predict", str(run), str(run / "data.h5"), "-o", str(tmp_path / "out.csv"), "--reject", "0.05", "--json"]
    assert main(words) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert 0 < found["abstain"] / found["files"] < 0.12
    model = ImageClassifier.load(run)
    assert f"rests on {model.calibration.m} validation images" in captured.err
    noise = OOD_KINDS["noise"](model.geometry, np.random.default_rng(1))
    np.save(tmp_path / "noise.npy", noise)
    rows = list(
        predict(
            model,
            Inputs([str(tmp_path / "noise.npy")]),
            Settings(uncertainty_threshold=model.uncertainty_threshold(0.05)),
        )
    )
    assert np.mean([row.status == "abstain" for row in rows]) > 0.95


def test_evaluate_shows_what_abstaining_does(digits, capsys):
    assert main(["evaluate", str(digits[1]), str(digits[1] / "data.h5"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    abstention = found["abstention"]
    assert abstention["curve"][0] == [1.0, found["accuracy"]]
    assert abstention["curve"][-1][1] > found["accuracy"]
    assert abstention["refused"]["noise"] > 0.95
    assert main(["evaluate", str(digits[1]), str(digits[1] / "data.h5")]) == 0
    out = capsys.readouterr().out
    assert f"a threshold from {abstention['m_validation']} validation images" in out
    assert "noise" in out
    assert "the first layer was learned from" not in out


def test_photographs_that_the_first_layer_knows_are_not_passed_off_as_strange(digits, capsys, tmp_path):
    model = ImageClassifier.load(digits[1])
    pretrained = replace(model, pretraining=PretrainConfig("sparse_filtering"))
    pretrained.save(tmp_path / "model.h5")
    assert main(["evaluate", str(tmp_path / "model.h5"), str(digits[1] / "data.h5")]) == 0
    assert "the photographs are among those that the first layer was learned from" in capsys.readouterr().out
    elsewhere = replace(pretrained, provenance={**model.provenance, "pretrain_on": "photos"})
    assert evaluate(elsewhere, digits[1] / "data.h5")[0].abstention.familiar == ()


def test_coverage_curve_answers_the_least_doubtful_first():
    uncertainty = np.array([0.9, 0.1, 0.5, 0.3] * 5)
    right = uncertainty < 0.8
    curve = dict(coverage_curve(uncertainty, right))
    assert curve[1.0] == 0.75
    assert curve[0.7] == 1
    assert curve[0.9] == pytest.approx(15 / 18)


def test_predicting_with_doubt_starts_up_light(digits):
    image = next(digits[0].rglob("*.png"))
    code = (
        "import sys; from pipeline.cli.main import main; "
        f"main(['predict', {str(digits[1])!r}, {str(image)!r}, '--reject', '0.1']); "
        "heavy = {'sklearn', 'scipy', 'pandas', 'matplotlib', 'joblib', 'pyarrow', 'dask', 'tqdm'} & set(sys.modules); "
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
