"""The results of several images: a table to sort, filter and download."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import streamlit as st

from pipeline.classifier import ImageClassifier
from pipeline.pages.widgets import markup
from pipeline.prediction.formats import WRITERS
from pipeline.prediction.uploads import UploadResult

_FAILED, _ABSTAINED = "could not be read", "abstained"


def draw_results(results: list[UploadResult], classifier: ImageClassifier) -> UploadResult | None:
    """Draw all results as a table; return the result of the row that is selected."""
    n_failed = sum(result.row.status == "error" for result in results)
    n_abstained = sum(bool(result.reason) for result in results)
    counts = f"{len(results) - n_failed} of {len(results)} images classified"
    head, choice = st.columns(2, vertical_alignment="center")
    labelled = [result.row for result in results if result.row.true_label and result.row.ranking]
    n_correct = sum(row.true_label == row.ranking[0][0] for row in labelled)
    texts = [f"**{counts}**"]
    texts += [f"{n_abstained} abstained"] if n_abstained else []
    texts += [f"{n_failed} could not be read"] if n_failed else []
    texts += [f"{n_correct} of {len(labelled)} labelled images correct"] if labelled else []
    head.markdown(" · ".join(texts))
    groups = sorted(
        {_group(result) for result in results}, key=lambda group: (group == _FAILED, group == _ABSTAINED, group)
    )
    wanted = choice.multiselect(
        "Show only", groups, key="show-only", placeholder="Filter by class or status", label_visibility="collapsed"
    )
    shown = [result for result in results if not wanted or _group(result) in wanted]
    columns: dict[str, list[Any]] = {
        "image": [markup.thumbnail(r.shown) if r.shown else None for r in shown],
        "file": [r.row.path for r in shown],
        "class": [r.row.ranking[0][0] if r.row.ranking else None for r in shown],
        "status": [_ABSTAINED if r.reason else r.row.status for r in shown],
        "probability": [min(99.9, 100 * r.row.ranking[0][1]) if r.row.ranking else None for r in shown],
        "true class": [r.row.true_label or None for r in shown],
        "problem": [r.row.error_message or None for r in shown],
    }
    columns = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    config = st.column_config
    event = st.dataframe(
        columns,
        column_config={
            "image": config.ImageColumn("Image", width="small"),
            "file": config.TextColumn("File"),
            "class": config.TextColumn("Class", help="The most probable class"),
            "status": config.TextColumn(
                "Status",
                help="abstained: the model is too uncertain of this image, or it is unlike the training images",
            ),
            "probability": config.ProgressColumn(
                "Probability", format="%.1f%%", min_value=0, max_value=100, help="99.9% means 99.9% or more"
            ),
            "true class": config.TextColumn("True class"),
            "problem": config.TextColumn("Problem", width="large"),
        },
        on_select="rerun",
        selection_mode="single-row",
        hide_index=True,
        placeholder="",
        row_height=44,
        key="table",
        alt=f"{counts}; one row per file",
    )
    _draw_downloads(shown, len(classifier.classes))
    rows = [row for row in event.selection.rows if row < len(shown)]
    if not rows:
        st.caption("Select a row to see its image.")
        return None
    return shown[rows[0]]


def _group(result: UploadResult) -> str:
    if not result.row.ranking:
        return _FAILED
    return _ABSTAINED if result.reason else result.row.ranking[0][0]


def _draw_downloads(results: Sequence[UploadResult], n_classes: int) -> None:
    """Offer the rows that are shown as the files that `facette predict` writes."""
    with st.container(horizontal=True):
        for kind, write in WRITERS.items():
            text = io.StringIO()
            write((result.row for result in results), text, n_classes)
            st.download_button(
                f"Download {kind.upper()}",
                text.getvalue(),
                file_name=f"predictions.{kind}",
                mime={"csv": "text/csv"}.get(kind, "application/x-ndjson"),
                icon=":material/download:",
                on_click="ignore",
                help="The rows of the table, as facette predict writes them",
            )
