"""The Playground's training: what can be done with it, how it goes, and keeping what comes out."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from pipeline.explanation.figures import filter_images
from pipeline.images.geometry import Geometry
from pipeline.pages.playground.session import PlaygroundSession
from pipeline.pages.widgets import markup, sidebar
from pipeline.pages.widgets.curves import curves
from pipeline.playground.images import ImageSet
from pipeline.playground.session import keep_run
from pipeline.training.background import BackgroundTraining, Snapshot
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import holds_run, run_name

_UNITS = 24
_GO_WIDTH = 125  # pixels, enough for "Continue"
_MOST_CLASSES_SHOWN = 12


def draw_training(session: PlaygroundSession, runs: Path, recipe: Recipe | None, is_redrawn: bool) -> None:
    """Draw the training and what can be done with it: a fragment, so that the rest of the page stays as it is.

    Whether it `is_redrawn` all the time is set where the page is drawn. So the page is drawn again where that does not
    fit what the training was before drawing and is afterwards.
    """
    was_active = session.is_active
    _panel(session, runs, recipe)
    if not was_active == session.is_active == is_redrawn:
        st.rerun()


def _panel(session: PlaygroundSession, runs: Path, recipe: Recipe | None) -> None:
    _take_up_saved(session)
    _buttons(session, recipe)
    training = session.training
    if session.is_stopping:
        st.caption("The training before is stopping: once its first layer is learned, if it is at that.")
    if training is None:
        if session.image_set is None:
            st.caption("Choose images first.")
        elif recipe:
            st.caption("Nothing is trained yet: press Start, or go through it epoch by epoch.")
        return
    records = list(training.records)
    share = len(records) / training.epochs if training.epochs else 0.0
    st.progress(min(1.0, share), text=_status(session, training))
    if training.error:
        st.error(markup.plain(training.error), icon=":material/error:")
    if recipe and session.begun != (session.image_set, recipe):
        st.caption("Images or settings are others now than those of this training. Reset it to train with them.")
    curves(records)
    if training.snapshot and session.begun:
        _draw_snapshot(training.snapshot, session.begun[0])
    if records:
        _keep(session, runs)


def _buttons(session: PlaygroundSession, recipe: Recipe | None) -> None:
    """Draw what can be done: always the same four buttons, which no press makes move away under the next one.

    They are callbacks, which no redrawing of the page swallows. None does another thing than the page says, even where
    that lags behind: only Reset drops a training.
    """
    training, is_active = session.training, session.is_active
    is_under_way = training is not None and training.is_alive and not training.is_over
    go: Callable[..., None] = training.go_on if training else partial(session.begin, recipe)
    can_go = is_under_way and not is_active if training else recipe is not None
    with st.container(horizontal=True, gap="xsmall"):
        for name, icon, is_possible, action, key in (
            ("Continue" if is_under_way else "Start", "play_arrow", can_go, partial(go, math.inf), "go"),
            ("Pause", "pause", is_under_way and is_active, training.pause if training else None, "pause"),
            ("One epoch", "skip_next", can_go and not is_active, partial(go, 1), "step"),
            ("Reset", "restart_alt", training is not None, session.reset, "reset"),
        ):
            st.button(
                name,
                icon=f":material/{icon}:",
                type="primary" if key == "go" else "secondary",
                disabled=not is_possible,
                key=key,
                on_click=action,
                width=_GO_WIDTH if key == "go" else "content",
            )


def _status(session: PlaygroundSession, training: BackgroundTraining) -> str:
    done, total = len(training.records), training.epochs
    if training.position:
        others = "1 training is" if training.position == 1 else f"{training.position} trainings are"
        return f"Waiting: {others} before yours"
    if session.saving:
        return "Saving: evaluating, and writing the report …"
    if training.is_over:
        return f"Done: {done} of {total} epochs" if done < total else f"Done: {total} epochs"
    if not training.is_alive:
        return "Ended"
    if not total:
        return "Preparing images and network …"
    if session.is_active:
        return f"Epoch {min(done + 1, total)} of {total} …"
    return f"Paused after epoch {done} of {total}"


def _draw_snapshot(snapshot: Snapshot, image_set: ImageSet) -> None:
    """Draw the first layer, and which classes are mistaken for which."""
    st.markdown(f"**First layer** after epoch {snapshot.epoch}: weights of its first units")
    st.html(_tiles(snapshot, image_set.geometry))
    if snapshot.confusion is not None:
        st.markdown("**Validation images**: a row for each true class, a column for each answer")
        st.html(_confusion(snapshot.confusion, image_set.classes))


def _tiles(snapshot: Snapshot, geometry: Geometry) -> str:
    W = snapshot.W[:_UNITS]
    images = np.rint(255 * filter_images(W, geometry.shape)).astype(np.uint8)
    return markup.tiles(
        [(markup.data_url(image), "", f"weights of unit {i}") for i, image in enumerate(images, start=1)], small=True
    )


_RIGHT, _WRONG = "0, 114, 178", "230, 159, 0"


def _confusion(counts: np.ndarray, classes: tuple[str, ...]) -> str:
    """Return how often each class got which answer, as an HTML table; of many classes only the mistakes made most."""
    if len(classes) > _MOST_CLASSES_SHOWN:
        return _worst(counts, classes)
    head = "".join(f"<th scope='col' title='{html.escape(c)}'>{html.escape(c)}</th>" for c in classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows, faint = "", "<span style='opacity:.35'>0</span>"
    for k, name in enumerate(classes):
        cells = "".join(
            f"<td style='background: rgba({_RIGHT if k == j else _WRONG}, {0.75 * share:.2f})'>{n or faint}</td>"
            for j, (n, share) in enumerate(zip(counts[k], shares[k], strict=True))
        )
        rows += f"<tr><th scope='row' title='{html.escape(name)}'>{html.escape(name)}</th>{cells}</tr>"
    right = counts.trace() / max(1, counts.sum())
    return (
        f"<div class='facette-scroll' tabindex='0'><table class='facette-confusion' "
        f"aria-label='Confusion matrix: a row for each true class, a column for each answer'>"
        f"<tr><td></td>{head}</tr>{rows}</table></div>"
        f"<p style='font-size:.85rem; opacity:.75'>{100 * right:.1f}% of {counts.sum():,} right: "
        "blue; mistakes: orange.</p>"
    )


def _worst(counts: np.ndarray, classes: tuple[str, ...]) -> str:
    wrong = counts * (1 - np.eye(len(classes), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_CLASSES_SHOWN]
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(classes[k])}</th><td>{html.escape(classes[j])}</td>"
        f"<td>{wrong[k, j]:,}</td></tr>"
        for k, j in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[k, j]
    )
    right = counts.trace() / max(1, counts.sum())
    head = "<tr><th scope='col'>true class</th><th scope='col'>taken for</th><th scope='col'>times</th></tr>"
    return (
        f"<div class='facette-scroll' tabindex='0'><table class='facette-confusion' "
        f"aria-label='Mistakes made most'>{head}{rows}</table></div>"
        f"<p style='font-size:.85rem; opacity:.75'>{100 * right:.1f}% of {counts.sum():,} right.</p>"
    )


# Keeping it


def _keep(session: PlaygroundSession, runs: Path) -> None:
    """Draw how to save the model into the runs, or to download it as it is while the training rests."""
    training = session.training
    if training is None or not training.is_alive or session.begun is None:
        return
    image_set, _ = session.begun
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Save as", run_name(image_set.source), key="run-name", width=220)
        folder = runs / name.strip()
        is_plain = bool(name.strip()) and folder.name == name.strip() and not name.strip().startswith(".")
        is_free = is_plain and not holds_run(folder)
        if st.button("Save", icon=":material/save:", disabled=not is_free or bool(session.saving), key="save"):
            session.saving = folder, training.ask(partial(keep_run, folder=folder))
            st.rerun()
        model = session.model_file()
        st.download_button(
            "Download",
            model or b"",
            file_name=f"{folder.name or 'model'}.h5",
            mime="application/x-hdf5",
            icon=":material/download:",
            on_click="ignore",
            disabled=model is None,
        )
    if not is_plain:
        st.caption("A plain name is needed, such as first.")
    elif not is_free and not session.saving and st.session_state.get("saved") != folder.name:
        st.caption(f"There is a run {markup.plain(folder.name)} already: give another name.")
    if saved := st.session_state.get("saved"):
        st.success(
            f"Saved in {markup.plain(str(runs / saved))}, and chosen in the side bar: see Classify.",
            icon=":material/check_circle:",
        )


def _take_up_saved(session: PlaygroundSession) -> None:
    """Once a model is saved, choose it in the side bar; or say why it is not."""
    if not session.saving or not session.saving[1].done():
        return
    (folder, future), session.saving = session.saving, None
    if future.cancelled():
        return
    if error := future.exception():
        st.error(markup.plain(str(error)), icon=":material/error:")
        return
    st.session_state["saved"] = folder.name
    sidebar.show(folder.name)
    st.rerun()
