"""The learning curves of a training run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from model.training import EpochRecord

_SERIES = ("training", "validation")
_SERIES_COLORS = ("#0072b2", "#e69f00")  # blue and orange of Okabe & Ito 2008, "Color universal design"
_MOST_DOTS = 30  # epochs up to which each has a dot


def curves(records: Sequence[EpochRecord]) -> None:
    """Draw accuracy and cost over the epochs, with the latest values below."""
    records = list(records)  # another thread may append
    if not records:
        return
    last = records[-1]
    accuracy, cost = f"training {100 * last.accuracy:.1f}%", f"training {last.cost:.3f}"
    if not math.isnan(last.validation_cost):
        accuracy += f", validation {100 * last.validation_accuracy:.1f}%"
        cost += f", validation {last.validation_cost:.3f}"
    left, right = st.columns(2, gap="medium")
    with left:
        shares = [(100 * record.accuracy, 100 * record.validation_accuracy) for record in records]
        _chart("Accuracy, %", shares, f"Accuracy after epoch {last.epoch}: {accuracy}")
    with right:
        costs = [(record.cost, record.validation_cost) for record in records]
        _chart("Cost", costs, f"Cost after epoch {last.epoch}: {cost}")


def _chart(title: str, values: Sequence[tuple[float, float]], caption: str) -> None:
    """Draw a curve for training, and a dashed one for validation."""
    rows = [
        {"epoch": epoch, "of": name, "value": value}
        for epoch, pair in enumerate(values, start=1)
        for name, value in zip(_SERIES, pair, strict=True)
        if math.isfinite(value)
    ]
    of = {"field": "of", "type": "nominal", "title": None}
    legend = {"orient": "top", "symbolType": "stroke", "columnPadding": 8, "labelFontSize": 12, "symbolSize": 60}
    spec = {
        "mark": {"type": "line", "point": len(values) <= _MOST_DOTS, "strokeWidth": 2},
        "encoding": {
            "x": {"field": "epoch", "type": "quantitative", "axis": {"tickMinStep": 1, "format": "d", "grid": False}},
            "y": {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False, "nice": True}},
            "color": of | {"scale": {"domain": _SERIES, "range": _SERIES_COLORS}, "legend": legend},
            "strokeDash": of | {"scale": {"domain": _SERIES, "range": [[1, 0], [6, 3]]}},
        },
    }
    st.markdown(f"**{title}**")
    st.vega_lite_chart(rows, spec, height=250, alt=caption)
    st.caption(caption)
