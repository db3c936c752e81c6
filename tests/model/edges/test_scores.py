"""Edge scores: the limits separate edges from everything else."""

import numpy as np
import pytest

from model.edges.scores import energy_area, orientation_bins, orientation_selectivity, score_filters

S, N = 25, 60
ROWS, COLUMNS = np.mgrid[:S, :S]


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def scores(images):
    n, height, width = images.shape
    return score_filters(images.reshape(n, -1), (height, width, 1))


def noise_of_spectrum(n, exponent, rng):
    frequency = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)[None, :])
    frequency[0, 0] = np.inf
    spectrum = np.fft.fft2(rng.normal(size=(n, 64, 64))) * frequency**-exponent
    return np.fft.ifft2(spectrum).real[:, :S, :S]


def zero_mean(images):
    return images - images.mean(axis=(1, 2), keepdims=True)


def hills(n, rng):
    centre, width = rng.uniform(5, 19, (n, 2, 1, 1)), rng.uniform(1, 3, (n, 1, 1))
    squared = (COLUMNS - centre[:, 0]) ** 2 + (ROWS - centre[:, 1]) ** 2
    return np.exp(-squared / (2 * width**2)), np.exp(-squared / (2 * (1.6 * width) ** 2)) / 1.6**2


def gratings(n, rng):
    angle, frequency, phase = rng.uniform((0, 0.06, 0), (np.pi, 0.4, 6), (n, 3)).T[:, :, None, None]
    return np.cos(2 * np.pi * frequency * (np.cos(angle) * COLUMNS + np.sin(angle) * ROWS) + phase)


def faces():
    skimage_data = pytest.importorskip("skimage.data")
    return skimage_data.lfw_subset()[:100]


def eigenfaces():
    flat = faces().reshape(100, -1)
    return np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)[2].reshape(-1, S, S)[:99]


def test_gabors_are_edges_even_with_noise(gabors, rng):
    clean, _ = gabors(N, rng)
    assert scores(clean).edge.all()
    noise = rng.normal(size=clean.shape)
    noise *= 0.5 * np.linalg.norm(clean, axis=(1, 2), keepdims=True) / np.linalg.norm(noise, axis=(1, 2))[:, None, None]
    assert scores(clean + noise).edge.mean() >= 0.95


NOT_EDGES = {
    "white noise": lambda rng: rng.normal(size=(N, S, S)),
    "smooth noise": lambda rng: noise_of_spectrum(N, 2, rng),
    "1/f noise": lambda rng: zero_mean(noise_of_spectrum(N, 1, rng)),
    "blobs": lambda rng: hills(N, rng)[0],
    "blobs without mean": lambda rng: zero_mean(hills(N, rng)[0]),
    "centre-surround": lambda rng: np.subtract(*hills(N, rng)),
    "single pixels": lambda rng: np.eye(S * S)[rng.permutation(S * S)[:N]].reshape(N, S, S),
    "gratings": lambda rng: gratings(N, rng),
    "faces": lambda rng: zero_mean(faces()),
    "eigenfaces": lambda rng: eigenfaces(),
    "nothing": lambda rng: np.zeros((3, S, S)),
}


@pytest.mark.parametrize("kind", NOT_EDGES)
def test_other_images_are_not_edges(kind, rng):
    result = scores(NOT_EDGES[kind](rng))
    assert result.edge.sum() == 0
    assert f"0 of {len(result.edge)} first-layer units are edge detectors: most show no edge" in result.summary()


def test_orientation_is_that_of_the_edge_on_the_screen():
    """Step edges of known direction, counter-clockwise from the horizontal; y points down in the array."""
    for degrees in (0, 30, 90, 135):
        direction = np.radians(degrees)
        side = (COLUMNS - 12) * np.sin(direction) + (ROWS - 12) * np.cos(direction)
        hill = np.exp(-((COLUMNS - 12) ** 2 + (ROWS - 12) ** 2) / (2 * 2.5**2))
        found = scores((np.tanh(side) * hill)[None])
        assert found.edge[0]
        assert np.cos(2 * (found.orientation[0] - direction)) > 0.99


