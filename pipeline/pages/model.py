"""The model itself: its accuracy, its layers, its learning curves and its provenance."""

from __future__ import annotations

import math

import streamlit as st

from model.parameters import layer_shapes
from pipeline.classifier import ImageClassifier
from pipeline.explanation.wording import describe_optimizer
from pipeline.invocation import command_line
from pipeline.pages.widgets import markup, no_model, shapes
from pipeline.pages.widgets.curves import curves
from pipeline.pages.widgets.sidebar import Chosen


def render(chosen: Chosen) -> None:
    """Draw the page."""
    classifier = no_model.ready(chosen)
    if classifier is None or chosen.run is None:
        return
    st.title("Model")
    _draw_accuracy(chosen)
    st.subheader("Layers", anchor=False)
    shapes.draw_shapes(layer_shapes(classifier.parameters, classifier.network), classifier.geometry)
    if classifier.history:
        st.subheader("Training", anchor=False)
        curves(classifier.history)
    st.subheader("Provenance", anchor=False)
    _draw_provenance(chosen, classifier)


def _draw_accuracy(chosen: Chosen) -> None:
    """Draw the accuracy beside that of the baselines."""
    run = chosen.run
    if run is None or not run.m:
        command = command_line("evaluate", "MODEL", "IMAGES/")
        st.info(f"This model has not been evaluated. Run  `{command}`  in a terminal.")
        return
    columns = st.columns(1 + len(run.baselines))
    evaluated_on = markup.plain(run.evaluated_on)
    columns[0].metric(f"Accuracy on {run.m:,} {evaluated_on} images", f"{100 * run.accuracy:.1f}%", border=True)
    for column, (name, accuracy) in zip(columns[1:], run.baselines, strict=True):
        column.metric(f"Baseline: {markup.plain(name)}", f"{100 * accuracy:.1f}%", border=True)
    st.caption(
        f"95% interval of the accuracy: {100 * run.low:.1f}% to {100 * run.high:.1f}%."
        + ("" if run.evaluated_on == "test" else f" It is optimistic: the run used the {evaluated_on} images.")
    )


def _draw_provenance(chosen: Chosen, classifier: ImageClassifier) -> None:
    """Draw what is known of the data, the settings and the software versions."""
    origin, training = classifier.provenance, classifier.training
    images = ", ".join(f"{split} {count:,}" for split, count in origin.get("images", {}).items() if count)
    best = [record.epoch for record in classifier.history if record.is_best and not math.isnan(record.validation_cost)]
    facts = {
        "File": str(chosen.run.model) if chosen.run else "",
        "Classes": ", ".join(classifier.classes),
        "Source": origin.get("source", ""),
        "Images": images,
        "Epochs": f"{len(classifier.history)}" + (f" (best: {best[-1]})" if best else ""),
        "Optimizer": describe_optimizer(training),
        "Batch size": f"{training.batch_size}",
        "Seed": f"{training.seed}",
        "Created": origin.get("created", "").replace("T", " ").replace("+00:00", " UTC"),
        "Versions": ", ".join(f"{name} {number}" for name, number in origin.get("versions", {}).items()),
        "Model ID": classifier.model_id,
    }
    st.table({name: markup.plain(value) for name, value in facts.items() if value}, border="horizontal")
