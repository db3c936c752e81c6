"""The model itself: its layers, how its training went, and where it comes from."""

from __future__ import annotations

import math

import streamlit as st

from model.parameters import layer_shapes
from pipeline.classifier import ImageClassifier
from pipeline.pages.widgets import no_model, shapes
from pipeline.pages.widgets.sidebar import Chosen


def render(chosen: Chosen) -> None:
    """Draw the page."""
    classifier = no_model.ready(chosen)
    if classifier is None or chosen.run is None:
        return
    st.title("The model")
    _scores(chosen)
    st.subheader("Layers", anchor=False)
    shapes.draw_shapes(layer_shapes(classifier.parameters, classifier.network), classifier.geometry)
    if classifier.history:
        st.subheader("Training", anchor=False)
        no_model.curves(classifier.history)
    st.subheader("Where it comes from", anchor=False)
    _provenance(chosen, classifier)


def _scores(chosen: Chosen) -> None:
    """Draw the accuracy beside that of simple methods."""
    run = chosen.run
    if run is None or not run.m:
        st.info("This model has not been measured. Type in a terminal:  `facette evaluate MODEL IMAGES/`")
        return
    columns = st.columns(1 + len(run.baselines))
    columns[0].metric(f"This model, {run.m:,} {run.evaluated_on} images", f"{100 * run.accuracy:.1f}%", border=True)
    for column, (name, accuracy) in zip(columns[1:], run.baselines, strict=True):
        column.metric(f"{name.capitalize()}, the same images", f"{100 * accuracy:.1f}%", border=True)
    st.caption(
        f"95% interval of this model: {100 * run.low:.1f}% to {100 * run.high:.1f}%"
        + ("" if run.evaluated_on == "test" else f". Figures on {run.evaluated_on} images flatter")
    )


def _provenance(chosen: Chosen, classifier: ImageClassifier) -> None:
    """Draw what is known of the data, the settings and the programs that made it."""
    origin, training = classifier.provenance, classifier.training
    images = ", ".join(f"{split} {count:,}" for split, count in origin.get("images", {}).items() if count)
    best = [record.epoch for record in classifier.history if record.is_best and not math.isnan(record.validation_cost)]
    facts = {
        "File": str(chosen.run.model) if chosen.run else "",
        "Classes": ", ".join(classifier.classes),
        "Data": origin.get("source", ""),
        "Images": images,
        "Epochs": f"{len(classifier.history)}" + (f", the best of them {best[-1]}" if best else ""),
        "Optimizer": f"{training.optimizer}, learning rate {training.learning_rate:.3g}",
        "Batch size": f"{training.batch_size}",
        "Seed": f"{training.seed}",
        "Made": origin.get("created", "").replace("T", " ").replace("+00:00", " UTC"),
        "With": ", ".join(f"{name} {number}" for name, number in origin.get("versions", {}).items()),
        "Name of this very network": classifier.model_id,
    }
    st.table({name: value for name, value in facts.items() if value}, border="horizontal")
