"""Batches of images, from memory and from the file."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from pipeline.data.dataset import Dataset
from pipeline.ingestion.ingest import ingest
from pipeline.preprocess import Preprocessor
from pipeline.training.batches import FileBatches, MemoryBatches, image_batches


@pytest.fixture(scope="module")
def digits_file(tmp_path_factory):
    """A data set of 1,797 digits in 57 chunks, whose images are told apart by their pixels."""
    from pipeline.sources.demo import write_demo

    folder = tmp_path_factory.mktemp("digits")
    ingest(write_demo("digits", folder / "digits"), folder / "plain.h5")
    with h5py.File(folder / "plain.h5") as plain, h5py.File(folder / "digits.h5", "w") as file:
        for name in plain:
            if name != "images":
                plain.copy(name, file)
        file.create_dataset("images", data=plain["images"][()], chunks=(32, 8, 8, 1))
        file.attrs.update(plain.attrs)
    return folder / "digits.h5"


@pytest.fixture(scope="module")
def dataset(digits_file):
    with Dataset.open(digits_file) as dataset:
        yield dataset


def sources(dataset):
    preprocessor = Preprocessor(dataset.geometry)
    memory = image_batches(dataset, "train", preprocessor, memory=10**9)
    file = image_batches(dataset, "train", preprocessor, memory=20_000)
    assert isinstance(memory, MemoryBatches)
    assert isinstance(file, FileBatches)
    return {"memory": memory, "file": file}


def columns(batches):
    """Return all columns of all batches with their labels, as a sorted list."""
    return sorted(
        (x.tobytes(), int(label)) for batch in batches for x, label in zip(batch.X.T, batch.labels, strict=True)
    )


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_every_image_once_with_its_own_label(dataset, kind):
    images, labels = dataset.read("train")
    expected = sorted(
        (x.tobytes(), int(label))
        for x, label in zip(Preprocessor(dataset.geometry).apply(images).T, labels, strict=True)
    )
    source = sources(dataset)[kind]

    assert columns(source.batches(50, [0, 1])) == expected
    assert columns(source.batches(50, None)) == expected


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_order_depends_on_the_seed_alone(dataset, kind):
    source = sources(dataset)[kind]

    def labels(order):
        return np.concatenate([batch.labels.copy() for batch in source.batches(64, order)])

    first = labels([3, 0])
    np.testing.assert_array_equal(first, labels([3, 0]))
    assert not np.array_equal(first, labels([3, 1]))
    np.testing.assert_array_equal(labels(None), dataset.labels[dataset.indices("train")])


def test_batches_from_the_file_mix_the_classes(dataset):
    """The file holds class after class; a batch must not."""
    mixed = [len(np.unique(batch.labels)) for batch in sources(dataset)["file"].batches(64, [0])]

    assert np.median(mixed) >= 5


def test_steps_are_the_same_from_both(dataset):
    sizes = [[len(batch.labels) for batch in source.batches(100, [0])] for source in sources(dataset).values()]
    assert sizes[0] == sizes[1]
    assert max(sizes[0]) - min(sizes[0]) <= 1


def test_leaving_early_stops_the_reading(dataset):
    import threading

    batches = sources(dataset)["file"].batches(10, [0])
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]
