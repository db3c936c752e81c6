"""The shapes of a network's matrices, as a table."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model.parameters import LayerShapes
from pipeline.explanation.wording import shape
from pipeline.images.geometry import Geometry
from pipeline.pages.widgets import markup


def draw_shapes(rows: Sequence[LayerShapes], geometry: Geometry) -> None:
    """Draw the shapes of W, b, Z and A of every layer."""
    n_parameters = sum(row.n_parameters for row in rows)
    st.markdown(
        f"X is ({geometry.n_x:,}, m): a column for each of m images of {shape(geometry)} "
        f"pixels. L = {len(rows)} layer{'s' * (len(rows) > 1)}, {n_parameters:,} parameters."
    )
    head = ("layer", "W", "b", "Z and A", "activation", "parameters")
    cells = [
        (str(row.layer), _shape(row.W), _shape(row.b), _shape(row.Z), row.activation, f"{row.n_parameters:,}")
        for row in rows
    ]
    st.html(markup.html_table("Shapes of W, b, Z and A of every layer", head, cells))


def _shape(shape: tuple[int, str | int]) -> str:
    return f"({shape[0]}, {shape[1]})"
