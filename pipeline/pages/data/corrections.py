"""Labels that a visitor corrects: images with a choice of class, and the corrections as a file to train on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st

from pipeline.audit.corrections import REMOVE, corrected_archive, corrected_manifest, image_folder
from pipeline.data.dataset import Dataset
from pipeline.invocation import command_line
from pipeline.pages.widgets import markup
from pipeline.text import count

LARGEST_ARCHIVE = 20_000  # images


def draw_cards(dataset: Dataset, cards: Sequence[tuple[int, str]]) -> None:
    """Draw images, given as (row, caption), each with a choice of its correct class."""
    rows = np.array([row for row, _ in cards])
    options = [*dataset.classes, REMOVE]
    with st.container(horizontal=True):
        for (row, caption), image in zip(cards, dataset.take(rows), strict=True):
            label, key = label_name(dataset, row), f"label-{dataset.fingerprint[:12]}-{row}"
            now = _corrections(dataset).get(int(row), label)
            with st.container(width=171, border=True, gap="xsmall"):
                st.html(markup.photo(markup.data_url(image), str(dataset.paths[row]), caption))
                st.selectbox(
                    f"Label of {dataset.paths[row]}",
                    options,
                    index=options.index(now) if now in options else None,
                    placeholder="no label",
                    format_func=lambda name, label=label: _option_text(name, label),
                    key=key,
                    on_change=_store_correction,
                    args=(dataset.fingerprint, int(row), label, key),
                    label_visibility="collapsed",
                )


def label_name(dataset: Dataset, row: int) -> str:
    """Return the class of an image; empty if it has no label."""
    label = dataset.labels[row]
    return dataset.classes[label] if label >= 0 else ""


def _option_text(name: str, label: str) -> str:
    if name == REMOVE:
        return "remove image"
    return name if name == label else f"→ {name}"


def _store_correction(fingerprint: str, row: int, label: str, key: str) -> None:
    """Store a choice; the label that the image has already is no correction."""
    corrections = st.session_state.setdefault("corrections", {}).setdefault(fingerprint, {})
    given = st.session_state[key]
    if given == label or given is None:
        corrections.pop(row, None)
    else:
        corrections[row] = given


def _corrections(dataset: Dataset) -> dict[int, str]:
    return st.session_state.get("corrections", {}).get(dataset.fingerprint, {})


def draw_export(dataset: Dataset, path: str) -> None:
    """Offer the corrections as something that `facette train` reads."""
    corrections = _corrections(dataset)
    if not corrections:
        return
    st.subheader("Corrections", anchor=False)
    n_removed = sum(label == REMOVE for label in corrections.values())
    n_changed = len(corrections) - n_removed
    texts = [f"{count(n_changed, 'label')} changed"] if n_changed else []
    texts += [f"{count(n_removed, 'image')} removed"] if n_removed else []
    st.markdown(f"{' and '.join(texts)}. The data set itself is not modified.")
    folder = image_folder(dataset)
    if folder is None and len(dataset) > LARGEST_ARCHIVE:
        st.warning(
            "The original image files of this data set are no longer available, and the data set is too large to "
            f"pack its images into an archive: more than {LARGEST_ARCHIVE:,}."
        )
        return
    name = "manifest.csv" if folder else "corrected.zip"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            f"Download {name}",
            corrected_manifest(dataset, corrections, folder) if folder else partial(_archive, path, corrections),
            file_name=name,
            mime="text/csv" if folder else "application/zip",
            icon=":material/download:",
            type="primary",
            on_click="ignore",
        )
        st.button(
            "Discard corrections",
            icon=":material/undo:",
            type="tertiary",
            on_click=_discard_corrections,
            args=(dataset.fingerprint,),
        )
    st.caption(
        "The manifest lists all images of the data set, with their splits and the corrected labels. To train on it:"
        if folder
        else "The archive holds the images of the data set and a manifest with the corrected labels, because the "
        "original files are no longer available. To train on it:"
    )
    st.code(command_line("train", name), language="shell")


def _archive(path: str, corrections: dict[int, str]) -> bytes:
    with Dataset.open(path) as dataset:
        return corrected_archive(dataset, corrections)


def _discard_corrections(fingerprint: str) -> None:
    for row in st.session_state["corrections"].pop(fingerprint, {}):
        st.session_state.pop(f"label-{fingerprint[:12]}-{row}", None)
