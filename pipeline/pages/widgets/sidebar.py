"""Which model is looked at: the side bar's choice of a run, shared by all pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pipeline.classifier import ImageClassifier, model_path
from pipeline.errors import USER_ERRORS
from pipeline.explanation.wording import shape
from pipeline.pages.widgets import markup
from pipeline.training.runs import RunSummary, list_runs, summarize

KEY = "model"  # in the session and in the address: ?model=first
_NEXT = "model-next"


@dataclass(frozen=True)
class Chosen:
    """The model chosen; without a classifier there is none yet, or there is a `problem` with it."""

    runs: Path
    run: RunSummary | None = None
    classifier: ImageClassifier | None = None
    problem: str = ""


@st.cache_resource(max_entries=4, show_spinner="Reading the model")
def load_classifier(path: str, written: float) -> ImageClassifier:
    """Return the model of a file, read once for each time it is `written`."""
    return ImageClassifier.load(path)


def choose(runs: str | Path, given: str | Path | None = None) -> Chosen:
    """Draw the choice of a run in the side bar, newest first (`given`, a model or a run folder, before all)."""
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
    _follow(options)
    name = st.sidebar.selectbox(
        "Model", list(options), key=KEY, bind="query-params", help=f"The runs in {runs}, newest first"
    )
    run, place = options[name], st.sidebar.empty()
    if len(options) > 1:
        _compare(list(options.values()))
    if problem:
        st.sidebar.warning(problem)
    try:
        classifier = load_classifier(str(run.model), run.modified)
    except USER_ERRORS as error:
        return Chosen(runs, run, problem=str(error))
    place.caption(figures(run, classifier))
    return Chosen(runs, run, classifier)


def show(name: str) -> None:
    """Have the run of this name chosen when the page is drawn next."""
    st.session_state[_NEXT] = name


def _follow(options: dict[str, RunSummary]) -> None:
    """Take up what `show` asked for; say so where the run chosen, or that of the address, is not there any more."""
    wanted = st.session_state.pop(_NEXT, None)
    if wanted in options:
        st.session_state[KEY] = wanted
    asked = st.session_state.get(KEY) or st.query_params.get(KEY)
    if asked and asked not in options:
        st.session_state[KEY] = next(iter(options))  # said outright, or the browser goes on showing the old name
        st.warning(markup.plain(f"There is no run {asked} any more; this is {st.session_state[KEY]}."))


def _compare(runs: list[RunSummary]) -> None:
    """Draw a table of all runs, behind a line that opens it."""
    rows = [
        (run.name, f"{100 * run.accuracy:.1f}% of {run.m:,} {run.evaluated_on}" if run.m else "not measured")
        for run in runs
    ]
    with st.sidebar.expander(f"All {len(runs)} runs"):
        st.html(markup.html_table("All runs, in the order of the list", ("run", "images right"), rows))


def figures(run: RunSummary, classifier: ImageClassifier) -> str:
    """Return a run's main figures as a few short lines."""
    lines = [f"{len(classifier.classes)} classes · {shape(classifier.geometry)}"]
    if run.m:
        right = round(run.accuracy * run.m)
        lines.append(f"{right:,} of {run.m:,} {run.evaluated_on} images right ({100 * run.accuracy:.1f}%)")
        lines += [f"{name.capitalize()}: {100 * accuracy:.1f}%" for name, accuracy in run.baselines]
    return "  \n".join(lines)
