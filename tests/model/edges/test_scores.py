"""Edge scores: the limits tell edges from everything else, and the fit agrees with an independent one."""

import numpy as np
import pytest

from model.edges.gabor import fit_gabors
from model.edges.scores import energy_area, orientation_bins, orientation_selectivity, score_filters

S, N = 25, 60
ROWS, COLUMNS = np.mgrid[:S, :S]


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def gabors(n, rng, side=S):
    """Return n Gabor functions and their (x, y, angle, frequency, width, length), small enough to be local."""
    rows, columns = np.mgrid[:side, :side]
    frequency = rng.uniform(0.1, 0.25, n)
    width = rng.uniform(0.3, 0.45, n) / frequency
    true = np.stack(
        [
            *rng.uniform(0.25 * side, 0.75 * side, (2, n)),
            rng.uniform(0, np.pi, n),
            frequency,
            width,
            np.minimum(width * rng.uniform(1, 2, n), 4),
        ],
        axis=1,
    )
    images = []
    for (x, y, angle, f, w, h), phase in zip(true, rng.uniform(0, 2 * np.pi, n), strict=True):
        along = np.cos(angle) * (columns - x) + np.sin(angle) * (rows - y)
        across = np.cos(angle) * (rows - y) - np.sin(angle) * (columns - x)
        wave = np.cos(2 * np.pi * f * along + phase)
        images.append(np.exp(-0.5 * ((along / w) ** 2 + (across / h) ** 2)) * wave)
    return np.array(images), true


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


def test_gabors_are_edges_also_under_noise(rng):
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


def test_fit_finds_the_gabor_that_was_drawn(rng):
    images, true = gabors(N, rng)
    fit = fit_gabors(images)
    np.testing.assert_allclose(fit.r2, 1, atol=1e-3)
    np.testing.assert_allclose(np.stack([fit.x, fit.y], axis=1), true[:, :2], atol=0.15)
    np.testing.assert_allclose(np.cos(2 * (fit.angle - true[:, 2])), 1, atol=1e-2)
    np.testing.assert_allclose(fit.frequency, true[:, 3], rtol=0.1)


@pytest.mark.slow
def test_fit_is_as_good_as_scipys_from_many_starts(rng):
    from scipy.optimize import least_squares

    targets, _ = gabors(6, rng, side=12)
    targets = targets + rng.normal(size=targets.shape) * 0.15
    rows, columns = np.mgrid[:12, :12]

    def residual(params, target):
        x, y, angle, f, w, h, even, odd = params
        along = np.cos(angle) * (columns - x) + np.sin(angle) * (rows - y)
        across = np.cos(angle) * (rows - y) - np.sin(angle) * (columns - x)
        wave = even * np.cos(2 * np.pi * f * along) + odd * np.sin(2 * np.pi * f * along)
        return (np.exp(-0.5 * ((along / w) ** 2 + (across / h) ** 2)) * wave - target).ravel()

    fit = fit_gabors(targets)
    for target, r2 in zip(targets, fit.r2, strict=True):
        best = 0.0
        for _ in range(20):
            start = rng.uniform((2, 2, 0, 0.05, 1, 1, -1, -1), (9, 9, np.pi, 0.4, 4, 4, 1, 1))
            low, high = (-6, -6, -9, 0.005, 0.35, 0.35, -99, -99), (18, 18, 9, 0.71, 48, 48, 99, 99)
            found = least_squares(residual, start, args=(target,), bounds=(low, high), max_nfev=100)
            best = max(best, 1 - 2 * found.cost / (target**2).sum())
        assert r2 > best - 0.01


def test_orientation_is_that_of_the_edge_as_seen():
    """Step edges of known direction, measured counter-clockwise from the horizontal, y downwards in the array."""
    for degrees in (0, 30, 90, 135):
        direction = np.radians(degrees)
        side = (COLUMNS - 12) * np.sin(direction) + (ROWS - 12) * np.cos(direction)
        hill = np.exp(-((COLUMNS - 12) ** 2 + (ROWS - 12) ** 2) / (2 * 2.5**2))
        found = scores((np.tanh(side) * hill)[None])
        assert found.edge[0]
        assert np.cos(2 * (found.orientation[0] - direction)) > 0.99


