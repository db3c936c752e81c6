"""The first layer: what each of its units detects, as an image and in numbers."""

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
IMAGES_SEARCHED = 2_000
_IMAGES_A_UNIT = 6

# Order -> the indices of the units, sorted.
ORDERS: dict[str, Callable[[FilterScores, NDArray[np.floating]], np.ndarray]] = {
    "edges first": lambda scores, W: np.argsort(scores.order, kind="stable"),
    "unit number": lambda scores, W: np.arange(len(W)),
    "edge score": lambda scores, W: -scores.r2,
    "orientation": lambda scores, W: scores.orientation,
    "spatial frequency": lambda scores, W: scores.frequency,
    "weight norm": lambda scores, W: -np.linalg.norm(W, axis=1),
}
# Kind -> whether each unit is of this kind.
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
        st.markdown(
            "This network has no hidden layer. Each image below shows the weights of one output: what is **light where "
            "its weights are light, and dark where they are dark**, is evidence for its class."
        )
    else:
        st.markdown(
            f"Each of the {len(layer.W)} units multiplies the image, pixel by pixel, with its weights, and adds up the "
            "products. The weights are drawn as images here: a unit is activated by what is **light where its weights "
            "are light, and dark where they are dark**."
        )
    if not np.isfinite(layer.W).all():
        st.error("Some weights are not finite. Train the model again with a lower learning rate.")
        return
    scores = _filter_scores(str(chosen.run.model), chosen.run.modified, classifier)
    grid, unit = st.columns([3, 2], gap="large")
    with grid:
        _draw_grid(chosen, classifier, scores)
    with unit:
        _draw_unit(chosen, classifier, scores)
    if classifier.parameters.L > 1:
        with grid:
            _draw_controls(chosen, classifier, scores)


@st.cache_data(max_entries=8, show_spinner="Scoring the units; this takes a few seconds, once per model")
def _filter_scores(model: str, written: float, _classifier: ImageClassifier) -> FilterScores:
    """Return the scores of the units, measured once for each time the model is `written`."""
    return score_filters(_classifier.parameters[1].W, _classifier.geometry.shape)


def _draw_grid(chosen: Chosen, classifier: ImageClassifier, scores: FilterScores) -> None:
    """Draw the units of the chosen kind and order, a page at a time."""
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
        "Mid-gray is a weight of 0; each image has its own scale. Below an edge detector: its number and orientation, "
        "then its spatial frequency in cycles per pixel and the share of its energy that one Gabor function explains."
    )
    st.download_button(
        "Download as PNG",
        lambda: filters_png(chosen, classifier),
        file_name="filters.png",
        mime="image/png",
        icon=":material/download:",
        on_click="ignore",
        help="All units in one image, as facette filters draws them",
    )


def filters_png(chosen: Chosen, classifier: ImageClassifier) -> bytes:
    """Return the image that `facette filters` draws, as a PNG file."""
    name = chosen.run.name if chosen.run else "the model"
    W = classifier.parameters[1].W
    figure = draw_filters(W, classifier.geometry.shape, title=f"First layer of {name}", max_units=len(W))
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


@st.cache_data(max_entries=8, show_spinner="Scoring layers that cannot have learned edges, for comparison")
def _control_shares(model: str, written: float, _classifier: ImageClassifier) -> dict[str, float]:
    return control_shares(_classifier)


def _draw_controls(chosen: Chosen, classifier: ImageClassifier, scores: FilterScores) -> None:
    """Draw the share of edge detectors in this layer and in controls, which should have few."""
    assert chosen.run is not None
    try:
        shares = _control_shares(str(chosen.run.model), chosen.run.modified, classifier)
    except (*USER_ERRORS, ValueError):  # images too small to learn from
        return
    rows = [("this layer", float(scores.edge.mean())), *shares.items()]
    st.subheader("Is it more than chance?", anchor=False)
    st.html(markup.bars(rows, "Share of edge detectors", lambda share: f"{100 * share:.0f}%"))
    st.caption(
        "The share of edge detectors, by the same criteria: in this layer, in layers that the same method learns from "
        "images without edges, in random weights, and in raw patches of photographs."
    )


def caption(scores: FilterScores, i: int) -> str:
    """Return a unit's number, and for an edge detector its orientation, spatial frequency and R²."""
    if not scores.edge[i]:
        return f"{i + 1}"
    degrees = round(np.degrees(scores.orientation[i])) % 180
    return f"{i + 1}: {degrees}°\n{scores.frequency[i]:.2f}, {100 * scores.r2[i]:.0f}%"


