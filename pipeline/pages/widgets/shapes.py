"""The shapes of a network's matrices as a table."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model.parameters import LayerShapes
from pipeline.explanation.wording import describe_geometry
from pipeline.images.geometry import Geometry
from pipeline.pages.widgets import markup
from pipeline.text import count


def draw_shapes(rows: Sequence[LayerShapes], geometry: Geometry) -> None:
    """Draw the shapes of W, b, Z and A of every layer."""
    n_parameters = sum(row.n_parameters for row in rows)
    st.markdown(
        f"X is ({geometry.n_x:,}, m): one column for each of m images ({describe_geometry(geometry)}). "
        f"L = {count(len(rows), 'layer')}, {n_parameters:,} parameters."
    )
    head = ("layer", "W", "b", "Z and A", "activation", "parameters")
    st.html(markup.html_table("Shapes of W, b, Z and A of every layer", head, [row.texts() for row in rows]))
