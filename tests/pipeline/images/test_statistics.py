"""Statistics of images: the measures are those of their definitions, for small and large images alike."""

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy import ndimage, stats

from pipeline.images.statistics import MEASURES, digest, measures_of, summarise


def measured(*images):
    """Return the measures of images by name, each an array."""
    return dict(zip(MEASURES, measures_of([summarise(image) for image in images]).T, strict=True))


@pytest.mark.parametrize("size", [(40, 30), (64, 64), (200, 120)])  # without and with thumbnails
def test_measures_are_those_of_their_definitions(photo_image, size):
    image = photo_image.resize(size)
    gray = np.asarray(image.convert("L")).astype(float)
    found = measured(image)

    assert found["brightness"][0] == pytest.approx(gray.mean(), rel=1e-5)
    assert found["contrast"][0] == pytest.approx(gray.std(), rel=1e-5)
    histogram = np.bincount(gray.astype(int).ravel(), minlength=256)
    assert found["entropy"][0] == pytest.approx(stats.entropy(histogram, base=2), rel=1e-5)
    laplacian = ndimage.laplace(gray)[1:-1, 1:-1]
    assert found["sharpness"][0] == pytest.approx(laplacian.var() / gray.var(), rel=1e-4)
    if max(size) <= 64:  # of a larger image, the colours of the shrunk one are measured
        color = np.asarray(image).astype(float)
        assert found["colorfulness"][0] == pytest.approx((color.max(axis=2) - color.min(axis=2)).mean(), rel=1e-5)


def test_images_measured_together_have_the_measures_of_each_alone(photo_image):
    images = [
        photo_image.resize((40, 30)),
        photo_image.crop((100, 100, 140, 130)),
        photo_image.resize((40, 30)).convert("L"),
        photo_image,
        photo_image.crop((0, 0, 90, 80)).convert("L"),
    ]
    together = measures_of([summarise(image) for image in images])
    alone = np.concatenate([measures_of([summarise(image)]) for image in images])
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_blurring_lowers_the_sharpness_and_less_contrast_does_not(photo_image):
    blurred = photo_image.filter(ImageFilter.GaussianBlur(2))
    paler = Image.fromarray((np.asarray(photo_image) // 2 + 60).astype(np.uint8))
    sharpness = measured(photo_image, blurred, paler)["sharpness"]
    assert sharpness[1] < 0.5 * sharpness[0]
    assert sharpness[2] == pytest.approx(sharpness[0], rel=0.1)


def test_gray_content_has_no_colour_whatever_its_mode(photo_image):
    gray = photo_image.convert("L")
    np.testing.assert_array_equal(measured(gray, gray.convert("RGB"))["colorfulness"], 0)
    assert measured(photo_image)["colorfulness"][0] > 10


def test_a_flat_or_tiny_image_has_finite_measures():
    found = measures_of([summarise(Image.new("L", (50, 50), 7)), summarise(Image.new("RGB", (1, 2), "red"))])
    assert np.isfinite(found).all()
    assert found[0].tolist() == [7, 0, 0, 0, 0]


@pytest.mark.parametrize(("size", "has_thumbnail"), [((64, 64), True), ((63, 200), False), ((40, 30), False)])
def test_only_images_of_64_pixels_a_side_have_a_thumbnail(photo_image, size, has_thumbnail):
    thumbnail = summarise(photo_image.resize(size)).thumbnail
    assert (thumbnail is not None) is has_thumbnail
    assert thumbnail is None or thumbnail.shape == (32, 32)


def test_a_shrunk_image_has_a_thumbnail_if_its_file_was_large_enough(photo_image):
    shrunk = photo_image.resize((80, 60))
    assert summarise(shrunk, size=(600, 800)).thumbnail is not None
    assert summarise(shrunk).thumbnail is None


def test_digests_are_equal_if_and_only_if_the_pixels_are(lfw_images):
    digests = [digest(image) for image in lfw_images]
    assert len(set(digests)) == len({image.tobytes() for image in lfw_images})
    assert digest(lfw_images[0].copy()) == digests[0]
