import numpy as np
import pytest

from model.config import NetworkConfig, TrainingConfig
from model.parameters import Parameters
from pipeline.classifier import ImageClassifier
from pipeline.explanation.occlusion import log_odds, occlusion_map
from pipeline.images.geometry import Geometry
from pipeline.preprocess import Preprocessor


def looking_at(geometry, rows, columns, n_classes=2):
    """A classifier without hidden layers whose last class answers to the brightness of one place alone."""
    head = "sigmoid" if n_classes == 2 else "softmax"
    network = NetworkConfig(hidden=(), head=head, batch_norm=False)
    parameters = Parameters(network.layer_dims(geometry.n_x, n_classes))
    weights = np.zeros(geometry.shape, np.float32)
    weights[rows, columns] = 1
    parameters[1].W[-1] = weights.ravel()
    classes = tuple(f"class {k}" for k in range(n_classes))
    return ImageClassifier(Preprocessor(geometry), network, parameters, classes, TrainingConfig())


@pytest.mark.parametrize("geometry", [Geometry(20, 30, "gray"), Geometry(25, 25, "rgb")])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_map_points_at_what_the_network_looks_at(geometry, n_classes):
    rows, columns = slice(2, 6), slice(10, 15)
    classifier = looking_at(geometry, rows, columns, n_classes)
    image = np.zeros(geometry.shape, np.uint8)
    image[rows, columns] = 250
    evidence = occlusion_map(classifier, image, n_classes - 1)
    assert evidence.shape == geometry.shape[:2]
    y, x = np.unravel_index(evidence.argmax(), evidence.shape)
    assert rows.start <= y < rows.stop
    assert columns.start <= x < columns.stop
    assert evidence.max() > 0
    np.testing.assert_allclose(evidence[12:], 0, atol=1e-5)  # far from that place nothing changes


def test_for_another_class_the_same_place_speaks_against():
    classifier = looking_at(Geometry(20, 20, "gray"), slice(2, 6), slice(2, 6))
    image = np.zeros((20, 20, 1), np.uint8)
    image[2:6, 2:6] = 250
    np.testing.assert_allclose(occlusion_map(classifier, image, 0), -occlusion_map(classifier, image, 1), atol=1e-4)


@pytest.mark.parametrize("side", [1, 2, 3, 7])
def test_tiny_images(side):
    classifier = looking_at(Geometry(side, side, "gray"), slice(0, 1), slice(0, 1))
    assert np.isfinite(occlusion_map(classifier, np.full((side, side, 1), 9, np.uint8), 1)).all()


def test_the_image_is_left_as_it_is():
    classifier = looking_at(Geometry(9, 9, "gray"), slice(0, 3), slice(0, 3))
    image = np.arange(81, dtype=np.uint8).reshape(9, 9, 1)
    before = image.copy()
    occlusion_map(classifier, image, 1)
    np.testing.assert_array_equal(image, before)


def test_log_odds_keep_their_digits_near_certainty():
    p = np.array([[1 - 1e-7, 0.5, 1.0], [1e-7, 0.5, 0.0]])
    odds = log_odds(p, 0)
    np.testing.assert_allclose(odds[:2], [np.log((1 - 1e-7) / 1e-7), 0], rtol=1e-6)
    assert np.isfinite(odds).all()
