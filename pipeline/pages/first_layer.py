"""The first layer: what each of its units looks for, as an image, and in numbers."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from model.activations import ACTIVATIONS
from model.edges.scores import ORIENTATION_BINS, FilterScores, orientation_bins, score_filters
from model.network import linear_forward
from pipeline.classifier import ImageClassifier
from pipeline.data.dataset import Dataset
from pipeline.errors import USER_ERRORS
from pipeline.evaluation.held_out import data_of
from pipeline.explanation.figures import draw_filters, filter_images
from pipeline.explanation.layers import control_shares
from pipeline.pages.widgets import markup, no_model
from pipeline.pages.widgets.sidebar import Chosen

UNITS_A_PAGE = 60
IMAGES_LOOKED_AT = 2_000
_EXCITING = 6

# Words -> the key that sorts units, ascending.
ORDERS: dict[str, Callable[[FilterScores, NDArray[np.floating]], np.ndarray]] = {
    "edges first": lambda scores, W: np.argsort(scores.order, kind="stable"),
    "unit number": lambda scores, W: np.arange(len(W)),
    "edge score": lambda scores, W: -scores.r2,
    "orientation": lambda scores, W: scores.orientation,
    "frequency": lambda scores, W: scores.frequency,
    "strength": lambda scores, W: -np.linalg.norm(W, axis=1),
}
# Words -> which units.
UNIT_KINDS: dict[str, Callable[[FilterScores], np.ndarray]] = {
    "all units": lambda scores: np.ones(len(scores.r2), bool),
    "edge detectors": lambda scores: scores.edge,
    "other units": lambda scores: ~scores.edge,
}


def render(chosen: Chosen) -> None:
    """Draw the page."""
    classifier = no_model.ready(chosen)
    if classifier is None or chosen.run is None:
        return
    st.title("First layer")
    layer = classifier.parameters[1]
    if classifier.parameters.L == 1:
        st.markdown("This network has no hidden layer: each image below is what speaks for a class, or against it.")
    else:
        st.markdown(
            f"Each of the {len(layer.W)} units multiplies an image, pixel by pixel, with its weights. They "
            "are drawn as images here: a unit answers to what is **light where its weights are light and dark where "
            "they are dark**."
        )
    if not np.isfinite(layer.W).all():
        st.error("The weights hold numbers that are not finite. Train the model again, with a lower learning rate.")
        return
    scores = _scores(str(chosen.run.model), chosen.run.modified, classifier)
    grid, unit = st.columns([3, 2], gap="large")
    with grid:
        _grid(chosen, classifier, scores)
    with unit:
        _unit(chosen, classifier, scores)
    if classifier.parameters.L > 1:
        with grid:
            _controls(chosen, classifier, scores)


@st.cache_data(max_entries=8, show_spinner="Measuring the units, some seconds, once for each model")
def _scores(model: str, written: float, _classifier: ImageClassifier) -> FilterScores:
    """Return the scores of the units, measured once for each time the model is `written`."""
    return score_filters(_classifier.parameters[1].W, _classifier.geometry.shape)


def _grid(chosen: Chosen, classifier: ImageClassifier, scores: FilterScores) -> None:
    """Draw the units asked for, a page at a time."""
    W, shape = classifier.parameters[1].W, classifier.geometry.shape
    st.subheader(scores.summary(), anchor=False)
    left, right = st.columns(2)
    kind = left.selectbox("Show", list(UNIT_KINDS), key="show", bind="query-params")
    order = right.selectbox("Sort by", list(ORDERS), key="sort", bind="query-params")
    units = np.flatnonzero(UNIT_KINDS[kind](scores))
    units = units[np.argsort(ORDERS[order](scores, W)[units], kind="stable")]
    if not len(units):
        st.info(f"This layer has no {kind}.")
        return
    n_pages = -(-len(units) // UNITS_A_PAGE)
    page = st.pagination(n_pages, key="page") if n_pages > 1 else 1
    on_page = units[(page - 1) * UNITS_A_PAGE : page * UNITS_A_PAGE]
    images = np.rint(255 * filter_images(W[on_page], shape)).astype(np.uint8)
    st.html(
        markup.tiles(
            [
                (markup.data_url(image), caption(scores, i), f"weights of unit {i + 1}: {unit_text(scores, i)}")
                for i, image in zip(on_page, images, strict=True)
            ]
        )
    )
    st.caption(
        "Each on its own scale: mid-gray is a weight of 0. With an edge detector: its direction, its stripes in cycles "
        "a pixel, and how much of it one edge explains."
    )
    st.download_button(
        "Download as PNG",
        lambda: _png(chosen, classifier),
        file_name="filters.png",
        mime="image/png",
        icon=":material/download:",
        on_click="ignore",
    )


def _png(chosen: Chosen, classifier: ImageClassifier) -> bytes:
    """Return the image that `facette filters` draws."""
    name = chosen.run.name if chosen.run else "the model"
    W = classifier.parameters[1].W
    figure = draw_filters(W, classifier.geometry.shape, title=f"First layer of {name}", max_units=len(W))
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


@st.cache_data(max_entries=8, show_spinner="Comparing with layers that cannot have learnt edges")
def _control_shares(model: str, written: float, _classifier: ImageClassifier) -> dict[str, float]:
    return control_shares(_classifier)


def _controls(chosen: Chosen, classifier: ImageClassifier, scores: FilterScores) -> None:
    """Draw the share of edge detectors beside that of layers that should have none."""
    assert chosen.run is not None
    try:
        shares = _control_shares(str(chosen.run.model), chosen.run.modified, classifier)
    except (*USER_ERRORS, ValueError):  # images too small to learn from
        return
    rows = [("this layer", float(scores.edge.mean())), *shares.items()]
    st.subheader("Is it more than chance?", anchor=False)
    st.html(markup.bars(rows, "Share of edge detectors", lambda share: f"{100 * share:.0f}%"))
    st.caption(
        "Share of edge detectors by the same measure: here, in layers made by the same method from images without "
        "edges, and in pieces of photographs as they are."
    )


def caption(scores: FilterScores, i: int) -> str:
    """Return a unit's number, and for an edge detector its direction, its frequency and its score."""
    if not scores.edge[i]:
        return f"{i + 1}"
    degrees = round(np.degrees(scores.orientation[i])) % 180
    return f"{i + 1}: {degrees}°\n{scores.frequency[i]:.2f}, {100 * scores.r2[i]:.0f}%"