def unit_text(scores: FilterScores, i: int) -> str:
    """Say in a few words whether a unit is an edge detector."""
    if not scores.edge[i]:
        return "not an edge detector"
    degrees = round(np.degrees(scores.orientation[i])) % 180
    return f"edge detector at {degrees}°"


def _draw_unit(chosen: Chosen, classifier: ImageClassifier, scores: FilterScores) -> None:
    """Draw one unit: its weights, its scores, its activation for the last image, and what activates it most."""
    W, shape = classifier.parameters[1].W, classifier.geometry.shape
    number = st.number_input("Inspect unit", 1, len(W), 1 + int(scores.order[0]), key="unit", bind="query-params")
    i = int(number) - 1
    image = np.rint(255 * filter_images(W[i : i + 1], shape)[0]).astype(np.uint8)
    st.image(markup.enlarged(image), width=190, alt=f"weights of unit {number}: {unit_text(scores, i)}")
    st.markdown(
        f"**Unit {number}: {unit_text(scores, i)}**",
        help="A unit is an edge detector if one Gabor function (a soft-edged patch of parallel stripes) explains at "
        "least 50% of its energy, at least 90% of its energy lies within 30% of the image, and its orientation "
        "selectivity is at least 0.3.",
    )
    facts = {
        "Energy that one Gabor function explains": f"{100 * scores.r2[i]:.0f}%",
        "Share of the image with 90% of the energy": f"{100 * scores.area90[i]:.0f}%",
        "Orientation selectivity": f"{scores.selectivity[i]:.2f}",
    }
    if scores.edge[i]:
        facts["Spatial frequency, cycles per pixel"] = f"{scores.frequency[i]:.2f}"
    st.table(facts, border="horizontal")
    _draw_activation(classifier, i)
    _draw_strongest(chosen, classifier, i)
    _draw_orientations(scores)


def _draw_activation(classifier: ImageClassifier, i: int) -> None:
    """Say how strongly the last image of the Classify page activates the unit."""
    name, network_image = st.session_state.get("last-image", ("", None))
    if network_image is None or network_image.shape != classifier.geometry.shape:
        return
    A = activations(classifier, network_image[None])[:, 0]
    rank = int((A[i] < A).sum()) + 1
    value = f"{A[i]:.2f}, the {ordinal(rank)} largest of {len(A)}" if A[i] > 0 else f"{A[i]:.2f} (inactive)"
    st.markdown(f"Its activation for {markup.plain(name)}, the image classified last: **{value}**")


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


@st.cache_data(max_entries=4, show_spinner="Finding the images that activate the units most")
def strongest_images(model: str, written: float, _classifier: ImageClassifier) -> tuple[np.ndarray, np.ndarray] | None:
    """Return training images, and for each unit the indices of those that activate it most, (n_1, _IMAGES_A_UNIT)."""
    data = data_of(model, _classifier)
    if data is None:
        return None
    with Dataset.open(data) as dataset:
        indices = dataset.indices("train")[:IMAGES_SEARCHED]
        images = dataset.take(indices)
    A = activations(_classifier, images)
    best = np.argsort(-A, axis=1, kind="stable")[:, :_IMAGES_A_UNIT]
    used, positions = np.unique(best, return_inverse=True)
    return images[used], positions.reshape(best.shape)


def _draw_strongest(chosen: Chosen, classifier: ImageClassifier, i: int) -> None:
    """Draw the training images that activate the unit most."""
    assert chosen.run is not None
    try:
        strongest = strongest_images(str(chosen.run.model), chosen.run.modified, classifier)
    except (*USER_ERRORS, ValueError):
        strongest = None
    st.markdown("**Training images that activate it most**")
    if strongest is None:
        st.caption("The data set of this model is no longer available.")
        return
    images, best = strongest
    st.html(
        markup.tiles([(markup.data_url(images[k]), "", f"training image {n}") for n, k in enumerate(best[i], start=1)])
    )


def _draw_orientations(scores: FilterScores) -> None:
    """Draw how many edge detectors have which orientation."""
    if not scores.edge.any():
        return
    counts = np.bincount(orientation_bins(scores.orientation[scores.edge]), minlength=ORIENTATION_BINS)
    rows = [(f"{180 * k / ORIENTATION_BINS:g}°", [int(n)]) for k, n in enumerate(counts)]
    st.markdown("**Orientations of the edge detectors**")
    st.html(markup.stacks("Edge detectors by orientation", rows, [markup.BLUE]))
    st.caption("0° is a horizontal edge, 90° a vertical one.")
