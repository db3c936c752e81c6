"""The choice of a run in the sidebar, shared by all pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pipeline.classifier import ImageClassifier, model_path
from pipeline.errors import USER_ERRORS
from pipeline.explanation.wording import describe_geometry
from pipeline.pages.widgets import markup
from pipeline.training.runs import RunSummary, list_runs, summarize

DATA_FOLDER = Path("data")  # its data sets can be looked at, its images trained on
KEY = "model"  # in the session and in the address: ?model=first
_NEXT_KEY = "next-model"


@dataclass(frozen=True)
class Chosen:
    """The chosen run and its model. Without a classifier there is no model yet, or it has a `problem`."""

    runs: Path
    run: RunSummary | None = None
    classifier: ImageClassifier | None = None
    problem: str = ""


@st.cache_resource(max_entries=4, show_spinner="Reading the model")
def load_classifier(path: str, written: float) -> ImageClassifier:
    """Return the model in a file, read once for each time it is `written`."""
    return ImageClassifier.load(path)


def choose(runs: str | Path, given: str | Path | None = None) -> Chosen:
    """Draw the choice of a run in the sidebar, the newest first; a `given` model or run folder comes before all."""
    runs, options = Path(runs), {run.name: run for run in list_runs(runs)}
    problem = ""
    if given:
        model = model_path(given)
        first = summarize(model)
        if first is None:
            problem = f"{model}: there is no such model"
        else:
            options = {first.name: first} | {name: run for name, run in options.items() if name != first.name}
    if not options:
        st.sidebar.caption("No model yet")
        return Chosen(runs, problem=problem)
    _apply_requested(options)
    name = st.sidebar.selectbox(
        "Model",
        list(options),
        key=KEY,
        bind="query-params",
        help=f"The runs in the folder {markup.plain(str(runs))}, newest first",
    )
    run, caption = options[name], st.sidebar.empty()
    if len(options) > 1:
        _draw_runs(list(options.values()))
    if problem:
        st.sidebar.warning(markup.plain(problem))
    try:
        classifier = load_classifier(str(run.model), run.modified)
    except USER_ERRORS as error:
        return Chosen(runs, run, problem=str(error))
    caption.caption(describe_run(run, classifier))
    return Chosen(runs, run, classifier)


def show(name: str) -> None:
    """Select the run of this name when the page is drawn next."""
    st.session_state[_NEXT_KEY] = name


def _apply_requested(options: dict[str, RunSummary]) -> None:
    """Select the run that `show` asked for; warn if the selected run, or that of the address, no longer exists."""
    wanted = st.session_state.pop(_NEXT_KEY, None)
    if wanted in options:
        st.session_state[KEY] = wanted
    asked = st.session_state.get(KEY) or st.query_params.get(KEY)
    if asked and asked not in options:
        st.session_state[KEY] = next(iter(options))  # set explicitly: otherwise the browser keeps showing the old name
        st.warning(markup.plain(f"The run {asked} no longer exists; {st.session_state[KEY]} is shown instead."))


def _draw_runs(runs: list[RunSummary]) -> None:
    """Draw a table of all runs, in an expander."""
    rows = [
        (run.name, f"{100 * run.accuracy:.1f}% of {run.m:,} {run.evaluated_on}" if run.m else "not evaluated")
        for run in runs
    ]
    with st.sidebar.expander(f"All {len(runs)} runs"):
        st.html(markup.html_table("All runs, in the order of the list", ("run", "accuracy"), rows))


def describe_run(run: RunSummary, classifier: ImageClassifier) -> str:
    """Return the main figures of a run as a few short lines."""
    lines = [f"{len(classifier.classes)} classes · {describe_geometry(classifier.geometry)}"]
    if run.m:
        n_correct, evaluated_on = round(run.accuracy * run.m), markup.plain(run.evaluated_on.capitalize())
        lines.append(f"{evaluated_on} accuracy: {100 * run.accuracy:.1f}% ({n_correct:,} of {run.m:,} images)")
        lines += [f"Baseline, {markup.plain(name)}: {100 * accuracy:.1f}%" for name, accuracy in run.baselines]
    return "  \n".join(lines)
