"""Images of what a network has learned, drawn with matplotlib's Figure API (no pyplot, so no global state).

Row i of W1 is an image: the input pattern that activates unit i most. `draw_filters` draws the rows as a numbered grid.
Their scores are computed in `model.edges.scores`; this file only draws.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from model.storage.atomic import replacing
from pipeline.errors import InputError, not_written
from pipeline.files.names import escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from model.edges.scores import FilterScores

FIGURE_FORMATS = ("png", "svg", "pdf")

_TILES = 0.62, 1.3  # inches: the smallest and the largest length of the longer side of a filter's image
_WIDTH = 6.5  # inches: the width of the grid, if the lengths above allow it
_GAP = 0.10  # white space between tiles, in tiles
_EDGE_COLOR = "#0072B2"  # blue of Okabe and Ito 2008, whose colours colour-blind people can distinguish
_FRAME_TILE, _FRAME_WIDTH, _FRAME_MILLISECONDS = (
    48,
    420,
    300,
)  # of an animation: pixels of a tile, least pixels of a frame
_LABEL = 0.26  # height of the line that holds the unit's number, in tiles


def new_figure(**options: Any) -> Figure:
    """Make a figure; a matplotlibrc in the working directory has no say, for it could run TeX."""
    is_first = "matplotlib" not in sys.modules
    import matplotlib
    from matplotlib.figure import Figure

    if is_first and Path(matplotlib.matplotlib_fname()).resolve().parent == Path.cwd().resolve():
        matplotlib.rcdefaults()
    return Figure(**options)


def draw_filters(
    W: np.ndarray,
    geometry_shape: tuple[int, int, int],
    *,
    title: str,
    scores: FilterScores | None = None,
    max_units: int = 100,
) -> Figure:
    """Draw first-layer weights as a labelled grid of images.

    Every unit has its own scale, symmetric about zero: mid-gray is a weight of 0, white and black are plus and minus
    the largest absolute weight of the unit. So shapes can be compared between units, strengths cannot.

    Parameters
    ----------
    W : ndarray of shape (n_1, n_x), any float dtype
        First-layer weights; n_x = height * width * channels, in the order of the bytes of an image.
    geometry_shape : (height, width, channels)
        Shape of the images the network takes; 1 channel is gray, 3 are RGB.
    title : str
        Line above the grid.
    scores : model.edges.scores.FilterScores, optional
        The scores of these weights. With them, the edge detectors come first, in a thin frame, sorted by orientation
        and frequency; below the grid are their share and a rose of their orientations.
    max_units : int
        At most this many units are drawn, the first ones; the caption says if units are left out.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If W's width does not fit the geometry, or the channels are neither 1 nor 3.
    """
    images = filter_images(W[:max_units], geometry_shape)
    units = np.arange(len(images))
    if scores is not None:
        units = scores.order[
            scores.order < len(images)
        ]  # the scores sort the units that are drawn; they do not choose them
    height, width, _ = geometry_shape
    n_columns = math.ceil(math.sqrt(len(units) * height / width)) or 1
    n_rows = math.ceil(len(units) / n_columns)
    tile_height, tile_width = height / max(height, width), width / max(height, width)
    pitch_x, pitch_y = tile_width + _GAP, tile_height + _GAP + _LABEL
    grid_width, grid_height = n_columns * pitch_x - _GAP, n_rows * pitch_y - _GAP

    caption = _caption(len(units), len(W), geometry_shape, scores)
    figure, axes = _grid_figure(grid_width, grid_height, title, caption, scores)
    for position, unit in enumerate(units):
        x, y = (position % n_columns) * pitch_x, (position // n_columns) * pitch_y + _LABEL
        extent = (x, x + tile_width, y + tile_height, y)
        axes.imshow(images[unit], cmap="gray", vmin=0, vmax=1, extent=extent)
        axes.text(x, y - 0.04, str(unit + 1), fontsize=6, color="0.25", ha="left", va="bottom")
        if scores is not None and scores.edge[unit]:
            axes.plot(
                [x, x + tile_width, x + tile_width, x, x],
                [y, y, y + tile_height, y + tile_height, y],
                color=_EDGE_COLOR,
                linewidth=0.9,
            )
    axes.set_xlim(-0.02, grid_width + 0.02)  # imshow moves the limits to its own image; room for a frame's line
    axes.set_ylim(grid_height + 0.02, -0.02)
    return figure


class LayerImages(NamedTuple):
    """The images of one layer: its name, how the images were made, and one row per unit."""

    name: str
    made_by: str
    images: np.ndarray


def draw_hierarchy(
    layers: Sequence[LayerImages], geometry_shape: tuple[int, int, int], *, title: str, per_row: int = 12
) -> Figure:
    """Draw units of several layers below each other, each layer labelled with how its images were made.

    Parameters
    ----------
    layers : sequence of LayerImages
        From the first layer on; `images` of shape (n, n_x), each drawn on its own scale about zero.
    geometry_shape : (height, width, channels)
    title : str
    per_row : int
        Number of units side by side; a layer takes as many rows as it needs.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If images do not fit the geometry.
    """
    height, width, _ = geometry_shape
    tile_height, tile_width = height / max(height, width), width / max(height, width)
    pitch_x, pitch_y, heading = tile_width + _GAP, tile_height + _GAP, 0.75
    n_rows = [math.ceil(len(layer.images) / per_row) for layer in layers]
    grid_width, grid_height = per_row * pitch_x - _GAP, sum(n_rows) * pitch_y + len(layers) * heading
    caption = "mid-gray is zero; each image has its own scale"
    figure, axes = _grid_figure(grid_width, grid_height, title, caption, None)
    y = 0.0
    for layer, rows in zip(layers, n_rows, strict=True):
        axes.text(0, y + 0.32, layer.name, fontsize=8, va="bottom", weight="bold")
        axes.text(0, y + 0.36, layer.made_by, fontsize=6.5, color="0.25", va="top")
        y += heading
        for position, image in enumerate(filter_images(layer.images, geometry_shape)):
            x, top = (position % per_row) * pitch_x, y + (position // per_row) * pitch_y
            axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(x, x + tile_width, top + tile_height, top))
        y += rows * pitch_y
    axes.set_xlim(0, grid_width)
    axes.set_ylim(grid_height, 0)
    return figure


def filter_images(W: np.ndarray, geometry_shape: tuple[int, int, int]) -> np.ndarray:
    """Turn rows of weights into displayable images, each symmetric about zero.

    Parameters
    ----------
    W : ndarray of shape (n, n_x), any float dtype
    geometry_shape : (height, width, channels)
        channels is 1 or 3, and height * width * channels = n_x.

    Returns
    -------
    ndarray of shape (n, height, width) or (n, height, width, 3), float32, 0 to 1
        0.5 is a weight of zero; the largest absolute weight of each row becomes 0 or 1. A row of zeros,
        or a row that is not finite, is 0.5 throughout.

    Raises
    ------
    ValueError
        If W's width does not fit the geometry, or the channels are neither 1 nor 3.
    """
    height, width, channels = geometry_shape
    if channels not in (1, 3):
        raise ValueError(f"geometry_shape: cannot draw {channels} channels; give 1 (gray) or 3 (RGB)")
    if W.ndim != 2 or W.shape[1] != height * width * channels:
        raise ValueError(
            f"W of shape {W.shape} does not fit images of (height, width, channels) = {geometry_shape}: "
            f"each row needs {height * width * channels} weights"
        )
    largest = np.max(np.abs(W), axis=1, keepdims=True, initial=0)
    drawable = np.isfinite(largest) & (largest > 0)
    scaled = np.divide(W, largest, out=np.zeros(W.shape, np.float32), where=drawable, casting="unsafe")
    shape = (height, width) if channels == 1 else (height, width, channels)
    return (0.5 + 0.5 * scaled).reshape(-1, *shape)


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure to a file, completely or not at all; the ending of its name chooses PNG, SVG or PDF.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or Path
        The file to write; its folder has to exist. An existing file is replaced.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    InputError
        If the ending is unknown or the file cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FIGURE_FORMATS:
        endings = ", ".join("." + name for name in FIGURE_FORMATS)
        raise InputError(f"{path}: unknown image format; use a name that ends with one of {endings}")
    _check_folder(path)
    try:
        with replacing(path) as temporary:
            figure.savefig(temporary, format=kind)
    except OSError as error:
        raise not_written(escape(path), error) from None
    return path


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; create it, or choose another one")


def save_animation(
    steps: Sequence[np.ndarray], captions: Sequence[str], geometry_shape: tuple[int, int, int], path: str | Path
) -> Path:
    """Write a GIF in which weights change step by step, each image on its own scale about mid-gray.

    Parameters
    ----------
    steps : sequence of ndarray of shape (n, n_x)
        Rows of weights; the last step is shown longer.
    captions : sequence of str
        One for each step.
    geometry_shape : (height, width, channels)
    path : str or Path
        Has to end in .gif; an existing file is replaced.

    Raises
    ------
    InputError
        If the name has another ending, or the file cannot be written.
    """
    from PIL import Image, ImageDraw

    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise InputError(f"{path}: an animation is a GIF; use a name that ends with .gif")
    _check_folder(path)
    height, width, _ = geometry_shape
    enlarged = max(1, round(_FRAME_TILE / max(height, width)))
    n_columns = math.ceil(math.sqrt(len(steps[0]) * 1.5 * height / width))
    n_rows = math.ceil(len(steps[0]) / n_columns)
    pitch_x, pitch_y, foot = width * enlarged + 4, height * enlarged + 4, 18
    size = max(n_columns * pitch_x + 4, _FRAME_WIDTH), n_rows * pitch_y + 4 + foot
    frames = []
    for W, caption in zip(steps, captions, strict=True):
        frame = Image.new("RGB", size, "white")
        for position, image in enumerate(np.rint(255 * filter_images(W, geometry_shape)).astype(np.uint8)):
            tile = Image.fromarray(image).resize((width * enlarged, height * enlarged), Image.Resampling.NEAREST)
            frame.paste(tile.convert("RGB"), (4 + position % n_columns * pitch_x, 4 + position // n_columns * pitch_y))
        ImageDraw.Draw(frame).text((4, size[1] - foot + 2), caption, fill="black")
        gray = geometry_shape[2] == 1
        frames.append(frame.convert("L").quantize(32) if gray else frame.quantize(64))
    durations = [_FRAME_MILLISECONDS] * (len(frames) - 1) + [8 * _FRAME_MILLISECONDS]
    try:
        with replacing(path) as temporary:
            frames[0].save(temporary, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    except OSError as error:
        raise not_written(escape(path), error) from None
    return path


def _caption(n_drawn: int, n_all: int, geometry_shape: tuple[int, int, int], scores: FilterScores | None) -> str:
    """Return what is drawn and how to read it."""
    height, width, channels = geometry_shape
    units = f"{n_drawn} units" if n_drawn == n_all else f"the first {n_drawn} of {n_all} units"
    zero = "mid-gray is a weight of 0" + (", white positive, black negative" if channels == 1 else "")
    lines = [
        f"{units}, {height}x{width} {'gray' if channels == 1 else 'RGB'}",
        f"each image has its own scale: {zero}",
    ]
    if scores is not None:
        lines += [
            scores.summary(),
            f"{scores.strict.sum()} by the strict criteria; orientations covered: {scores.coverage:.0%}; "
            f"distinct filters: {scores.distinct_share:.0%}",
        ]
        if scores.edge.any():
            lines.append("thin frame: edge detectors, sorted by orientation and frequency")
            lines.append("rose: number of edge detectors per orientation")
    return "\n".join(lines)


def _grid_figure(
    width: float, height: float, title: str, caption: str, scores: FilterScores | None
) -> tuple[Figure, Axes]:
    """Make a figure with one bare axes of the given size in tiles, y downwards; a title, a caption, and a rose."""
    has_rose = scores is not None and scores.edge.any()
    tile = float(np.clip(_WIDTH / width, *_TILES))
    head = 0.55 if title else 0.15
    margin, foot = 0.25, 1.35 if has_rose else 0.35 + 0.13 * (1 + caption.count("\n"))  # inches
    size = max(width * tile, 5.6 if has_rose else 4.5) + 2 * margin, height * tile + head + foot
    figure = new_figure(figsize=size, dpi=150, facecolor="white")
    box = margin / size[0], foot / size[1], width * tile / size[0], height * tile / size[1]
    axes = figure.add_axes(box)
    axes.set_axis_off()
    left = margin / size[0]
    # A name is no formula, whatever it holds.
    figure.text(left, 1 - 0.2 / size[1], escape(title), fontsize=10, va="top", wrap=True, parse_math=False)
    figure.text(left, (foot - 0.12) / size[1], caption, fontsize=7, color="0.25", va="top")
    if scores is not None and has_rose:
        side = 1.0
        rose_box = 1 - (margin + side) / size[0], 0.15 / size[1], side / size[0], side / size[1]
        _draw_rose(figure.add_axes(rose_box, projection="polar"), scores)
    return figure, axes


def _draw_rose(axes: Axes, scores: FilterScores) -> None:
    """Draw how many edge detectors have each orientation; an edge runs both ways, so each bar is drawn twice."""
    from model.edges.scores import ORIENTATION_BINS, orientation_bins

    counts = np.bincount(orientation_bins(scores.orientation[scores.edge]), minlength=ORIENTATION_BINS)
    angles = np.arange(2 * ORIENTATION_BINS) * np.pi / ORIENTATION_BINS
    axes.bar(angles, np.tile(counts, 2), width=0.9 * np.pi / ORIENTATION_BINS, color=_EDGE_COLOR)
    axes.set_xticks(np.arange(4) * np.pi / 2, [])
    axes.set_yticks([])
    axes.spines["polar"].set_linewidth(0.4)
    axes.grid(linewidth=0.3)
