"""Figures: what is drawn is what the weights are, and a file is complete or not there."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from model.edges.scores import score_filters
from pipeline.errors import InputError
from pipeline.explanation.figures import LayerImages, draw_filters, draw_hierarchy, filter_images, save_figure
from pipeline.files.names import escape


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def tiles(figure):
    return [np.asarray(image.get_array()) for image in figure.axes[0].images]


def texts(figure):
    return [text.get_text() for text in figure.texts] + [t.get_text() for t in figure.axes[0].texts]


def test_zero_weight_is_mid_gray_and_the_scale_is_symmetric(rng):
    W = rng.normal(size=(5, 12)).astype(np.float32)
    W[:, 3] = 0
    images = filter_images(W, (3, 4, 1))
    assert images.shape == (5, 3, 4)
    assert np.all(images[:, 0, 3] == 0.5)
    np.testing.assert_allclose(filter_images(-W, (3, 4, 1)), 1 - images, atol=1e-6)
    assert np.all(np.max(np.abs(images - 0.5), axis=(1, 2)) == 0.5)


def test_rows_are_images_in_the_order_of_flattened_pixels(rng):
    images = rng.uniform(size=(4, 5, 7, 3))
    drawn = filter_images(images.reshape(4, -1), (5, 7, 3))
    largest = images.max(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(drawn, 0.5 + images / largest / 2, rtol=1e-6)


def test_zero_and_not_finite_rows_are_plain_gray():
    W = np.zeros((3, 4))
    W[1] = np.nan
    W[2] = [0, np.inf, 1, 2]
    assert np.all(filter_images(W, (2, 2, 1)) == 0.5)


def test_wrong_geometry_is_named():
    with pytest.raises(ValueError, match="each row needs 12 weights"):
        filter_images(np.ones((2, 10)), (3, 4, 1))
    with pytest.raises(ValueError, match="2 channels"):
        filter_images(np.ones((2, 24)), (3, 4, 2))


@pytest.mark.parametrize(
    ("n", "shape"),
    [(1, (8, 8, 1)), (20, (16, 16, 1)), (7, (12, 30, 3)), (130, (30, 12, 1)), (3, (40, 40, 3))],
)
def test_every_drawn_unit_has_its_own_numbered_tile(rng, tmp_path, n, shape):
    W = rng.normal(size=(n, np.prod(shape)))
    figure = draw_filters(W, shape, title="what is drawn", max_units=100)
    drawn = tiles(figure)
    assert len(drawn) == min(n, 100)
    np.testing.assert_array_equal(drawn[-1], filter_images(W, shape)[min(n, 100) - 1])
    words = texts(figure)
    assert [str(i + 1) for i in range(min(n, 100))] == words[-len(drawn) :]
    assert "what is drawn" in words
    assert any("the first 100 of 130" in word for word in words) == (n == 130)
    boxes = [image.get_extent() for image in figure.axes[0].images]
    centres = {(round((x0 + x1) / 2, 3), round((y0 + y1) / 2, 3)) for x0, x1, y1, y0 in boxes}
    assert len(centres) == len(drawn), "two units on one place"
    written = save_figure(figure, tmp_path / "filters.png")
    with Image.open(written) as image:
        assert min(image.size) > 100


def test_scores_sort_and_frame_the_edge_units_and_add_a_rose(rng):
    rows, columns = np.mgrid[:20, :20]
    hill = np.exp(-((rows - 9) ** 2 + (columns - 11) ** 2) / 18)
    upright, lying = np.sin(columns) * hill, np.sin(rows) * hill
    W = np.stack([rng.normal(size=(20, 20)), upright, lying, rng.normal(size=(20, 20))]).reshape(4, -1)
    scores = score_filters(W, (20, 20, 1))
    figure = draw_filters(W, (20, 20, 1), title="four", scores=scores)
    numbers = [text.get_text() for text in figure.axes[0].texts]
    assert numbers[:2] == ["3", "2"]  # horizontal first
    assert sorted(numbers) == ["1", "2", "3", "4"]
    np.testing.assert_array_equal(tiles(figure)[0], filter_images(W, (20, 20, 1))[2])
    frames = [line.get_xydata()[0] for line in figure.axes[0].lines]
    corners = [(image.get_extent()[0], image.get_extent()[3]) for image in figure.axes[0].images[:2]]
    np.testing.assert_allclose(frames, corners)
    assert any("2 of 4 first-layer units are edge detectors" in text.get_text() for text in figure.texts)
    bars = [bar.get_height() for bar in figure.axes[1].patches]
    assert bars == [1, 0, 0, 0, 1, 0, 0, 0] * 2  # each direction both ways


def test_without_edges_there_is_no_rose(rng):
    W = rng.normal(size=(4, 100))
    figure = draw_filters(W, (10, 10, 1), title="noise", scores=score_filters(W, (10, 10, 1)))
    assert len(figure.axes) == 1
    assert not figure.axes[0].lines
    assert any("0 of 4" in text.get_text() for text in figure.texts)


def test_units_left_out_are_not_chosen_by_score(rng):
    W = rng.normal(size=(6, 100))
    figure = draw_filters(W, (10, 10, 1), title="", scores=score_filters(W, (10, 10, 1)), max_units=4)
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["1", "2", "3", "4"]


def test_hierarchy_shows_every_layer_and_says_how_its_images_were_made(rng, tmp_path):
    layers = [
        LayerImages("edges", "rows of W1", rng.normal(size=(14, 48))),
        LayerImages("larger", "means", rng.normal(size=(3, 48))),
    ]
    figure = draw_hierarchy(layers, (8, 6, 1), title="two layers", per_row=12)
    drawn = tiles(figure)
    assert len(drawn) == 17
    np.testing.assert_array_equal(drawn[14], filter_images(layers[1].images, (8, 6, 1))[0])
    words = texts(figure)
    assert {"edges", "rows of W1", "larger", "means"} <= set(words)
    tops = [image.get_extent()[3] for image in figure.axes[0].images]
    assert tops[0] == tops[11] < tops[12] < tops[14]
    save_figure(figure, tmp_path / "hierarchy.png")


def test_save_refuses_unknown_endings_and_missing_folders(rng, tmp_path):
    figure = draw_filters(rng.normal(size=(2, 4)), (2, 2, 1), title="")
    with pytest.raises(InputError, match=r"\.png"):
        save_figure(figure, tmp_path / "filters.txt")
    with pytest.raises(InputError, match="does not exist"):
        save_figure(figure, tmp_path / "no" / "filters.png")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_keeps_the_file_that_was_there(tmp_path):
    path = tmp_path / "filters.png"
    path.write_bytes(b"before")

    class Broken:
        def savefig(self, file, format):
            file.write_bytes(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="No space left"):
        save_figure(Broken(), path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_other_formats_and_replacing(rng, tmp_path):
    figure = draw_filters(rng.normal(size=(2, 4)), (2, 2, 1), title="a <title> & more")
    for name, start in (("a.svg", b"<?xml"), ("a.pdf", b"%PDF"), ("a.PNG", b"\x89PNG")):
        (tmp_path / name).write_bytes(b"old")
        assert save_figure(figure, tmp_path / name).read_bytes().startswith(start)


RISKY = "text.usetex: True\nsavefig.facecolor: red\nfont.size: 40\n"


@pytest.mark.slow
def test_settings_of_matplotlib_in_the_working_directory_do_not_count(run_path, tmp_path):
    command = [sys.executable, "-m", "pipeline.cli", "filters", str(run_path), "-o", "filters.png"]
    drawn = []
    for text in ("", RISKY):
        (tmp_path / "matplotlibrc").write_text(text)
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        drawn.append((tmp_path / "filters.png").read_bytes())
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("title", ["$\\frac{", "a $x$ b", "\x1b[31m\0\ud800", "\N{RIGHT-TO-LEFT OVERRIDE}x"])
def test_a_title_is_no_formula(title, tmp_path):
    figure = draw_filters(np.eye(4, 16), (4, 4, 1), title=title)
    save_figure(figure, tmp_path / "a.svg")
    assert figure.texts[0].get_text() == escape(title)
