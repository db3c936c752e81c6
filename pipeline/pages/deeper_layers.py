"""The layers above the first: receptive fields, and images of what activates the units, made in three ways."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from model.edges.scores import energy_area
from pipeline.classifier import ImageClassifier
from pipeline.errors import USER_ERRORS
from pipeline.evaluation.held_out import data_of, held_out_images
from pipeline.explanation.figures import LayerImages, filter_images
from pipeline.explanation.layers import deeper_layer_images, layer_receptive_fields
from pipeline.pages.widgets import markup, no_model
from pipeline.pages.widgets.sidebar import Chosen

UNITS_SHOWN = 24
# The kinds of images that `deeper_layer_images` returns, and how each is made.
IMAGE_KINDS = (
    (
        "Mean of the maximally activating images",
        "The mean of the 8 held-out images that activate a unit most, times its receptive field.",
    ),
    (
        "Activation maximisation",
        "An image computed to activate the unit: it starts as noise and follows the gradient (gradient ascent).",
    ),
    (
        "Product of the weights",
        "W of this layer times all W below it, as if there were no activation functions in between.",
    ),
)


def render(chosen: Chosen) -> None:
    """Draw the page."""
    classifier = no_model.ready(chosen)
    if classifier is None or chosen.run is None:
        return
    st.title("Deeper layers")
    L = classifier.parameters.L
    if L == 1:
        st.info("This network has only one layer; see the page First layer.", icon=":material/layers_clear:")
        return
    st.markdown(
        "A unit above the first layer has no weights on pixels, so no single image shows what it does. Each kind of "
        "image below answers a different question, and its caption says how it was made."
    )
    layers = {(f"Layer {l}" if l < L else f"Layer {l} (output)"): l for l in range(2, L + 1)}
    name = st.segmented_control(
        "Layer",
        list(layers),
        default=next(iter(layers)),
        required=True,
        key="layer",
        bind="query-params",
        label_visibility="collapsed",
    )
    l = layers[name or next(iter(layers))]
    try:
        found = _layer_images(str(chosen.run.model), chosen.run.modified, l, classifier)
    except USER_ERRORS:
        found = None
    if found is None:
        st.info("The data set of this model is no longer available, so there are no images to measure the units on.")
        return
    _draw(classifier, l, *found)


@st.cache_data(
    max_entries=8, show_spinner="Computing the images of the units; this takes a few seconds, once per layer"
)
def _layer_images(
    model: str, written: float, l: int, _classifier: ImageClassifier
) -> tuple[NDArray[np.floating], list[LayerImages]] | None:
    """Return the receptive fields of all units, (n_l, n_x), and the images of the first units; None without data."""
    data = data_of(model, _classifier)
    if data is None:
        return None
    images = held_out_images(data, _classifier.geometry)
    return layer_receptive_fields(_classifier, images, l), deeper_layer_images(_classifier, images, l, UNITS_SHOWN)


def _draw(classifier: ImageClassifier, l: int, fields: NDArray[np.floating], kinds: Sequence[LayerImages]) -> None:
    shape, n = classifier.geometry.shape, len(fields)
    names = _unit_names(classifier, l)
    units = (
        f"The first {UNITS_SHOWN} of {n:,} units" if n > UNITS_SHOWN else f"All {n} units" if n > 1 else "The only unit"
    )
    area = 100 * float(np.median(energy_area(fields.reshape(n, -1, shape[2]))))
    st.caption(f"{units}, in the same order in every section." if n > 1 else f"{units} of this layer.")
    st.subheader("Receptive field", anchor=False)
    st.caption(
        "How strongly each pixel influences the unit: light pixels influence it most. 90% of the receptive field lies "
        f"within {area:.0f}% of the image" + (" (median over the units)." if n > 1 else ".")
    )
    strength = fields[:UNITS_SHOWN].reshape(-1, *shape).mean(axis=3)
    strength /= np.maximum(strength.max(axis=(1, 2), keepdims=True), 1e-12)
    _draw_units(np.rint(255 * strength).astype(np.uint8), names, "receptive field")
    for (title, how), layer in zip(IMAGE_KINDS, kinds, strict=True):
        st.subheader(title, anchor=False)
        st.caption(f"{how} Mid-gray is zero; each image has its own scale.")
        _draw_units(np.rint(255 * filter_images(layer.images, shape)).astype(np.uint8), names, title)


def _unit_names(classifier: ImageClassifier, l: int) -> list[str]:
    """Return what to write below each unit: its class in the output layer, else its number."""
    n, classes = classifier.parameters.layer_dims[l], classifier.classes
    if l < classifier.parameters.L:
        return [f"{i + 1}" for i in range(n)]
    return list(classes) if n == len(classes) else [classes[-1]]  # one unit: the probability of the second class


def _draw_units(images: NDArray[np.uint8], names: Sequence[str], what: str) -> None:
    tiles = [(markup.data_url(p), name, f"{what} of {name}") for p, name in zip(images, names, strict=False)]
    st.html(markup.tiles(tiles))
