"""Built-in sets: two need no network, two are read from an earlier download."""

import joblib
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.ingestion.ingest import ingest
from pipeline.sources.builtin import load_builtin


def test_digits_and_faces_need_no_network(tmp_path):
    report = ingest("digits", tmp_path / "digits.h5")
    assert len(report.classes) == 10
    assert report.ingested == 1797
    images, labels, classes = load_builtin("faces")
    assert images.shape == (200, 25, 25, 1)
    assert classes[labels[0]] == "face"
    with pytest.raises(InputError, match="no built-in set 'cats'; choose one of faces, digits"):
        load_builtin("cats")


def test_downloaded_sets_are_read_from_a_prepared_cache(tmp_path, monkeypatch, lfw_images):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # a port that answers nobody: no network
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(InputError, match="connect to the internet"):
        load_builtin("olivetti")
    rng = np.random.default_rng(0)
    joblib.dump(rng.random((400, 4096), dtype=np.float32), tmp_path / "olivetti_py3.pkz", compress=6)
    images, labels, classes = load_builtin("olivetti")
    assert images.shape == (400, 64, 64, 1)
    assert images.max() == 255
    assert np.bincount(labels).tolist() == [10] * 40
    assert len(classes) == 40
    for person, n in (("Ada_Lovelace", 21), ("Emmy_Noether", 22), ("Nobody_Known", 3)):
        folder = tmp_path / "lfw_home" / "lfw_funneled" / person
        folder.mkdir(parents=True)
        for i in range(n):
            face = Image.fromarray(lfw_images[i]).resize((250, 250))
            face.convert("RGB").save(folder / f"{person}_{i + 1:04d}.jpg")
    for name in ("pairsDevTrain.txt", "pairsDevTest.txt", "pairs.txt"):
        (tmp_path / "lfw_home" / name).write_text("")
    images, labels, classes = load_builtin("lfw")
    assert images.shape == (43, 62, 47, 1)
    assert classes == ("Ada Lovelace", "Emmy Noether")
    assert images.max() > 100
