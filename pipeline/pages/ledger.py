"""The shapes of a network's matrices, as a table."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model.parameters import LedgerRow
from pipeline.config import Geometry


def draw(rows: Sequence[LedgerRow], geometry: Geometry) -> None:
    """Draw the shapes of W, b, Z and A of every layer."""
    n_parameters = sum(row.n_parameters for row in rows)
    st.markdown(
        f"X is ({geometry.n_x:,}, m): a column for each of m pictures of {geometry.width}×{geometry.height} "
        f"{geometry.color} pixels. L = {len(rows)} layer{'s' * (len(rows) > 1)}, {n_parameters:,} parameters."
    )
    st.dataframe(
        [
            {
                "layer": str(row.layer),
                "W": _shape(row.W),
                "b": _shape(row.b),
                "Z and A": _shape(row.Z),
                "activation": row.activation,
                "parameters": row.n_parameters,
            }
            for row in rows
        ],
        column_config={"parameters": st.column_config.NumberColumn(format="localized")},
        hide_index=True,
        alt="Shapes of W, b, Z and A of every layer: "
        + "; ".join(
            f"layer {row.layer}: W {_shape(row.W)}, b {_shape(row.b)}, Z and A {_shape(row.Z)}" for row in rows
        ),
    )


def _shape(shape: tuple[int, str | int]) -> str:
    return f"({shape[0]}, {shape[1]})"
