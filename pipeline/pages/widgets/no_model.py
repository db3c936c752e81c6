"""What a page shows if there is no model: an invitation to train a demo."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pipeline.classifier import ImageClassifier
from pipeline.invocation import command_line
from pipeline.pages.widgets import markup, sidebar
from pipeline.pages.widgets.curves import curves
from pipeline.pages.widgets.sidebar import Chosen
from pipeline.playground.demo import train_demo
from pipeline.sources.builtin import BUILTIN_SETS
from pipeline.sources.demo import DEMOS
from pipeline.training.background import BackgroundTraining

_REDRAW_DEMO_EVERY = 0.5  # seconds


@st.cache_resource
def running_demo() -> dict[str, BackgroundTraining]:
    """Return the store of the one demo run of this server, under "training": all visitors share it."""
    return {}


def invite(runs: Path) -> None:
    """Draw what is shown instead of a page if there is no model."""
    st.title("No model yet")
    st.markdown(
        "Facette learns to distinguish classes of images. Train a model once; then it classifies your images, and "
        "these pages show what it has learned."
    )
    panel(runs)
    with st.container(border=True):
        st.markdown(
            "**Or train on your own images**, with one folder for each class: on the page Playground, or in a terminal:"
        )
        st.code(command_line("train", "YOUR_PHOTOS/"), language="shell")
        st.markdown(f"Then reload this page: it shows the runs in {markup.plain(str(runs))}.")


def ready(chosen: Chosen) -> ImageClassifier | None:
    """Return the chosen classifier; if there is none, draw why and what to do, and return None."""
    if chosen.problem:
        st.title("This model cannot be opened")
        st.error(markup.plain(chosen.problem), icon=":material/error:")
        st.markdown("Choose another model in the sidebar, or train one:")
        st.code(command_line("train", "YOUR_PHOTOS/"), language="shell")
    elif chosen.classifier is None:
        invite(chosen.runs)
    return chosen.classifier


def panel(runs: Path) -> None:
    """Draw the choice of a demo, or the progress of its run."""
    training = running_demo().get("training")
    with st.container(border=True):
        if training and training.is_alive:
            _watch()
            return
        if training:
            _select_trained(training)
        if trained := st.session_state.pop("trained", None):
            st.success(f"The model {trained} is trained and selected in the sidebar.", icon=":material/check_circle:")
        demo = st.radio("Demo", DEMOS, captions=[BUILTIN_SETS[name].about for name in DEMOS], key="demo")
        st.button("Train the demo model", type="primary", on_click=_start_demo, args=(demo, runs))


def _start_demo(demo: str, runs: Path) -> None:
    training = running_demo().get("training")
    if not (training and training.is_alive):
        running_demo()["training"] = train_demo(demo, runs).start()


@st.fragment(run_every=_REDRAW_DEMO_EVERY)
def _watch() -> None:
    """Draw the progress of the run; a fragment, so that the rest of the page is not redrawn."""
    training = running_demo().get("training")
    if training is None or not training.is_alive:
        st.rerun()
        return
    done, total = len(training.records), training.epochs
    stage = f"{training.stage}: epoch {done} of {total}" if training.stage == "Training" else training.stage
    st.progress(done / total if total else 0.0, text=f"{stage} …")
    curves(training.records)
    st.button(
        "Stopping after this epoch" if training.is_ending else "Stop and keep the model",
        on_click=training.end,
        disabled=training.is_ending,
    )


def _select_trained(training: BackgroundTraining) -> None:
    """Select the model of a run that has ended, or show why there is none, until the next run starts."""
    if training.model:
        running_demo().pop("training", None)
        sidebar.show(training.model.parent.name)
        st.session_state["trained"] = training.model.parent.name
        st.rerun()
    st.error(markup.plain(training.error), icon=":material/error:")
