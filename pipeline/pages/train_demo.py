"""Train on demo pictures in the browser: what a stranger sees first, and a page of its own later."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from model.training import EpochRecord
from pipeline.background import DemoTraining
from pipeline.classifier import ImageClassifier
from pipeline.demo import DEMOS
from pipeline.pages import choice
from pipeline.pages.choice import Chosen

_WATCH_EVERY = 0.5  # seconds


@st.cache_resource
def _current() -> dict[str, DemoTraining]:
    """Return where the one training of this server is kept: all its visitors share the processor."""
    return {}


def render(chosen: Chosen) -> None:
    """Draw the page."""
    st.title("Train a demo")
    st.markdown("Train a model here, in a few seconds, on real pictures that come with the installation.")
    panel(chosen.runs)
    st.subheader("Your own pictures")
    st.markdown("Sort them into one sub-folder for each class, and type this in a terminal; then reload this page.")
    st.code("facette train YOUR_PHOTOS/", language="shell")


def invite(runs: Path) -> None:
    """Draw what is shown instead of a page while there is no model."""
    st.title("No model yet")
    st.markdown(
        "Facette learns to tell classes of pictures apart. It needs to be trained once; then this page classifies "
        "your pictures and shows what the network looks at."
    )
    panel(runs)
    with st.container(border=True):
        st.markdown("**Or train on your own pictures**: one sub-folder for each class. In a terminal:")
        st.code("facette train YOUR_PHOTOS/", language="shell")
        st.markdown(f"Then reload this page: it shows the runs in `{runs}`.")


def ready(chosen: Chosen) -> ImageClassifier | None:
    """Return the classifier chosen; where there is none, say why and what to do, and return None."""
    if chosen.problem:
        st.error(chosen.problem, icon=":material/error:")
        st.markdown("Choose another model in the side bar, or train one:")
        st.code("facette train YOUR_PHOTOS/", language="shell")
    elif chosen.classifier is None:
        invite(chosen.runs)
    return chosen.classifier


def panel(runs: Path) -> None:
    """Draw the choice of a demo, or the training under way."""
    training = _current().get("training")
    with st.container(border=True):
        if training and training.is_running:
            _watch()
            return
        if training:
            _take_up(training)
        if trained := st.session_state.pop("trained", None):
            st.success(f"{trained} is trained, and chosen in the side bar.", icon=":material/check_circle:")
        demo = st.radio("Pictures", list(DEMOS), captions=[DEMOS[name].about for name in DEMOS], key="demo")
        st.button("Train the demo model", type="primary", on_click=_begin, args=(demo, runs))


def _begin(demo: str, runs: Path) -> None:
    training = _current().get("training")
    if not (training and training.is_running):
        _current()["training"] = DemoTraining(demo, runs).start()


@st.fragment(run_every=_WATCH_EVERY)
def _watch() -> None:
    """Draw how far the training is; a fragment, so that the rest of the page stays as it is."""
    training = _current().get("training")
    if training is None or not training.is_running:
        st.rerun()
        return
    done, total = len(training.records), training.epochs
    stage = f"{training.stage}: epoch {done} of {total}" if training.stage == "Training" else training.stage
    st.progress(done / total if total else 0.0, text=f"{stage} …")
    curves(training.records)
    st.button(
        "Stopping after this epoch" if training.is_stopping else "Stop and keep what is learned",
        on_click=training.stop,
        disabled=training.is_stopping,
    )


def _take_up(training: DemoTraining) -> None:
    """Choose the model of a training that has ended, or say why there is none."""
    _current().pop("training", None)
    if training.model:
        choice.show(training.model.parent.name)
        st.session_state["trained"] = training.model.parent.name
        st.rerun()
    st.error(training.error, icon=":material/error:")


def curves(records: Sequence[EpochRecord]) -> None:
    """Draw accuracy over the epochs, and say the latest figures."""
    records = list(records)  # another thread may append
    if not records:
        return
    last = records[-1]
    validated = not math.isnan(last.validation_accuracy)
    table = {"epoch": [r.epoch for r in records], "training": [100 * r.accuracy for r in records]}
    if validated:
        table["validation"] = [100 * r.validation_accuracy for r in records]
    words = f"Accuracy after epoch {last.epoch}: training {100 * last.accuracy:.1f}%"
    words += f", validation {100 * last.validation_accuracy:.1f}%" if validated else ""
    st.line_chart(
        table,
        x="epoch",
        y=[name for name in table if name != "epoch"],
        y_label="accuracy, %",
        color="#0072b2" if not validated else ["#0072b2", "#e69f00"],
        height=220,
        alt=words,
    )
    st.caption(f"{words} · cost {last.cost:.3f}")
