"""Crops of photographs: of the requested shape, varied, never flat; and clear errors for what cannot work."""

import numpy as np
import pytest
from PIL import Image

from model.edges.first_layer import learn_filters
from model.edges.scores import score_filters
from pipeline.errors import InputError
from pipeline.images.crops import Photographs, embedded_photographs, folder_photographs, take_crops


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def scene(rng, side=200, mode="RGB"):
    """Return an image in which every pixel shows its position."""
    rows, columns = np.mgrid[:side, :side]
    channels = [columns * 255 // side, rows * 255 // side, (rows + columns) % 256]
    return Image.fromarray(np.stack(channels, axis=2).astype(np.uint8)).convert(mode)


def test_embedded_photographs_are_always_there():
    photographs = embedded_photographs()
    assert len(photographs.images) >= 2
    assert "scikit-learn" in photographs.origin
    assert all(min(image.size) >= 200 for image in photographs.images)


@pytest.mark.parametrize("shape", [(25, 25, 1), (12, 20, 3), (32, 32, 3)])
def test_crops_have_the_requested_shape_and_range(shape, rng):
    X = take_crops(embedded_photographs(), shape, 500, rng)
    assert X.shape == (np.prod(shape), 500)
    assert X.dtype == np.float32
    assert X.flags.f_contiguous
    assert X.min() >= 0
    assert 0.5 < X.max() <= 1
    assert X.std(axis=0).min() >= 0.03
    assert len(np.unique(X[:5], axis=1).T) > 400


def test_crops_are_parts_of_the_image_mirrored_and_transposed(rng):
    side, size = 40, 10
    image = scene(rng, side)
    X = take_crops(Photographs([image], "an image"), (size, size, 3), 300, rng)
    pixels = np.asarray(image).astype(np.float32) / 255
    upright = {}
    for row in range(side - size + 1):
        for column in range(side - size + 1):
            window = pixels[row : row + size, column : column + size]
            for turn, way in enumerate(
                (window, window[:, ::-1], window.transpose(1, 0, 2), window[:, ::-1].transpose(1, 0, 2))
            ):
                upright[np.ascontiguousarray(way).tobytes()] = turn
    ways = [upright.get(np.ascontiguousarray(crop).tobytes(), -1) for crop in X.T]
    assert set(ways) == {-1, 0, 1, 2, 3}  # -1: turned by an angle, or from a smaller size
    assert 10 < ways.count(-1) < 290


def test_the_same_seed_gives_the_same_crops():
    photographs = embedded_photographs()
    first, again = (take_crops(photographs, (9, 9, 1), 50, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_images_of_exactly_the_size_of_a_crop_are_used(rng):
    images = [Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)) for _ in range(3)]
    X = take_crops(Photographs(images, "three"), (8, 8, 1), 100, rng)
    sums = {round(float(crop.sum()), 3) for crop in X.T}
    assert len(sums) == 3


def test_too_small_or_flat_photographs_raise(rng):
    with pytest.raises(InputError, match="smaller than a crop of 30x20 pixels"):
        take_crops(Photographs([scene(rng, 16)], "mine"), (20, 30, 1), 10, rng)
    flat = Image.new("L", (100, 100), 90)
    with pytest.raises(InputError, match="crops of 10x10 pixels are flat"):
        take_crops(Photographs([flat], "mine"), (10, 10, 1), 10, rng)


def test_a_folder_is_read_and_files_that_are_no_images_are_listed(tmp_path, rng):
    (tmp_path / "more").mkdir()
    scene(rng).save(tmp_path / "a.png")
    scene(rng, 1500).save(tmp_path / "more" / "b.jpg")
    (tmp_path / "notes.txt").write_text("no image")
    found = folder_photographs(tmp_path, rng)
    assert [image.size for image in found.images] == [(200, 200), (1024, 1024)]
    assert [path for path, _ in found.rejected] == ["notes.txt"]
    assert str(tmp_path) in found.origin
    take_crops(found, (20, 20, 1), 50, rng)


def test_a_folder_without_images_raises(tmp_path, rng):
    with pytest.raises(InputError, match="no such"):
        folder_photographs(tmp_path / "none", rng)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match=r"no image that can be read \(notes.txt"):
        folder_photographs(tmp_path, rng)


def test_edges_come_from_learning_not_from_the_crops(rng):
    """What a claim of edges has to exceed: few raw crops of photographs are edges, but most learned filters are."""
    X = take_crops(embedded_photographs(), (16, 16, 1), 6000, rng)
    raw = score_filters((X[:, :300] - X[:, :300].mean(axis=0)).T, (16, 16, 1))
    assert raw.edge.mean() < 0.15
    filters, _ = learn_filters(X, 20, rng=rng)
    assert score_filters(filters, (16, 16, 1)).edge.mean() > 0.85
