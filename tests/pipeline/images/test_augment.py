"""Augmentation: what each change does to a real image, and when none is applied."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from model.errors import ConfigError
from pipeline.data.dataset import Dataset
from pipeline.images.augment import RECIPES, UNITS_PER_PIXEL, AugmentConfig, augment, interpolate, resolve_augmentation
from pipeline.images.geometry import Geometry
from pipeline.preprocess import Preprocessor
from pipeline.training.batches import MemoryBatches, image_batches

GEOMETRY = Geometry(25, 25, "gray", "crop")


def changed(images, seed=0, **strengths):
    config = resolve_augmentation(AugmentConfig(**{"augment": "none", **strengths}), 100)
    height, width = images.shape[1:3]
    color = "rgb" if images.ndim == 4 and images.shape[3] == 3 else "gray"
    geometry = Geometry(height, width, color, "crop")
    rows = augment(images.reshape(len(images), -1), geometry, config, np.random.default_rng(seed))
    return rows.reshape(images.shape)


def test_recipe_none_changes_no_pixel(lfw_images):
    np.testing.assert_array_equal(changed(lfw_images), lfw_images)


def test_flip_mirrors_about_half_of_the_images(lfw_images):
    found = changed(lfw_images, flip=True)
    mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(found, lfw_images, strict=True)])
    same = np.array([np.array_equal(a, b) for a, b in zip(found, lfw_images, strict=True)])

    assert (mirrored | same).all()
    assert 60 < mirrored.sum() < 140


def test_rotation_agrees_with_pillow(lfw_images):
    """The angle is random, so search for it: with one angle Pillow gives the same image, with the others not."""
    image = lfw_images[3]
    found = changed(image[None], rotate=15.0, seed=4)[0].astype(float)
    middle = np.s_[5:-5, 5:-5]  # beyond the edge Pillow paints black, and we repeat its pixels
    errors = {
        angle: np.abs(
            np.asarray(Image.fromarray(image).rotate(angle, Image.Resampling.BILINEAR), float)[middle] - found[middle]
        ).mean()
        for angle in np.arange(-15, 15.5, 0.5)
    }
    best = min(errors, key=errors.get)

    assert errors[best] < 2
    assert abs(best) > 1
    assert errors[best] < errors[0.0] / 4


def test_shift_moves_the_image_and_repeats_its_edge(lfw_images):
    ramp = np.tile(np.arange(25, dtype=np.uint8) * 10, (50, 25, 1))
    found = changed(ramp, shift=0.2).astype(float)
    inner = found[:, 12, 6:-6] - ramp[:, 12, 6:-6]

    np.testing.assert_allclose(inner.std(axis=1), 0, atol=0.6)  # every image moved as a whole
    assert np.abs(inner.mean(axis=1)).max() > 20
    assert np.abs(inner.mean(axis=1)).max() <= 0.2 * 25 * 10 + 1
    assert found.max() <= 240


def test_brightness_and_contrast_vary_within_their_limits(lfw_images):
    # not near black or white, so that no value is clipped
    images = (lfw_images[:100] // 2 + 60).astype(np.uint8)
    brighter = changed(images, brightness=0.1).astype(float).mean(axis=(1, 2)) - images.mean(axis=(1, 2))
    assert np.abs(brighter).max() <= 26
    assert brighter.std() > 8
    ratio = changed(images, contrast=0.3).std(axis=(1, 2)) / images.std(axis=(1, 2))
    assert ratio.min() > 0.68
    assert ratio.max() < 1.32
    assert ratio.std() > 0.1


def test_cutout_paints_one_square(lfw_images):
    found = changed(lfw_images, cutout=0.4)
    shares = (found != lfw_images).mean(axis=(1, 2))
    assert 0.05 < shares.mean() < 0.17  # 10x10 of 25x25, often partly outside


def test_elastic_bends_but_keeps_the_image(lfw_images):
    found = changed(lfw_images[:100], elastic=0.03).astype(float)
    correlations = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(found, lfw_images[:100], strict=True)]
    assert np.median(correlations) > 0.8
    assert max(correlations) < 0.9999


@pytest.mark.parametrize("channels", [1, 3])
def test_interpolation_agrees_with_scipy(photo_image, channels):
    from scipy.ndimage import map_coordinates

    rng = np.random.default_rng(3)
    images = np.asarray(photo_image.resize((22, 17)))[None, ..., :channels].repeat(3, axis=0)
    positions = rng.uniform(-2, 23, (2, 3, 17 * 22)).astype(np.float32)
    found = np.empty_like(images)
    interpolate(images, *(positions * UNITS_PER_PIXEL), found)

    for k, channel in np.ndindex(3, channels):
        inside = np.clip(positions[:, k], 0, [[16], [21]])
        expected = map_coordinates(images[k, ..., channel].astype(float), inside, order=1)
        assert np.abs(found[k, ..., channel].ravel() - expected).max() < 2  # positions are rounded to 1/256 of a pixel


def test_interpolation_of_the_example_in_the_docstring_borrows_and_pays_back():
    image = np.array([[100, 40], [60, 80]], np.uint8).reshape(1, 2, 2, 1)
    rows, columns = np.array([[0, 0, 256, 128]], np.float32), np.array([[0, 64, 64, 64]], np.float32)
    found = np.empty_like(image)
    interpolate(image, rows, columns, found)
    assert found.ravel().tolist() == [100, 85, 65, 75]


def test_interpolation_rounds_to_the_nearest_value():
    image = np.array([[10, 11], [10, 11]], np.uint8).reshape(1, 2, 2, 1)
    found = np.empty_like(image)
    interpolate(image, np.zeros((1, 4), np.float32), np.array([[64, 127, 128, 192]], np.float32), found)
    assert found.ravel().tolist() == [10, 10, 11, 11]


@pytest.mark.parametrize("recipe", RECIPES)
def test_colour_images_change_as_gray_ones_do(recipe, photo_image):
    rgb = np.asarray(photo_image.resize((32, 24)))[None].repeat(8, axis=0)
    gray_as_rgb = np.repeat(rgb[..., :1], 3, axis=3)
    found = changed(gray_as_rgb, augment=recipe)

    np.testing.assert_array_equal(found[..., 0], found[..., 2])
    assert changed(rgb, augment=recipe).shape == rgb.shape


def test_the_same_seed_gives_the_same_changes(lfw_images):
    first = changed(lfw_images, augment="faces", seed=1)
    np.testing.assert_array_equal(first, changed(lfw_images, augment="faces", seed=1))
    assert not np.array_equal(first, changed(lfw_images, augment="faces", seed=2))


def test_an_option_wins_over_the_recipe():
    found = resolve_augmentation(AugmentConfig("faces", flip=False, rotate=3.0), 100)
    assert (found.flip, found.rotate) == (False, 3.0)
    assert found.shift == RECIPES["faces"]["shift"]
    assert "auto" not in dataclasses.asdict(found).values()
    with pytest.raises(ConfigError, match="faces"):
        AugmentConfig("cats")


@pytest.mark.parametrize("memory", [10**9, 1000])
def test_training_batches_vary_by_epoch_and_validation_is_left_alone(run_path, memory):
    config = resolve_augmentation(AugmentConfig("faces"), 100)
    with Dataset.open(run_path / "data.h5") as dataset:
        preprocessor = Preprocessor(dataset.geometry)
        source = image_batches(dataset, "train", preprocessor, memory=memory, augmentation=config)
        plain = image_batches(dataset, "train", preprocessor, memory=memory)

        def columns(source, order):
            parts = [(batch.X.T.copy(), batch.labels.copy()) for batch in source.batches(32, order)]
            return np.concatenate([X for X, _ in parts]), np.concatenate([labels for _, labels in parts])

        first, labels = columns(source, [0, 0])
        again, _ = columns(source, [0, 0])
        later, _ = columns(source, [0, 1])
        unchanged, plain_labels = columns(plain, [0, 0])
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, later)
        np.testing.assert_array_equal(labels, plain_labels)
        assert 0.01 < np.abs(first - unchanged).mean() < 0.2
        np.testing.assert_array_equal(columns(source, None)[0], columns(plain, None)[0])


def test_auto_is_affine_for_few_images_and_nothing_for_many():
    assert resolve_augmentation(AugmentConfig(), 200).augment == "affine"
    assert resolve_augmentation(AugmentConfig(), 200).flip is False
    assert not resolve_augmentation(AugmentConfig(), 50_000).is_on


def test_an_error_while_preparing_a_batch_reaches_the_caller(lfw_images):
    source = MemoryBatches(lfw_images[..., None], np.zeros(200, int), Preprocessor(GEOMETRY))
    source.augmentation = AugmentConfig("faces")  # not resolved
    with pytest.raises(ValueError, match="auto"):
        list(source.batches(10, [0]))
