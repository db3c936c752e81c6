"""Train a network in the browser: choose images and settings, start, watch, pause, save."""

from __future__ import annotations

import streamlit as st

from model.errors import ConfigError
from pipeline.errors import USER_ERRORS
from pipeline.pages.playground import images, settings, training
from pipeline.pages.playground.session import PlaygroundSession
from pipeline.pages.widgets import markup, shapes
from pipeline.pages.widgets.sidebar import Chosen
from pipeline.playground.export import export_command, export_python
from pipeline.playground.images import ImageSet
from pipeline.playground.plan import Plan, make_plan
from pipeline.settings import all_settings, explain_error, read_settings
from pipeline.sources.builtin import BUILTIN_SETS
from pipeline.training.recipe import Recipe

_REDRAW_TRAINING_EVERY = 0.7  # seconds


def render(chosen: Chosen) -> None:
    """Draw the page."""
    if "playground" not in st.session_state:
        st.session_state["playground"] = PlaygroundSession()
    session = _watched(st.session_state["playground"])
    st.title("Playground")
    st.markdown("Choose images and settings, press Start, and watch a network learn.")
    data_settings = images.draw_images(session, chosen)
    left, right = st.columns([2, 3], gap="large")
    with left:
        texts, error_boxes = settings.draw_settings()
    texts |= data_settings
    recipe, problems = read_settings(texts)
    plan: Plan | None = None
    if session.image_set and not problems:
        try:
            plan = make_plan(recipe, session.image_set)
        except ConfigError as error:
            name, problem = explain_error(error)
            problems = {name: problem}
        except USER_ERRORS as error:
            problems = {"": str(error)}
    for name, problem in problems.items():
        error_boxes.get(name, right).error(markup.plain(problem), icon=":material/error:")
    with right:
        st.subheader("Training", anchor=False)
        is_active = session.is_active
        draw = st.fragment(training.draw_training, run_every=_REDRAW_TRAINING_EVERY if is_active else None)
        draw(session, chosen.runs, recipe if plan else None, is_active)
        if named := [all_settings()[name].label for name in problems if name]:
            st.caption(f"Fix first: {', '.join(named)}.")
        if plan and session.image_set:
            st.subheader("Shapes", anchor=False)
            shapes.draw_shapes(plan.layers, session.image_set.geometry)
            st.caption(settings.describe_auto(plan, texts))
            _draw_commands(session, session.image_set, recipe, texts)


@st.cache_resource(
    scope="session",
    show_spinner=False,
    hash_funcs={PlaygroundSession: id},
    on_release=lambda session: session.watch(False),
)
def _watched(session: PlaygroundSession) -> PlaygroundSession:
    """Return the session, and have Streamlit tell it when the visitor has left."""
    session.watch(True)
    return session


def _draw_commands(session: PlaygroundSession, image_set: ImageSet, recipe: Recipe, texts: dict[str, str]) -> None:
    """Draw the command and the Python program that train the same network."""
    st.subheader("The same run without the browser", anchor=False)
    shell, python = st.tabs(["Command", "Python"])
    shell.code(export_command(image_set.source, texts), language="shell", wrap_lines=True)
    python.code(
        export_python(image_set.source, recipe, None if session.is_set else session.data),
        language="python",
        wrap_lines=True,
    )
    note = "This trains the same network: same images, same settings, same seed."
    if not session.is_set and image_set.source not in BUILTIN_SETS:
        note += f" Replace {markup.plain(image_set.source)} by the path of your images."
    st.caption(note)
