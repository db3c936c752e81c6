"""What a page shows while there is no model: an invitation to train a demo."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pipeline.classifier import ImageClassifier
from pipeline.pages.widgets import markup, sidebar
from pipeline.pages.widgets.curves import curves
from pipeline.pages.widgets.sidebar import Chosen
from pipeline.playground.demo import train_demo
from pipeline.sources.builtin import BUILTIN_SETS
from pipeline.sources.demo import DEMOS
from pipeline.training.background import BackgroundTraining

_WATCH_EVERY = 0.5  # seconds


@st.cache_resource
def _current() -> dict[str, BackgroundTraining]:
    """Return where the one training of this server is kept: all its visitors share the processor."""
    return {}


def invite(runs: Path) -> None:
    """Draw what is shown instead of a page while there is no model."""
    st.title("No model yet")
    st.markdown(
        "Facette learns to tell classes of images apart. It needs to be trained once; then it classifies your "
        "images, and these pages show what it looks at."
    )
    panel(runs)
    with st.container(border=True):
        st.markdown(
            "**Or train on your own images**, with one folder for each class: on the page Playground, or in a terminal:"
        )
        st.code("facette train YOUR_PHOTOS/", language="shell")
        st.markdown(f"Then reload this page: it shows the runs in `{runs}`.")


def ready(chosen: Chosen) -> ImageClassifier | None:
    """Return the classifier chosen; where there is none, say why and what to do, and return None."""
    if chosen.problem:
        st.title("This model cannot be opened")
        st.error(markup.plain(chosen.problem), icon=":material/error:")
        st.markdown("Choose another model in the side bar, or train one:")
        st.code("facette train YOUR_PHOTOS/", language="shell")
    elif chosen.classifier is None:
        invite(chosen.runs)
    return chosen.classifier


def panel(runs: Path) -> None:
    """Draw the choice of a demo, or the training under way."""
    training = _current().get("training")
    with st.container(border=True):
        if training and training.is_alive:
            _watch()
            return
        if training:
            _take_up(training)
        if trained := st.session_state.pop("trained", None):
            st.success(f"{trained} is trained, and chosen in the side bar.", icon=":material/check_circle:")
        demo = st.radio("Images", DEMOS, captions=[BUILTIN_SETS[name].about for name in DEMOS], key="demo")
        st.button("Train the demo model", type="primary", on_click=_begin, args=(demo, runs))


def _begin(demo: str, runs: Path) -> None:
    training = _current().get("training")
    if not (training and training.is_alive):
        _current()["training"] = train_demo(demo, runs).start()


@st.fragment(run_every=_WATCH_EVERY)
def _watch() -> None:
    """Draw how far the training is; a fragment, so that the rest of the page stays as it is."""
    training = _current().get("training")
    if training is None or not training.is_alive:
        st.rerun()
        return
    done, total = len(training.records), training.epochs
    stage = f"{training.stage}: epoch {done} of {total}" if training.stage == "Training" else training.stage
    st.progress(done / total if total else 0.0, text=f"{stage} …")
    curves(training.records)
    st.button(
        "Stopping after this epoch" if training.is_ending else "Stop and keep what is learned",
        on_click=training.end,
        disabled=training.is_ending,
    )


def _take_up(training: BackgroundTraining) -> None:
    """Choose the model of a training that has ended, or say why there is none, until another is begun."""
    if training.model:
        _current().pop("training", None)
        sidebar.show(training.model.parent.name)
        st.session_state["trained"] = training.model.parent.name
        st.rerun()
    st.error(training.error, icon=":material/error:")
