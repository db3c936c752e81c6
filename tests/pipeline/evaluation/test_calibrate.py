"""Calibration in the life of a model: fitted at the end of a training, kept in its file, the same everywhere."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest

from model.calibration import fold_temperature
from model.errors import FormatError
from pipeline.classifier import ImageClassifier
from pipeline.cli.main import main
from pipeline.data.dataset import Dataset
from pipeline.errors import InputError
from pipeline.evaluation.abstention import OOD_KINDS
from pipeline.evaluation.calibrate import calibrated
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.scores import score, split_probabilities
from pipeline.prediction.uploads import Upload, classify_uploads


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


def test_predicting_with_reject_imports_nothing_heavy(digits):
    image = next(digits[0].rglob("*.png"))
    code = (
        "import sys; from pipeline.cli.main import main; "
        f"main(['predict', {str(digits[1])!r}, {str(image)!r}, '--reject', '0.1']); "
        "heavy = {'sklearn', 'scipy', 'pandas', 'matplotlib', 'joblib', 'pyarrow', 'dask', 'tqdm'} & set(sys.modules); "
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
