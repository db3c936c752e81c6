"""Images whose labels may be wrong."""

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import log_loss

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED
from pipeline.audit.label_issues import duplicate_sets, top_losses
from pipeline.classifier import ImageClassifier
from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset
from pipeline.data.splits import Split
from pipeline.errors import InputError
from pipeline.ingestion.ingest import ingest
from pipeline.training.finish import finish
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A run on digits, one of which is a test image with a wrong label; and the name of that image."""
    root = tmp_path_factory.mktemp("label issues")
    ingest("digits", root / "whole.h5")
    with Dataset.open(root / "whole.h5") as whole:
        rows = np.concatenate([whole.indices(split)[:size] for split, size in (("train", 400), ("test", 60))])
        images, labels, split = whole.take(rows), whole.labels[rows], whole.split[rows]
    wrong = int(np.flatnonzero((split == Split.TEST) & (labels == 0))[0])
    given = labels.copy()
    given[wrong] = 4
    folder, names = root / "images", []
    folder.mkdir()
    for i, image in enumerate(images):
        names.append(f"{i:03d}.png")
        Image.fromarray(image[:, :, 0]).save(folder / names[-1])
    lines = [f"{name},{label},{Split(part).label}" for name, label, part in zip(names, given, split, strict=True)]
    (folder / "table.csv").write_text("\n".join(["path,label,split", *lines]))
    run = prepare(
        folder / "table.csv",
        root / "run",
        recipe=Recipe(NetworkConfig(hidden=(32,)), TrainingConfig(epochs=20, batch_size=32), NOT_PRETRAINED),
        data=DataConfig(),
    )
    with run.dataset:
        list(run.epochs())
        finish(run)
    return root / "run", names[wrong]


@pytest.mark.slow
def test_a_wrong_label_comes_first(digits):
    run, wrong = digits
    classifier = ImageClassifier.load(run)
    with Dataset.open(run / "data.h5") as dataset:
        found = top_losses(classifier, dataset, ("test",))
        assert dataset.paths[found[0].row] == wrong
        assert (found[0].label, found[0].prediction) == ("4", "0")
        images, labels = dataset.read("test")
        assert len(found) == len(labels)
        assert all(dataset.split[issue.row] == Split.TEST for issue in found)
        probabilities = classifier.probabilities(images).T.astype(float)
        probabilities /= probabilities.sum(axis=1, keepdims=True)  # to the digits scikit-learn asks for
        expected = log_loss(labels, probabilities, labels=np.arange(10))
        assert np.mean([issue.loss for issue in found]) == pytest.approx(expected, rel=1e-5)
        assert top_losses(classifier, dataset, ("test",), limit=3) == found[:3]


def test_a_data_set_of_another_shape_is_refused(run_path, tmp_path):
    ingest("digits", tmp_path / "large.h5", DataConfig(size="16"))
    with Dataset.open(tmp_path / "large.h5") as dataset, pytest.raises(InputError, match="another size"):
        top_losses(ImageClassifier.load(run_path), dataset)


def test_duplicates_are_found_and_those_with_several_labels_come_first(tmp_path):
    from skimage.data import lfw_subset

    images = [Image.fromarray(np.rint(255 * face).astype(np.uint8)).resize((64, 64)) for face in lfw_subset()[:30]]
    for i, image in enumerate(images):
        for name in ("a", "b")[i % 2], "c":
            (tmp_path / name).mkdir(exist_ok=True)
        image.save(tmp_path / ("a", "b")[i % 2] / f"{i}.png")
    images[2].save(tmp_path / "a" / "copy.png")
    images[4].point(lambda value: 10 + 0.9 * value).save(tmp_path / "b" / "brighter.png")
    for i in range(10):
        Image.effect_noise((64, 64), 90 + i).save(tmp_path / "c" / f"{i}.png")
    ingest(tmp_path, tmp_path / "data.h5")
    with Dataset.open(tmp_path / "data.h5") as dataset:
        sets = [{str(dataset.paths[row]) for row in rows} for rows in duplicate_sets(dataset)]
    assert sets == [{"a/4.png", "b/brighter.png"}, {"a/2.png", "a/copy.png"}]
