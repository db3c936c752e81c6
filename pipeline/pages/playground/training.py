"""The Playground's run: its buttons, its progress, and saving its model."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from pipeline.evaluation.scores import most_confused
from pipeline.explanation.figures import filter_images
from pipeline.images.geometry import Geometry
from pipeline.pages.playground.session import PlaygroundSession
from pipeline.pages.widgets import markup, sidebar
from pipeline.pages.widgets.curves import curves
from pipeline.playground.images import ImageSet
from pipeline.playground.session import keep_run
from pipeline.text import count
from pipeline.training.background import BackgroundTraining, Snapshot
from pipeline.training.recipe import Recipe
from pipeline.training.run_folder import holds_run, run_folder

_UNITS_DRAWN = 24
_GO_WIDTH = 125  # pixels, enough for "Continue"
_LARGEST_CONFUSION_MATRIX = 12  # classes; for more, the most frequent confusions are listed
_CONFUSIONS_LISTED = 12


def draw_training(session: PlaygroundSession, runs: Path, recipe: Recipe | None, is_redrawn: bool) -> None:
    """Draw the run and its buttons: a fragment, so that the rest of the page is not redrawn.

    The page decides, when it is drawn, whether this fragment `is_redrawn` all the time. So the page is drawn again if
    the run is active and the fragment is not redrawn, or the other way round.
    """
    was_active = session.is_active
    _panel(session, runs, recipe)
    if not was_active == session.is_active == is_redrawn:
        st.rerun()


def _panel(session: PlaygroundSession, runs: Path, recipe: Recipe | None) -> None:
    _show_saved(session)
    _draw_buttons(session, recipe)
    training = session.training
    if session.is_stopping:
        st.caption("The previous run is stopping. If it is learning its first layer, it finishes that first.")
    if training is None:
        if session.image_set is None:
            st.caption("Choose images first.")
        elif recipe:
            st.caption("Nothing is trained yet. Press Start, or One epoch to train step by step.")
        return
    records = list(training.records)
    share = len(records) / training.epochs if training.epochs else 0.0
    st.progress(min(1.0, share), text=_status(session, training))
    if training.error:
        st.error(markup.plain(training.error), icon=":material/error:")
    if recipe and session.begun != (session.image_set, recipe):
        st.caption(
            "The images or settings have changed since this run started. Press Reset to train with the new ones."
        )
    curves(records)
    if training.snapshot and session.begun:
        _draw_snapshot(training.snapshot, session.begun[0])
    if records:
        _draw_saving(session, runs)


def _draw_buttons(session: PlaygroundSession, recipe: Recipe | None) -> None:
    """Draw the buttons: always the same four, in the same positions, whatever is pressed.

    They are callbacks, which a redraw of the page cannot lose. Each does what it says even if the page lags behind:
    only Reset ends a run.
    """
    training, is_active = session.training, session.is_active
    is_under_way = training is not None and training.is_alive and not training.is_over
    go: Callable[..., None] = training.go_on if training else partial(session.begin, recipe)
    can_go = is_under_way and not is_active if training else recipe is not None
    with st.container(horizontal=True, gap="xsmall"):
        for name, icon, is_possible, action, key, tooltip in (
            ("Continue" if is_under_way else "Start", "play_arrow", can_go, partial(go, math.inf), "go",
             "Train until the last epoch"),
            ("Pause", "pause", is_under_way and is_active, training.pause if training else None, "pause",
             "Stop after the current epoch; Continue resumes"),
            ("One epoch", "skip_next", can_go and not is_active, partial(go, 1), "step",
             "Train for one epoch, then pause"),
            ("Reset", "restart_alt", training is not None, session.reset, "reset",
             "End this run and discard its network"),
        ):  # fmt: skip
            st.button(
                name,
                icon=f":material/{icon}:",
                type="primary" if key == "go" else "secondary",
                disabled=not is_possible,
                key=key,
                on_click=action,
                help=tooltip,
                width=_GO_WIDTH if key == "go" else "content",
            )


def _status(session: PlaygroundSession, training: BackgroundTraining) -> str:
    done, total = len(training.records), training.epochs
    if training.position:
        return f"Waiting: {count(training.position, 'run is', 'runs are')} ahead of yours"
    if session.saving:
        return "Saving: evaluating the model and writing its report …"
    if training.is_over:
        return f"Done: {done} of {total} epochs" if done < total else f"Done: {total} epochs"
    if not training.is_alive:
        return "Ended"
    if not total:
        return "Preparing the images and the network …"
    if session.is_active:
        return f"Epoch {min(done + 1, total)} of {total} …"
    return f"Paused after epoch {done} of {total}"


def _draw_snapshot(snapshot: Snapshot, image_set: ImageSet) -> None:
    """Draw the first layer, and the confusion matrix of the validation images."""
    st.markdown(f"**First layer** after epoch {snapshot.epoch}: weights of its first units")
    st.html(_filter_tiles(snapshot, image_set.geometry))
    if snapshot.confusion is not None:
        st.markdown("**Validation images**: one row for each true class, one column for each predicted class")
        st.html(_confusion_table(snapshot.confusion, image_set.classes))


def _filter_tiles(snapshot: Snapshot, geometry: Geometry) -> str:
    W = snapshot.W[:_UNITS_DRAWN]
    images = np.rint(255 * filter_images(W, geometry.shape)).astype(np.uint8)
    return markup.tiles(
        [(markup.data_url(image), "", f"weights of unit {i}") for i, image in enumerate(images, start=1)], small=True
    )


def _confusion_table(counts: np.ndarray, classes: tuple[str, ...]) -> str:
    """Return a confusion matrix as an HTML table; for many classes, only the most frequent confusions."""
    if len(classes) > _LARGEST_CONFUSION_MATRIX:
        return _confusions_list(counts, classes)
    head = "".join(f"<th scope='col' title='{markup.quoted(c)}'>{markup.quoted(c)}</th>" for c in classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    blue, orange = (", ".join(map(str, color)) for color in (markup.BLUE, markup.ORANGE))
    rows, faint = "", "<span style='opacity:.35'>0</span>"
    for k, name in enumerate(classes):
        cells = "".join(
            f"<td style='background: rgba({blue if k == j else orange}, {0.75 * share:.2f})'>{n or faint}</td>"
            for j, (n, share) in enumerate(zip(counts[k], shares[k], strict=True))
        )
        rows += f"<tr><th scope='row' title='{markup.quoted(name)}'>{markup.quoted(name)}</th>{cells}</tr>"
    accuracy = counts.trace() / max(1, counts.sum())
    return (
        f"<div class='facette-scroll' tabindex='0'><table class='facette-confusion' "
        f"aria-label='Confusion matrix: one row for each true class, one column for each predicted class'>"
        f"<tr><td></td>{head}</tr>{rows}</table></div>"
        f"<p style='font-size:.85rem; opacity:.75'>{100 * accuracy:.1f}% of {counts.sum():,} correct "
        "(blue); errors in orange.</p>"
    )


def _confusions_list(counts: np.ndarray, classes: tuple[str, ...]) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{markup.quoted(truth)}</th><td>{markup.quoted(prediction)}</td><td>{n:,}</td></tr>"
        for truth, prediction, n in most_confused(counts, classes, _CONFUSIONS_LISTED)
    )
    accuracy = counts.trace() / max(1, counts.sum())
    head = "<tr><th scope='col'>true class</th><th scope='col'>misclassified as</th><th scope='col'>images</th></tr>"
    return (
        f"<div class='facette-scroll' tabindex='0'><table class='facette-confusion' "
        f"aria-label='Most frequent confusions'>{head}{rows}</table></div>"
        f"<p style='font-size:.85rem; opacity:.75'>{100 * accuracy:.1f}% of {counts.sum():,} correct.</p>"
    )


def _draw_saving(session: PlaygroundSession, runs: Path) -> None:
    """Draw the ways to keep the model: save it among the runs, or download it while the run is paused."""
    training = session.training
    if training is None or not training.is_alive or session.begun is None:
        return
    session.save_as = session.save_as or run_folder(runs, None, session.begun[0].source).name
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _draw_save_form(session, runs)
        model = session.model_file()
        st.download_button(
            "Download",
            model or b"",
            file_name=f"{session.save_as}.h5",
            mime="application/x-hdf5",
            icon=":material/download:",
            on_click="ignore",
            disabled=model is None,
            help="Download model.h5 as it is now; possible while the run is paused",
        )
    if session.save_problem:
        st.error(markup.plain(session.save_problem), icon=":material/error:")
    elif session.saved_as:
        st.success(
            f"Saved in {markup.plain(str(runs / session.saved_as))} and selected in the sidebar. "
            "The page Classify uses it.",
            icon=":material/check_circle:",
        )


def _draw_save_form(session: PlaygroundSession, runs: Path) -> None:
    """Draw the name and Save as a form: the browser keeps what is typed in a form, whatever is redrawn meanwhile."""
    with st.form("saving", border=False, width="content"), st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Save as", session.save_as, key="run-name", width=220).strip()
        is_pressed = st.form_submit_button(
            "Save",
            icon=":material/save:",
            disabled=bool(session.saving),
            key="save",
            help=f"Evaluate the model and store it with its report among the runs in {runs}",
        )
    if is_pressed and session.training:
        session.saved_as, session.save_problem = "", _problem_with_name(name, runs)
        if not session.save_problem:
            session.saving = runs / name, session.training.ask(partial(keep_run, folder=runs / name))
        st.rerun()


def _problem_with_name(name: str, runs: Path) -> str:
    """Tell why a run cannot be saved under this name; return "" if it can be."""
    if not name or Path(name).name != name or name.startswith("."):
        return "Give a plain name for the run, such as first."
    if holds_run(runs / name):
        return f"The run {name} exists already; give another name."
    return ""


def _show_saved(session: PlaygroundSession) -> None:
    """Once a model is saved, select it in the sidebar; if saving failed, note why."""
    if not session.saving or not session.saving[1].done():
        return
    (folder, future), session.saving = session.saving, None
    if future.cancelled():
        return
    if error := future.exception():
        session.save_problem = str(error)
        return
    session.saved_as = folder.name
    sidebar.show(folder.name)
    st.rerun()