def test_sizes_and_scale_do_not_change_the_verdict(rng):
    images, _ = gabors(10, rng)
    one = scores(images)
    np.testing.assert_allclose(scores(images * -1e-4).r2, one.r2, atol=1e-3)
    cut = images[:, 2:20, :]
    assert scores(cut).r2.min() > 0.9  # not square
    assert scores(gabors(4, rng, side=16)[0]).edge.shape == (4,)


def test_colour_is_scored_on_its_main_direction(rng):
    images, _ = gabors(8, rng)
    colour = np.array([0.8, 0.5, 0.2])
    in_colour = (images[..., None] * colour).reshape(8, -1)
    result = score_filters(in_colour, (S, S, 3))
    np.testing.assert_allclose(result.r2, scores(images).r2, atol=1e-3)
    np.testing.assert_allclose(result.area90, scores(images).area90)
    noisy = in_colour + rng.normal(size=in_colour.shape) * np.abs(in_colour).max()
    assert score_filters(noisy, (S, S, 3)).edge.sum() == 0


def test_pairs_count_once_and_copies_do_not_count(rng):
    images = rng.normal(size=(4, S, S))
    pairs = scores(np.concatenate([images, -images]))
    assert pairs.distinct_share == 1
    assert list(pairs.partner) == [-1, -1, -1, -1, 0, 1, 2, 3]
    copies = scores(np.concatenate([images, images, images, images]))
    assert copies.distinct_share == 0.25
    assert scores(np.concatenate([images, -images, -images])).distinct_share == pytest.approx(4 / 8)


def test_coverage_grows_with_the_orientations_there_are(rng):
    images, true = gabors(200, rng)
    assert scores(images).coverage > 0.95
    flat = np.abs(np.cos(true[:, 2])) > 0.98
    assert scores(images[flat]).coverage < 0.5
    assert set(orientation_bins(np.array([0, 0.05, np.pi - 0.05]))) == {0}


def test_area_and_selectivity_of_known_images():
    W = np.zeros((2, 100, 1))
    W[0, :3] = 1
    np.testing.assert_allclose(energy_area(W), [0.03, 1.0])
    waves = np.cos(2 * np.pi * 0.2 * COLUMNS), np.cos(2 * np.pi * 0.2 * COLUMNS) + np.cos(2 * np.pi * 0.2 * ROWS)
    found = orientation_selectivity(np.stack(waves))
    assert found[0] > 0.99
    assert found[1] < 0.01


def test_the_showing_order_puts_edges_first(rng):
    images = np.concatenate([rng.normal(size=(3, S, S)), gabors(5, rng)[0]])
    result = scores(images)
    assert sorted(result.order[:5]) == [3, 4, 5, 6, 7]
    assert sorted(result.order) == list(range(8))


def test_weights_that_cannot_be_scored_are_refused():
    with pytest.raises(ValueError, match="does not fit"):
        score_filters(np.ones((2, 10)), (3, 3, 1))
    with pytest.raises(ValueError, match="not finite"):
        score_filters(np.full((2, 9), np.nan), (3, 3, 1))


def test_fitting_only_what_is_open_says_the_same_of_the_layer(rng):
    images = np.concatenate([gabors(20, rng)[0], rng.standard_normal((20, S, S))]).reshape(40, -1)
    every, some = score_filters(images, (S, S, 1)), score_filters(images, (S, S, 1), fit_all=False)

    np.testing.assert_array_equal(some.edge, every.edge)
    assert some.coverage == pytest.approx(every.coverage)
    assert some.summary() == every.summary()
    assert (some.r2[20:] == 0).any()