def test_the_size_and_scale_of_images_do_not_change_the_scores(gabors, rng):
    images, _ = gabors(10, rng)
    np.testing.assert_allclose(scores(images * -1e-4).r2, scores(images).r2, atol=1e-3)
    cut = images[:, 2:20, :]
    assert scores(cut).r2.min() > 0.9  # not square
    assert scores(gabors(4, rng, side=16)[0]).edge.shape == (4,)


def test_colour_is_scored_on_its_main_direction(gabors, rng):
    images, _ = gabors(8, rng)
    colour = np.array([0.8, 0.5, 0.2])
    in_colour = (images[..., None] * colour).reshape(8, -1)
    result = score_filters(in_colour, (S, S, 3))
    np.testing.assert_allclose(result.r2, scores(images).r2, atol=1e-3)
    np.testing.assert_allclose(result.area90, scores(images).area90)
    noisy = in_colour + rng.normal(size=in_colour.shape) * np.abs(in_colour).max()
    assert score_filters(noisy, (S, S, 3)).edge.sum() == 0


def test_on_off_pairs_count_once_and_copies_do_not_count(rng):
    images = rng.normal(size=(4, S, S))
    pairs = scores(np.concatenate([images, -images]))
    assert pairs.distinct_share == 1
    assert list(pairs.partner) == [-1, -1, -1, -1, 0, 1, 2, 3]
    copies = scores(np.concatenate([images, images, images, images]))
    assert copies.distinct_share == 0.25
    assert scores(np.concatenate([images, -images, -images])).distinct_share == pytest.approx(4 / 8)


def test_coverage_grows_with_the_number_of_orientations(gabors, rng):
    images, true = gabors(200, rng)
    assert scores(images).coverage > 0.95
    flat = np.abs(np.cos(true[:, 2])) > 0.98
    assert scores(images[flat]).coverage < 0.5
    assert set(orientation_bins(np.array([0, 0.05, np.pi - 0.05]))) == {0}


def test_area_and_selectivity_of_known_images_are_exact():
    W = np.zeros((2, 100, 1))
    W[0, :3] = 1
    np.testing.assert_allclose(energy_area(W), [0.03, 1.0])
    waves = np.cos(2 * np.pi * 0.2 * COLUMNS), np.cos(2 * np.pi * 0.2 * COLUMNS) + np.cos(2 * np.pi * 0.2 * ROWS)
    found = orientation_selectivity(np.stack(waves))
    assert found[0] > 0.99
    assert found[1] < 0.01


def test_order_puts_edge_units_first(gabors, rng):
    images = np.concatenate([rng.normal(size=(3, S, S)), gabors(5, rng)[0]])
    result = scores(images)
    assert sorted(result.order[:5]) == [3, 4, 5, 6, 7]
    assert sorted(result.order) == list(range(8))


def test_weights_of_another_shape_or_not_finite_raise():
    with pytest.raises(ValueError, match="does not fit"):
        score_filters(np.ones((2, 10)), (3, 3, 1))
    with pytest.raises(ValueError, match="not finite"):
        score_filters(np.full((2, 9), np.nan), (3, 3, 1))


def test_fitting_only_possible_edges_gives_the_same_edge_units_and_summary(gabors, rng):
    images = np.concatenate([gabors(20, rng)[0], rng.standard_normal((20, S, S))]).reshape(40, -1)
    all_fitted, few_fitted = score_filters(images, (S, S, 1)), score_filters(images, (S, S, 1), fit_all=False)

    np.testing.assert_array_equal(few_fitted.edge, all_fitted.edge)
    assert few_fitted.coverage == pytest.approx(all_fitted.coverage)
    assert few_fitted.summary() == all_fitted.summary()
    assert (few_fitted.r2[20:] == 0).any()