def unit_text(scores: FilterScores, i: int) -> str:
    """Say what a unit looks for, in a few words."""
    if not scores.edge[i]:
        return "no edge detector"
    degrees = round(np.degrees(scores.orientation[i])) % 180
    return f"an edge at {degrees}°"


def _unit(chosen: Chosen, classifier: ImageClassifier, scores: FilterScores) -> None:
    """Draw one unit: its weights, its measures, what excites it, how it answers to the image chosen."""
    W, shape = classifier.parameters[1].W, classifier.geometry.shape
    number = st.number_input("Look at unit", 1, len(W), 1 + int(scores.order[0]), key="unit", bind="query-params")
    i = int(number) - 1
    image = np.rint(255 * filter_images(W[i : i + 1], shape)[0]).astype(np.uint8)
    st.image(markup.enlarged(image), width=190, alt=f"weights of unit {number}: {unit_text(scores, i)}")
    st.markdown(f"**Unit {number}: {unit_text(scores, i)}**")
    st.markdown(
        f"One edge explains {100 * scores.r2[i]:.0f}% of it.  \n"
        f"90% of its energy lies in {100 * scores.area90[i]:.0f}% of its area.  \n"
        f"Selectivity for direction: {scores.selectivity[i]:.2f}."
        + (f"  \nIts stripes: {scores.frequency[i]:.2f} cycles a pixel." if scores.edge[i] else ""),
        help="An edge detector is explained by one Gabor function to at least 50%, holds 90% of its energy in at most "
        "30% of its area, and has a selectivity of at least 0.3.",
    )
    _answer(classifier, i)
    _exciting(chosen, classifier, i)
    _orientations(scores)


def _answer(classifier: ImageClassifier, i: int) -> None:
    """Say how the unit answers to the image looked at last on the Classify page."""
    name, network_image = st.session_state.get("image", ("", None))
    if network_image is None or network_image.shape != classifier.geometry.shape:
        return
    A = activations(classifier, network_image[None])[:, 0]
    rank = int((A[i] < A).sum()) + 1
    answer = f"{A[i]:.2f}, the {ordinal(rank)} strongest of {len(A)}" if A[i] > 0 else f"{A[i]:.2f}: it is silent"
    st.markdown(f"Its answer to {markup.plain(name)}, the image classified last: **{answer}**")


def activations(classifier: ImageClassifier, images: NDArray[np.uint8]) -> NDArray[np.floating]:
    """Return A of layer 1, shape (n_1, m), for images (m, height, width, channels), uint8."""
    layer = classifier.parameters[1]
    Z, _ = linear_forward(classifier.preprocessor.apply(images), layer.W, layer.b)
    if classifier.parameters.L == 1:
        return Z
    return ACTIVATIONS[classifier.network.activation].forward(Z, np.empty_like(Z))


def ordinal(n: int) -> str:
    """Write 1 as 1st, 2 as 2nd, 11 as 11th."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


@st.cache_data(max_entries=4, show_spinner="Looking for the images that excite the units")
def _strongest(model: str, written: float, _classifier: ImageClassifier) -> tuple[np.ndarray, np.ndarray] | None:
    """Return training images, and for each unit the indices of those it answers to most, (n_1, _EXCITING)."""
    data = data_of(model, _classifier)
    if data is None:
        return None
    with Dataset.open(data) as dataset:
        indices = dataset.indices("train")[:IMAGES_LOOKED_AT]
        images = np.stack([dataset.images[i] for i in indices])
    A = activations(_classifier, images)
    best = np.argsort(-A, axis=1, kind="stable")[:, :_EXCITING]
    used, places = np.unique(best, return_inverse=True)
    return images[used], places.reshape(best.shape)


def _exciting(chosen: Chosen, classifier: ImageClassifier, i: int) -> None:
    """Draw the training images that the unit answers to most."""
    assert chosen.run is not None
    try:
        strongest = _strongest(str(chosen.run.model), chosen.run.modified, classifier)
    except (*USER_ERRORS, ValueError):
        strongest = None
    st.markdown("**Training images it answers to most**")
    if strongest is None:
        st.caption("The data set of this model is not there any more.")
        return
    images, best = strongest
    st.html(
        markup.tiles([(markup.data_url(images[k]), "", f"training image {n}") for n, k in enumerate(best[i], start=1)])
    )


def _orientations(scores: FilterScores) -> None:
    """Draw how many edge detectors look in which direction."""
    if not scores.edge.any():
        return
    counts = np.bincount(orientation_bins(scores.orientation[scores.edge]), minlength=ORIENTATION_BINS)
    rows = [(f"{180 * k / ORIENTATION_BINS:g}°", [int(n)]) for k, n in enumerate(counts)]
    st.markdown("**Directions of the edge detectors**")
    st.html(markup.stacks("Edge detectors by direction", rows, [markup.AGAINST]))
    st.caption("0° is a horizontal edge, 90° an upright one.")
