"""The data: how many images of what, what is wrong with them, and a way to put labels right."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from pipeline.audit.audit import audit
from pipeline.audit.corrections import REMOVE, corrected_archive, corrected_manifest, image_folder
from pipeline.audit.label_issues import HELD_OUT, LabelIssue, duplicate_sets, top_losses
from pipeline.audit.report import AuditReport
from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset, is_dataset
from pipeline.data.splits import Split
from pipeline.errors import USER_ERRORS, InputError
from pipeline.evaluation.held_out import data_of
from pipeline.explanation.wording import shape
from pipeline.pages.widgets import markup, no_model
from pipeline.pages.widgets.sidebar import Chosen
from pipeline.text import count

DATA = Path("data")  # data sets in it can be looked at, too
CLASSES_SHOWN = 40
IMAGES_A_PAGE = 96
CARDS_A_PAGE = 12
SETS_A_PAGE = 6
OF_A_SET = 8
LARGEST_ARCHIVE = 20_000  # images
# Blue, orange, green, gray and purple of Okabe & Ito, one for each Split.
_COLORS = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (153, 153, 153), (204, 121, 167))
_BADGES = {"serious": "red", "warning": "orange", "note": "gray"}
# Words -> the splits among which mistakes are looked for.
_AMONG = {
    "held-out images": HELD_OUT,
    "training images": ("train",),
    "all images": ("train", *HELD_OUT),
}
Key = tuple[str, float]  # a data set file, and when it was written


def render(chosen: Chosen) -> None:
    """Draw the page."""
    sources = _sources(chosen)
    if not sources:
        if no_model.ready(chosen) is not None:
            _no_data()
        return
    st.title("Data")
    path = sources[_one_of("Data set", list(sources), "data") if len(sources) > 1 else next(iter(sources))]
    try:
        with Dataset.open(path) as dataset:
            _page(chosen, dataset, (str(path), path.stat().st_mtime))
    except USER_ERRORS as error:
        st.error(markup.plain(str(error)), icon=":material/error:")


def _sources(chosen: Chosen) -> dict[str, Path]:
    """Return the data sets there are, by what to call them: that of the model first."""
    own = data_of(chosen.run.model, chosen.classifier) if chosen.run and chosen.classifier else None
    sources = {f"of the model {chosen.run.name}": own} if chosen.run and own else {}
    try:
        others = sorted(path for path in DATA.glob("*.h5") if is_dataset(path))
    except OSError:
        others = []
    return sources | {str(path): path for path in others if own is None or path.resolve() != own.resolve()}


def _no_data() -> None:
    st.title("Data")
    st.info("The data set of this model is not there any more, or has changed since.", icon=":material/folder_off:")
    st.markdown("To look at other images here, make a data set of them in a terminal, then reload this page:")
    st.code("facette ingest YOUR_PHOTOS/ data/photos.h5", language="shell")


def _page(chosen: Chosen, dataset: Dataset, key: Key) -> None:
    st.markdown(
        f"{count(len(dataset), 'image')} of {shape(dataset.geometry)} in "
        f"{count(len(dataset.classes), 'class', 'classes')}."
    )
    views: dict[str, Callable[[Chosen, Dataset, Key], None]] = {
        "Classes and splits": _composition,
        "Images": _images,
        "Findings": _findings,
        "Look-alikes": _duplicate_sets,
        "Mistakes": _mistakes,
    }
    view = st.segmented_control(
        "View", list(views), default=next(iter(views)), required=True, key="view", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    views[view or next(iter(views))](chosen, dataset, key)
    _export(dataset, key)


# Classes and splits


def _composition(chosen: Chosen, dataset: Dataset, key: Key) -> None:
    """Draw how many images each class has in each split."""
    labelled = dataset.labels >= 0
    counts = np.zeros((len(dataset.classes), len(Split)), int)
    np.add.at(counts, (dataset.labels[labelled], dataset.split[labelled]), 1)
    totals, used = counts.sum(axis=1), [split for split in Split if (dataset.split == split).any()]
    order = np.argsort(-totals, kind="stable")
    shown = sorted(order[:CLASSES_SHOWN]) if len(order) > CLASSES_SHOWN else range(len(order))
    parts = [(s.label, _COLORS[s]) for s in used]
    st.subheader("Images of each class", anchor=False)
    st.html(markup.legend([(color, name) for name, color in parts]))
    st.html(
        markup.stacks(
            "Images of each class",
            [(dataset.classes[c], [int(counts[c, s]) for s in used]) for c in shown],
            [_COLORS[s] for s in used],
        )
    )
    if len(order) > CLASSES_SHOWN:
        rest = totals[order[CLASSES_SHOWN:]]
        st.caption(f"{len(rest):,} more classes, of {rest.max():,} images or fewer, are not drawn.")
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
    groups = len(np.unique(dataset.group[dataset.group >= 0]))
    together = int((dataset.group >= 0).sum())
    if groups:
        st.caption(f"{count(together, 'image')} belong to {count(groups, 'group')} (copies, or one person's).")
    if dataset.rejected:
        with st.expander(f"{count(len(dataset.rejected), 'file')} could not be read", icon=":material/broken_image:"):
            columns = ("file", "error", "what is wrong")
            st.dataframe(dict(zip(columns, zip(*dataset.rejected, strict=True), strict=True)), hide_index=True)


# Contact sheets


def _images(chosen: Chosen, dataset: Dataset, key: Key) -> None:
    """Draw the images of a class, a sheet at a time."""
    left, right = st.columns(2)
    name = left.selectbox("Class", ["all", *dataset.classes], key="class", bind="query-params")
    used = [Split(s).label for s in np.unique(dataset.split)]
    split = right.selectbox("Split", ["all", *used], key="split", bind="query-params")
    chosen_rows = np.ones(len(dataset), bool)
    if name != "all":
        chosen_rows &= dataset.labels == dataset.classes.index(name)
    if split != "all":
        chosen_rows &= dataset.split == Split.of(split)
    everything = np.flatnonzero(chosen_rows)
    st.caption(count(len(everything), "image"))
    rows = _a_page(everything, IMAGES_A_PAGE, f"sheet-{name}-{split}")
    tiles = [
        (markup.data_url(image), "" if name != "all" else _label(dataset, row), str(dataset.paths[row]))
        for row, image in zip(rows, dataset.take(rows), strict=True)
    ]
    st.html(markup.tiles(tiles, small=True))


# Findings


@st.cache_data(max_entries=4, show_spinner="Looking at all images, once")
def _report(path: str, written: float) -> AuditReport:
    return audit(path)


def _findings(chosen: Chosen, dataset: Dataset, key: Key) -> None:
    """Draw what the audit found, the most serious first."""
    findings = _report(*key).findings
    if not findings:
        st.success("Nothing wrong was found.", icon=":material/check_circle:")
    for finding in findings:
        with st.container(border=True):
            message = markup.plain(f"{finding.message[:1].upper()}{finding.message[1:]}.")
            st.markdown(f":{_BADGES[finding.severity]}-badge[{finding.severity}] {message}")
            st.html(markup.tiles([(markup.data_url(p), "", name) for name, p in finding.images], small=True))
            if finding.paths:
                with st.expander(f"Names of {count(len(finding.paths), 'file')}"):
                    st.dataframe({"file": finding.paths}, hide_index=True)
    st.caption("The same as text, a page or a contact sheet:")
    st.code(shlex.join(["facette", "inspect", _from_here(key[0]), "--html", "findings.html"]), language="shell")


# Labels to put right


@st.cache_data(max_entries=4, show_spinner="Comparing all images, once")
def _sets(path: str, written: float) -> list[np.ndarray]:
    with Dataset.open(path) as dataset:
        return duplicate_sets(dataset)


def _duplicate_sets(chosen: Chosen, dataset: Dataset, key: Key) -> None:
    """Draw sets of images that are the same or nearly, side by side."""
    sets = _sets(*key)
    if not sets:
        st.success("No two images are the same, or nearly.", icon=":material/check_circle:")
        return
    torn = sum(len({_label(dataset, row) for row in rows}) > 1 for rows in sets)
    st.markdown(
        f"{count(len(sets), 'set')} of images that are the same, or nearly"
        + (f"; **{count(torn, 'set')} with several labels**." if torn else ". Each set has one label.")
    )
    for rows in _a_page(sets, SETS_A_PAGE, "sets"):
        splits = sorted({int(dataset.split[row]) for row in rows})
        places = " and ".join(Split(s).label for s in splits)
        st.markdown(f"**{len(rows)} alike**, in {places}")
        _cards(dataset, [(row, Split(dataset.split[row]).label) for row in rows[:OF_A_SET]])
        if len(rows) > OF_A_SET:
            st.caption(f"and {len(rows) - OF_A_SET:,} more")


@st.cache_data(max_entries=8, show_spinner="Classifying the data set, once")
def _worst(
    path: str, written: float, model: str, model_written: float, splits: tuple[str, ...], _classifier: ImageClassifier
) -> list[LabelIssue]:
    with Dataset.open(path) as dataset:
        return top_losses(_classifier, dataset, splits)


def _mistakes(chosen: Chosen, dataset: Dataset, key: Key) -> None:
    """Draw the images that the model finds least likely to be what they are labelled."""
    if chosen.classifier is None or chosen.run is None:
        st.info("Choose a model in the side bar to see its mistakes.", icon=":material/model_training:")
        return
    among = _one_of("Among", list(_AMONG), "among")
    try:
        found = _worst(*key, str(chosen.run.model), chosen.run.modified, _AMONG[among], chosen.classifier)
    except InputError as error:
        st.info(markup.plain(str(error)), icon=":material/info:")
        return
    wrong = sum(suspect.prediction != suspect.label for suspect in found)
    if not found:
        st.info(f"There are no labelled {among}.")
        return
    st.markdown(
        "What the model finds least likely to be what it is labelled comes first: hard images, and wrong labels. "
        + ("None of them is a mistake of the model." if not wrong else f"{count(wrong, 'mistake')} of the model.")
    )
    cards = [
        (s.row, f"model: {s.prediction} ({markup.percentage(s.probability)})")
        for s in _a_page(found, CARDS_A_PAGE, f"mistakes-{among}")
    ]
    _cards(dataset, cards)


def _cards(dataset: Dataset, cards: Sequence[tuple[int, str]]) -> None:
    """Draw images, each with words and a choice of its right class."""
    rows = np.array([row for row, _ in cards])
    options = [*dataset.classes, REMOVE]
    with st.container(horizontal=True):
        for (row, words), image in zip(cards, dataset.take(rows), strict=True):
            label, key = _label(dataset, row), f"label-{dataset.fingerprint[:12]}-{row}"
            now = _corrections(dataset).get(int(row), label)
            with st.container(width=171, border=True, gap="xsmall"):
                st.html(markup.photo(markup.data_url(image), str(dataset.paths[row]), words))
                st.selectbox(
                    f"Label of {dataset.paths[row]}",
                    options,
                    index=options.index(now) if now in options else None,
                    placeholder="no label",
                    format_func=lambda name, label=label: _option(name, label),
                    key=key,
                    on_change=_correct,
                    args=(dataset.fingerprint, int(row), label, key),
                    label_visibility="collapsed",
                )


def _option(name: str, label: str) -> str:
    if name == REMOVE:
        return "remove"
    return name if name == label else f"→ {name}"


def _correct(fingerprint: str, row: int, label: str, key: str) -> None:
    """Take down a choice; one that is the label again is no correction."""
    corrections = st.session_state.setdefault("corrections", {}).setdefault(fingerprint, {})
    given = st.session_state[key]
    if given == label or given is None:
        corrections.pop(row, None)
    else:
        corrections[row] = given


def _corrections(dataset: Dataset) -> dict[int, str]:
    return st.session_state.get("corrections", {}).get(dataset.fingerprint, {})


def _export(dataset: Dataset, key: Key) -> None:
    """Offer the corrections as something that `facette train` reads."""
    corrections = _corrections(dataset)
    if not corrections:
        return
    st.subheader("Corrections", anchor=False)
    removed = sum(label == REMOVE for label in corrections.values())
    words = [count(n, what) for n, what in ((len(corrections) - removed, "new label"), (removed, "removal")) if n]
    st.markdown(f"{' and '.join(words)}. The data set itself stays as it is.")
    folder = image_folder(dataset)
    if folder is None and len(dataset) > LARGEST_ARCHIVE:
        st.warning("The images of this data set are not where it was made from, and too many to pack here.")
        return
    name = "manifest.csv" if folder else "corrected.zip"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            f"Download {name}",
            corrected_manifest(dataset, corrections, folder) if folder else partial(_archive, key[0], corrections),
            file_name=name,
            mime="text/csv" if folder else "application/zip",
            icon=":material/download:",
            type="primary",
            on_click="ignore",
        )
        st.button("Forget them", icon=":material/undo:", type="tertiary", on_click=_forget, args=(dataset.fingerprint,))
    st.caption(
        "All images of the data set, in their splits, with the labels put right. To train on it:"
        if folder
        else "The data set's own images with a manifest, since they are no files here. To train on it:"
    )
    st.code(f"facette train {name}", language="shell")


def _archive(path: str, corrections: dict[int, str]) -> bytes:
    with Dataset.open(path) as dataset:
        return corrected_archive(dataset, corrections)


def _forget(fingerprint: str) -> None:
    for row in st.session_state["corrections"].pop(fingerprint, {}):
        st.session_state.pop(f"label-{fingerprint[:12]}-{row}", None)


# Small things


def _from_here(path: str) -> str:
    """Return a path as a person in this folder writes it."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _label(dataset: Dataset, row: int) -> str:
    label = dataset.labels[row]
    return dataset.classes[label] if label >= 0 else ""


def _one_of(label: str, options: list[str], key: str) -> str:
    return str(st.selectbox(label, options, key=key, bind="query-params", width=420))


def _a_page(things: Any, size: int, key: str) -> Any:
    """Return one page of things; draw the choice of it where there are several."""
    n_pages = -(-len(things) // size)
    page = st.pagination(n_pages, key=key) if n_pages > 1 else 1
    return things[(page - 1) * size : page * size]
