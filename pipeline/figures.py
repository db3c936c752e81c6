"""Pictures of what a network has learned, drawn with matplotlib's Figure API (no pyplot, so no global state).

Row i of W1 is a picture: the input pattern unit i answers to most. `draw_filters` lays the rows out as a
numbered grid. What can be said about them in numbers is computed in `model.filters`; this file only draws.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.atomic import replacing
from pipeline.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURE_FORMATS = ("png", "svg", "pdf")

_TILES = 0.62, 1.3  # smallest and largest longer side of a filter's picture, in inches
_WIDTH = 6.5  # inches the grid is to be wide, where the sizes above allow it
_GAP = 0.10  # white space between tiles, in tiles
_LABEL = 0.26  # height of the line that holds the unit's number, in tiles


def draw_filters(
    W: np.ndarray, geometry_shape: tuple[int, int, int], *, title: str, max_units: int = 100
) -> Figure:
    """Draw first-layer weights as a labelled grid of pictures.

    Every unit has a scale of its own, symmetric about zero: mid-gray is a weight of 0, white and black are
    plus and minus the unit's largest weight in size. Shapes compare between units, strengths do not.

    Parameters
    ----------
    W : ndarray of shape (n_1, n_x), any float dtype
        First-layer weights; n_x = height * width * channels, in the order of a picture's bytes.
    geometry_shape : (height, width, channels)
        Shape of the pictures the network takes; 1 channel is gray, 3 are RGB.
    title : str
        Line above the grid.
    max_units : int
        At most so many units are drawn, the first ones; the caption says when units are left out.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If W's width does not fit the geometry, or the channels are neither 1 nor 3.
    """
    pictures = filter_pictures(W[:max_units], geometry_shape)
    height, width, _ = geometry_shape
    n_drawn = len(pictures)
    n_columns = math.ceil(math.sqrt(n_drawn * height / width)) or 1
    n_rows = math.ceil(n_drawn / n_columns)
    tile_height, tile_width = height / max(height, width), width / max(height, width)
    pitch_x, pitch_y = tile_width + _GAP, tile_height + _GAP + _LABEL
    grid_width, grid_height = n_columns * pitch_x - _GAP, n_rows * pitch_y - _GAP

    caption = _caption(n_drawn, len(W), geometry_shape)
    figure, axes = _grid_figure(grid_width, grid_height, title, caption)
    for i, picture in enumerate(pictures):
        x, y = (i % n_columns) * pitch_x, (i // n_columns) * pitch_y + _LABEL
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=(x, x + tile_width, y + tile_height, y))
        axes.text(x, y - 0.03, str(i + 1), fontsize=6, color="0.25", ha="left", va="bottom")
    axes.set_xlim(0, grid_width)  # imshow moves the limits to its own picture
    axes.set_ylim(grid_height, 0)
    return figure


def filter_pictures(W: np.ndarray, geometry_shape: tuple[int, int, int]) -> np.ndarray:
    """Turn rows of weights into displayable pictures, each symmetric about zero.

    Parameters
    ----------
    W : ndarray of shape (n, n_x), any float dtype
    geometry_shape : (height, width, channels)
        channels is 1 or 3, and height * width * channels = n_x.

    Returns
    -------
    ndarray of shape (n, height, width) or (n, height, width, 3), float32, 0 to 1
        0.5 is a weight of zero; the largest weight of each row in size is at 0 or 1. A row of zeros,
        or one that is not finite, is 0.5 throughout.

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
            f"W of shape {W.shape} does not fit pictures of (height, width, channels) = {geometry_shape}: "
            f"each row needs {height * width * channels} weights"
        )
    largest = np.max(np.abs(W), axis=1, keepdims=True, initial=0)
    drawable = np.isfinite(largest) & (largest > 0)
    scaled = np.divide(W, largest, out=np.zeros(W.shape, np.float32), where=drawable, casting="unsafe")
    shape = (height, width) if channels == 1 else (height, width, channels)
    return (0.5 + 0.5 * scaled).reshape(-1, *shape)


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure to a file that is either complete or not there; the ending chooses PNG, SVG or PDF.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or Path
        Where to; its folder has to exist. A file that is there is replaced.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If the ending is unknown or the file cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FIGURE_FORMATS:
        endings = ", ".join("." + name for name in FIGURE_FORMATS)
        raise InputError(f"{path}: cannot draw into a file with this ending; use one of {endings}")
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; create it or name another place")
    try:
        with replacing(path) as temporary:
            figure.savefig(temporary, format=kind)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _caption(n_drawn: int, n_all: int, geometry_shape: tuple[int, int, int]) -> str:
    """Say what is drawn and how to read it."""
    height, width, channels = geometry_shape
    some = f"{n_drawn} units" if n_drawn == n_all else f"the first {n_drawn} of {n_all} units"
    zero = "mid-gray is a weight of 0" + (", white positive, black negative" if channels == 1 else "")
    return f"{some}, {width}x{height} {'gray' if channels == 1 else 'RGB'}\neach on its own scale: {zero}"


def _grid_figure(width: float, height: float, title: str, caption: str) -> tuple[Figure, Axes]:
    """Make a figure with one bare axes of the given size in tiles, y downwards, a title and a caption."""
    from matplotlib.figure import Figure

    tile = float(np.clip(_WIDTH / width, *_TILES))
    margin, head, foot = 0.25, 0.55, 0.6  # inches
    size = max(width * tile, 4.5) + 2 * margin, height * tile + head + foot
    figure = Figure(figsize=size, dpi=150, facecolor="white")
    box = margin / size[0], foot / size[1], width * tile / size[0], height * tile / size[1]
    axes = figure.add_axes(box)
    axes.set_axis_off()
    left = margin / size[0]
    figure.text(left, 1 - 0.2 / size[1], title, fontsize=10, va="top", wrap=True)
    figure.text(left, (foot - 0.12) / size[1], caption, fontsize=7, color="0.25", va="top")
    return figure, axes
