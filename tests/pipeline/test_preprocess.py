"""Preprocessing: from images to columns of X."""

from __future__ import annotations

import numpy as np
import pytest

from model.config import NetworkConfig
from model.contrast import CONTRAST_FLOOR
from model.network import class_probabilities
from model.parameters import initialize
from pipeline.images.geometry import Geometry
from pipeline.preprocess import Preprocessor

GEOMETRY = Geometry(25, 25, "gray", "crop")


def test_pixels_become_0_to_1_without_a_copy_in_another_order(lfw_images):
    X = Preprocessor(GEOMETRY).apply(lfw_images[..., None])

    assert X.shape == (625, 200)
    assert X.flags.f_contiguous
    assert X.dtype == np.float32
    np.testing.assert_allclose(X[:, 7], lfw_images[7].ravel() / 255, rtol=1e-6)


def test_fitted_inputs_are_centred_per_pixel_with_one_overall_standard_deviation(lfw_images):
    parts = [lfw_images[:50, ..., None], lfw_images[50:, ..., None]]
    X = Preprocessor(GEOMETRY).fitted(parts).apply(lfw_images[..., None])

    np.testing.assert_allclose(X.mean(axis=1), 0, atol=1e-5)
    assert X.std() == pytest.approx(1, abs=1e-4)


def test_contrast_is_normalised_per_image_and_undoes_dimming(lfw_images):
    image = lfw_images[:20, ..., None]
    dimmed = (image // 2 + 40).astype(np.uint8)
    preprocessor = Preprocessor(GEOMETRY, contrast=True)
    X = preprocessor.apply(image)

    x = image[3].ravel() / 255
    np.testing.assert_allclose(X[:, 3], (x - x.mean()) / np.sqrt(x.var() + CONTRAST_FLOOR), atol=1e-5)
    assert np.abs(preprocessor.apply(dimmed) - X).mean() < 0.1 * np.abs(X).mean()


@pytest.mark.parametrize("contrast", [False, True])
def test_folding_the_preprocessing_changes_no_probability(lfw_images, contrast):
    fitted = Preprocessor(GEOMETRY, contrast).fitted([lfw_images[..., None]])
    network = NetworkConfig(hidden=(20,), head="softmax", batch_norm=False, head_scale=1.0)
    parameters = initialize((625, 20, 3), network, np.random.default_rng(0))
    plain, folded = fitted.folded_into(parameters)

    assert plain.shift is None
    np.testing.assert_allclose(
        class_probabilities(plain.apply(lfw_images[..., None]), folded, network),
        class_probabilities(fitted.apply(lfw_images[..., None]), parameters, network),
        atol=2e-6,
    )


def test_images_of_another_shape_or_dtype_raise(lfw_images):
    with pytest.raises(ValueError, match="expected"):
        Preprocessor(GEOMETRY).apply(lfw_images[:, :20, :20, None])
    with pytest.raises(ValueError, match="uint8"):
        Preprocessor(GEOMETRY).apply(lfw_images[..., None] / 255)
    with pytest.raises(ValueError, match="no images"):
        Preprocessor(GEOMETRY).fitted([])
