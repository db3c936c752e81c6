"""A data set: its classes and splits, its images, what is wrong with them, and a way to correct labels."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from pipeline.audit.audit import audit
from pipeline.audit.label_issues import HELD_OUT, LabelIssue, duplicate_sets, top_losses
from pipeline.audit.report import AuditReport
from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset, is_dataset
from pipeline.data.splits import Split
from pipeline.errors import USER_ERRORS, InputError
from pipeline.evaluation.held_out import data_of
from pipeline.explanation.wording import describe_geometry
from pipeline.invocation import command_line
from pipeline.pages.data.corrections import draw_cards, draw_export, label_name
from pipeline.pages.widgets import markup, no_model
from pipeline.pages.widgets.sidebar import DATA_FOLDER, Chosen
from pipeline.text import count

CLASSES_SHOWN = 40
IMAGES_A_PAGE = 96
CARDS_A_PAGE = 12
SETS_A_PAGE = 6
CARDS_A_SET = 8
_SPLIT_COLORS = (markup.BLUE, markup.ORANGE, markup.GREEN, markup.GRAY, markup.PURPLE)  # one for each Split
_BADGES = {"serious": "red", "warning": "orange", "note": "gray"}
# What is searched for label issues -> its splits.
_SEARCHED = {
    "held-out images": HELD_OUT,
    "training images": ("train",),
    "all images": ("train", *HELD_OUT),
}
_HOW_TO_CORRECT = "To correct a label, choose another class below the image."
Key = tuple[str, float]  # a data set file, and when it was written


def render(chosen: Chosen) -> None:
    """Draw the page."""
    sources = _sources(chosen)
    if not sources:
        if no_model.ready(chosen) is not None:
            _draw_no_data()
        return
    st.title("Data")
    path = sources[_select("Data set", list(sources), "data") if len(sources) > 1 else next(iter(sources))]
    try:
        with Dataset.open(path) as dataset:
            _draw_dataset(chosen, dataset, (str(path), path.stat().st_mtime))
    except USER_ERRORS as error:
        st.error(markup.plain(str(error)), icon=":material/error:")


def _sources(chosen: Chosen) -> dict[str, Path]:
    """Return the data sets to choose from, by what to call them: first that of the model."""
    own = data_of(chosen.run.model, chosen.classifier) if chosen.run and chosen.classifier else None
    sources = {f"data set of the model {chosen.run.name}": own} if chosen.run and own else {}
    try:
        others = sorted(path for path in DATA_FOLDER.glob("*.h5") if is_dataset(path))
    except OSError:
        others = []
    return sources | {str(path): path for path in others if own is None or path.resolve() != own.resolve()}


def _draw_no_data() -> None:
    st.title("Data")
    st.info(
        "The data set of this model is no longer available, or it has changed since the run.",
        icon=":material/folder_off:",
    )
    st.markdown("To look at other images here, turn them into a data set in a terminal, then reload this page:")
    st.code(command_line("ingest", "YOUR_PHOTOS/", f"{DATA_FOLDER}/photos.h5"), language="shell")


def _draw_dataset(chosen: Chosen, dataset: Dataset, key: Key) -> None:
    st.markdown(
        f"{count(len(dataset), 'image')} ({describe_geometry(dataset.geometry)}) in "
        f"{count(len(dataset.classes), 'class', 'classes')}."
    )
    views: dict[str, Callable[[Chosen, Dataset, Key], None]] = {
        "Classes and splits": _draw_composition,
        "Images": _draw_contact_sheet,
        "Findings": _draw_findings,
        "Duplicates": _draw_duplicates,
        "Label issues": _draw_label_issues,
    }
    view = st.segmented_control(
        "View", list(views), default=next(iter(views)), required=True, key="view", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    views[view or next(iter(views))](chosen, dataset, key)
    draw_export(dataset, key[0])


def _draw_composition(chosen: Chosen, dataset: Dataset, key: Key) -> None:
    """Draw how many images each class has in each split."""
    labelled = dataset.labels >= 0
    counts = np.zeros((len(dataset.classes), len(Split)), int)
    np.add.at(counts, (dataset.labels[labelled], dataset.split[labelled]), 1)
    totals, used = counts.sum(axis=1), [split for split in Split if (dataset.split == split).any()]
    order = np.argsort(-totals, kind="stable")
    shown = sorted(order[:CLASSES_SHOWN]) if len(order) > CLASSES_SHOWN else range(len(order))
    st.subheader("Images per class", anchor=False)
    st.html(markup.legend([(_SPLIT_COLORS[s], s.label) for s in used]))
    st.html(
        markup.stacks(
            "Images per class",
            [(dataset.classes[c], [int(counts[c, s]) for s in used]) for c in shown],
            [_SPLIT_COLORS[s] for s in used],
        )
    )
    if len(order) > CLASSES_SHOWN:
        rest = totals[order[CLASSES_SHOWN:]]
        st.caption(f"{len(rest):,} more classes, with at most {count(int(rest.max()), 'image')} each, are not shown.")
    st.subheader("Splits", anchor=False)
    sizes = np.bincount(dataset.split, minlength=len(Split))
    st.table(
        {
            "split": [s.label for s in used],
            "images": [f"{sizes[s]:,}" for s in used],
            "share": [f"{100 * sizes[s] / len(dataset):.1f}%" for s in used],
            "classes": [f"{np.count_nonzero(counts[:, s]):,}" for s in used],
        },
        border="horizontal",
        hide_index=True,
    )
    n_groups = len(np.unique(dataset.group[dataset.group >= 0]))
    n_grouped = int((dataset.group >= 0).sum())
    if n_groups:
        st.caption(
            f"{count(n_grouped, 'image')} are in {count(n_groups, 'group')}: duplicates, or images that --group-by "
            "puts together, such as those of one person."
        )
    if dataset.rejected:
        with st.expander(f"{count(len(dataset.rejected), 'file')} could not be read", icon=":material/broken_image:"):
            columns = ("file", "error", "message")
            st.dataframe(dict(zip(columns, zip(*dataset.rejected, strict=True), strict=True)), hide_index=True)


def _draw_contact_sheet(chosen: Chosen, dataset: Dataset, key: Key) -> None:
    """Draw the images of a class and a split, a page at a time."""
    left, right = st.columns(2)
    name = left.selectbox("Class", ["all", *dataset.classes], key="class", bind="query-params")
    used = [Split(s).label for s in np.unique(dataset.split)]
    split = right.selectbox("Split", ["all", *used], key="split", bind="query-params")
    is_chosen = np.ones(len(dataset), bool)
    if name != "all":
        is_chosen &= dataset.labels == dataset.classes.index(name)
    if split != "all":
        is_chosen &= dataset.split == Split.of(split)
    all_rows = np.flatnonzero(is_chosen)
    st.caption(count(len(all_rows), "image"))
    rows = _paginate(all_rows, IMAGES_A_PAGE, f"sheet-{name}-{split}")
    tiles = [
        (markup.data_url(image), "" if name != "all" else label_name(dataset, row), str(dataset.paths[row]))
        for row, image in zip(rows, dataset.take(rows), strict=True)
    ]
    st.html(markup.tiles(tiles, small=True))


@st.cache_data(max_entries=4, show_spinner="Checking all images; this happens only once")
def _audit_report(path: str, written: float) -> AuditReport:
    return audit(path)


def _draw_findings(chosen: Chosen, dataset: Dataset, key: Key) -> None:
    """Draw what the audit found, the most serious first."""
    findings = _audit_report(*key).findings
    if not findings:
        st.success("No problems found.", icon=":material/check_circle:")
    for finding in findings:
        with st.container(border=True):
            message = markup.plain(f"{finding.message[:1].upper()}{finding.message[1:]}.")
            st.markdown(f":{_BADGES[finding.severity]}-badge[{finding.severity}] {message}")
            st.html(markup.tiles([(markup.data_url(p), "", name) for name, p in finding.images], small=True))
            if finding.paths:
                with st.expander(f"Names of {count(len(finding.paths), 'file')}"):
                    st.dataframe({"file": finding.paths}, hide_index=True)
    st.caption("To write these findings to an HTML page, in a terminal:")
    st.code(shlex.join(["facette", "inspect", _relative(key[0]), "--html", "findings.html"]), language="shell")


@st.cache_data(max_entries=4, show_spinner="Comparing all images; this happens only once")
def _duplicate_sets(path: str, written: float) -> list[np.ndarray]:
    with Dataset.open(path) as dataset:
        return duplicate_sets(dataset)


def _draw_duplicates(chosen: Chosen, dataset: Dataset, key: Key) -> None:
    """Draw sets of exact and near duplicates, side by side."""
    sets = _duplicate_sets(*key)
    if not sets:
        st.success("No exact or near duplicates found.", icon=":material/check_circle:")
        return
    n_conflicting = sum(len({label_name(dataset, row) for row in rows}) > 1 for rows in sets)
    st.markdown(
        f"{count(len(sets), 'set')} of exact or near duplicates"
        + (
            f"; **{count(n_conflicting, 'set')} with conflicting labels**."
            if n_conflicting
            else ". Within each set, all labels agree."
        )
        + f" {_HOW_TO_CORRECT}"
    )
    for rows in _paginate(sets, SETS_A_PAGE, "sets"):
        splits = " and ".join(Split(s).label for s in sorted({int(dataset.split[row]) for row in rows}))
        st.markdown(f"**{len(rows)} duplicates** in {splits}")
        draw_cards(dataset, [(row, Split(dataset.split[row]).label) for row in rows[:CARDS_A_SET]])
        if len(rows) > CARDS_A_SET:
            st.caption(f"and {len(rows) - CARDS_A_SET:,} more")


@st.cache_data(max_entries=8, show_spinner="Classifying the data set; this happens only once")
def _find_label_issues(
    path: str, written: float, model: str, model_written: float, splits: tuple[str, ...], _classifier: ImageClassifier
) -> list[LabelIssue]:
    with Dataset.open(path) as dataset:
        return top_losses(_classifier, dataset, splits)


def _draw_label_issues(chosen: Chosen, dataset: Dataset, key: Key) -> None:
    """Draw the images whose labels the model finds least probable."""
    if chosen.classifier is None or chosen.run is None:
        st.info("Choose a model in the sidebar to search its data for label issues.", icon=":material/model_training:")
        return
    searched = _select("Search in", list(_SEARCHED), "search")
    try:
        issues = _find_label_issues(
            *key, str(chosen.run.model), chosen.run.modified, _SEARCHED[searched], chosen.classifier
        )
    except InputError as error:
        st.info(markup.plain(str(error)), icon=":material/info:")
        return
    if not issues:
        st.info(f"There are no labelled {searched}.")
        return
    n_misclassified = sum(issue.prediction != issue.label for issue in issues)
    st.markdown(
        "Images whose label the model finds least probable come first: they are hard, or their label is wrong. "
        f"The model misclassifies {n_misclassified:,} of these {count(len(issues), 'image')}. " + _HOW_TO_CORRECT
    )
    cards = [
        (issue.row, f"predicted: {issue.prediction} ({markup.percentage(issue.probability)})")
        for issue in _paginate(issues, CARDS_A_PAGE, f"issues-{searched}")
    ]
    draw_cards(dataset, cards)


def _relative(path: str) -> str:
    """Return a path relative to the current folder, if it lies below it."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _select(label: str, options: list[str], key: str) -> str:
    return str(st.selectbox(label, options, key=key, bind="query-params", width=420))


def _paginate(items: Any, size: int, key: str) -> Any:
    """Return one page of items; draw the choice of the page if there are several."""
    n_pages = -(-len(items) // size)
    page = st.pagination(n_pages, key=key) if n_pages > 1 else 1
    return items[(page - 1) * size : page * size]
