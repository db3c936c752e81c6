"""The layers above the first: where their units look, and what excites them, each image named for how it was made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from model.edges.scores import energy_area
from model.edges.stimuli import receptive_fields
from pipeline.classifier import ImageClassifier
from pipeline.errors import USER_ERRORS
from pipeline.evaluation.held_out import data_of, held_out_images
from pipeline.explanation.figures import LayerImages, filter_images
from pipeline.explanation.layers import deeper_layer_images
from pipeline.pages.widgets import markup, no_model
from pipeline.pages.widgets.sidebar import Chosen

UNITS_SHOWN = 24
_EXAMPLES = 64  # images that receptive fields are measured on
# What to call the images that `deeper_layer_images` returns, and how each kind is made.
IMAGE_KINDS = (
    (
        "What excites it, averaged",
        "Mean of the 8 held-out images that a unit answers to most, times its receptive field.",
    ),
    ("Preferred stimulus", "An image made from noise to excite the unit, by gradient ascent. Nobody took it."),
    ("Product of the weights", "W of this layer times all W below, as if there were no activations in between."),
)


def render(chosen: Chosen) -> None:
    """Draw the page."""
    classifier = no_model.ready(chosen)
    if classifier is None or chosen.run is None:
        return
    st.title("Deeper layers")
    L = classifier.parameters.L
    if L == 1:
        st.info("This network has one layer only; see the page First layer.", icon=":material/layers_clear:")
        return
    st.markdown(
        "A unit above the first layer has no weights on pixels, so there is no one right image of it. Each kind "
        "below answers another question, and says how it was made."
    )
    layers = {(f"Layer {l}" if l < L else f"Layer {l}, the output"): l for l in range(2, L + 1)}
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
        found = _images(str(chosen.run.model), chosen.run.modified, l, classifier)
    except USER_ERRORS:
        found = None
    if found is None:
        st.info("The data set of this model is not there any more: there are no images to show to the units.")
        return
    _draw(classifier, l, *found)


@st.cache_data(max_entries=8, show_spinner="Looking at the units, some seconds, once for each layer")
def _images(
    model: str, written: float, l: int, _classifier: ImageClassifier
) -> tuple[NDArray[np.floating], list[LayerImages]] | None:
    """Return the receptive fields of all units, (n_l, n_x), and the images of the first; None without data."""
    data = data_of(model, _classifier)
    if data is None:
        return None
    images = held_out_images(data)
    X = _classifier.preprocessor.apply(images[:_EXAMPLES])
    fields = receptive_fields(l, X, _classifier.parameters, _classifier.network)
    return fields, deeper_layer_images(_classifier, images, l, UNITS_SHOWN)


def _draw(classifier: ImageClassifier, l: int, fields: NDArray[np.floating], kinds: Sequence[LayerImages]) -> None:
    shape, n = classifier.geometry.shape, len(fields)
    names = _names(classifier, l)
    some = (
        f"The first {UNITS_SHOWN} of {n:,} units" if n > UNITS_SHOWN else "All its units" if n > 1 else "Its one unit"
    )
    area = 100 * float(np.median(energy_area(fields.reshape(n, -1, shape[2]))))
    st.caption(f"{some}, in the same order everywhere.")
    st.subheader("Receptive field", anchor=False)
    st.caption(
        f"Where a unit looks: how strongly each pixel moves it, light where strongly. 90% of it lies in {area:.0f}% of "
        "the image (median over the units)."
    )
    strength = fields[:UNITS_SHOWN].reshape(-1, *shape).mean(axis=3)
    strength /= np.maximum(strength.max(axis=(1, 2), keepdims=True), 1e-12)
    _tiles(np.rint(255 * strength).astype(np.uint8), names, "receptive field")
    for (title, how), layer in zip(IMAGE_KINDS, kinds, strict=True):
        st.subheader(title, anchor=False)
        st.caption(f"{how} Mid-gray is zero, each on its own scale.")
        _tiles(np.rint(255 * filter_images(layer.images, shape)).astype(np.uint8), names, title)


def _names(classifier: ImageClassifier, l: int) -> list[str]:
    """Return what to write below each unit: its class in the output layer, else its number."""
    n, classes = classifier.parameters.layer_dims[l], classifier.classes
    if l < classifier.parameters.L:
        return [f"{i + 1}" for i in range(n)]
    return list(classes) if n == len(classes) else [classes[-1]]  # one unit: the probability of the second class


def _tiles(images: NDArray[np.uint8], names: Sequence[str], what: str) -> None:
    tiles = [(markup.data_url(p), name, f"{what} of {name}") for p, name in zip(images, names, strict=False)]
    st.html(markup.tiles(tiles))
