"""Classify images: what they are taken for, how surely, and why."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from pipeline.classifier import ImageClassifier
from pipeline.errors import USER_ERRORS
from pipeline.evaluation.abstention import RATE
from pipeline.evaluation.held_out import data_of, held_out_samples
from pipeline.explanation.occlusion import occlusion_map
from pipeline.explanation.wording import headline, shape, verdict, what_probabilities_are
from pipeline.pages.widgets import markup, no_model
from pipeline.pages.widgets.sidebar import Chosen
from pipeline.prediction.formats import WRITERS
from pipeline.prediction.uploads import (
    Upload,
    UploadResult,
    classify_uploads,
    crop_upload,
    from_folder,
    loss_by_fit,
    part_box,
)
from pipeline.serve import MAX_UPLOAD_MEGABYTES

MAX_UPLOADS = 200
MAX_UPLOAD_PIXELS = 50_000_000
SHOWN_CLASSES = 5


def render(chosen: Chosen) -> None:
    """Draw the page."""
    classifier = no_model.ready(chosen)
    if classifier is None or chosen.run is None:
        return
    st.title("Classify images")
    samples = _samples(str(chosen.run.model), chosen.run.modified, classifier)
    uploads = _uploads(samples, classifier)
    if not uploads:
        classes = ", ".join(classifier.classes[:6]) + (" …" if len(classifier.classes) > 6 else "")
        st.info(
            f"Add an image, and the model says which of its classes it is: {markup.plain(classes)}.",
            icon=":material/add_photo_alternate:",
        )
        return
    results = _classified(classifier, uploads)
    if len(results) == 1 and results[0].shown and not uploads[0].true_label:
        part = _part(uploads[0], results[0], classifier)
        results = _classified(classifier, [part]) if part else results
    result = results[0] if len(results) == 1 else _table(results, classifier)
    if result is not None:
        _detail(chosen, classifier, result)


# Where images come from


@st.cache_data(max_entries=8, show_spinner=False)
def _samples(model: str, written: float, _classifier: ImageClassifier) -> list[Upload]:
    """Return images that the model was not trained on, read once for each time the model is `written`."""
    data = data_of(model, _classifier)
    try:
        return held_out_samples(data) if data else []
    except USER_ERRORS:
        return []


def _uploads(samples: list[Upload], classifier: ImageClassifier) -> list[Upload]:
    """Draw the ways to give images; return those given."""
    ways: dict[str, Callable[[list[Upload]], list[Upload]]] = {
        "Samples": _from_samples,
        "Upload": partial(_from_files, "files", classifier),
        "Folder": partial(_from_files, "folder", classifier),
        "Camera": _from_camera,
    }
    names = [name for name in ways if samples or name != "Samples"]
    way = st.segmented_control(
        "Images from",
        names,
        default=names[0],
        required=True,
        key="from",
        bind="query-params",
        label_visibility="collapsed",
    )
    return ways[way or names[0]](samples)


def _from_samples(samples: list[Upload]) -> list[Upload]:
    st.caption("Images that the model was not trained on. Choose one, or all.")
    names = [f"{i}" for i in range(1, len(samples) + 1)]
    shown = [(markup.png_url(sample.data), name, f"sample {name}") for name, sample in zip(names, samples, strict=True)]
    st.html(markup.tiles(shown, small=True))
    choice = st.segmented_control(
        "Sample",
        [*names, "All"],
        default=names[0],
        required=True,
        key="sample",
        bind="query-params",
        label_visibility="collapsed",
    )
    return samples if choice == "All" else [samples[names.index(choice or names[0])]]


def _from_files(kind: str, classifier: ImageClassifier, _: list[Upload]) -> list[Upload]:
    """Return the files uploaded; they are kept for this visitor, in memory, while other pages are looked at."""
    files = st.file_uploader(
        "Images" if kind == "files" else "A folder of images",
        accept_multiple_files=True if kind == "files" else "directory",
        max_upload_size=MAX_UPLOAD_MEGABYTES,
        key=kind,
        on_change=lambda: st.session_state.pop(f"uploads-{kind}", None),
        help=f"JPEG, PNG, WebP, GIF, BMP, TIFF, PGM or AVIF; at most {MAX_UPLOADS} images of "
        f"{MAX_UPLOAD_MEGABYTES} MB each. They stay in memory, on this computer.",
    )
    if files:
        given = [(file.name, file.getvalue()) for file in files]
        uploads, passed_over = (
            from_folder(given, classifier.classes) if kind == "folder" else ([Upload(*one) for one in given], 0)
        )
        st.session_state[f"uploads-{kind}"] = uploads[:MAX_UPLOADS]
        if passed_over:
            st.caption(f"{passed_over} hidden or system files passed over.")
        if len(uploads) > MAX_UPLOADS:
            st.warning(
                f"{len(uploads)} images are too many for the app: the first {MAX_UPLOADS} are classified. For "
                "all of them, type  `facette predict MODEL FOLDER -o predictions.csv`  in a terminal."
            )
    uploads = st.session_state.get(f"uploads-{kind}", [])
    if uploads and not files:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Still here from before.")
            if st.button("Clear", icon=":material/close:", type="tertiary"):
                del st.session_state[f"uploads-{kind}"]
                st.rerun()
    return uploads


def _from_camera(_: list[Upload]) -> list[Upload]:
    photo = st.camera_input("Take an image", key="photo", width=480)
    return [Upload(photo.name, photo.getvalue())] if photo else []


def _classified(classifier: ImageClassifier, uploads: list[Upload]) -> list[UploadResult]:
    """Classify what is new, and return the results of all; only those of the images given are kept."""
    before: dict[tuple[str, Upload], UploadResult] = st.session_state.get("results", {})
    keys = [(classifier.model_id, upload) for upload in uploads]
    new = [key for key in dict.fromkeys(keys) if key not in before]
    if new:
        with st.spinner("Classifying …"):
            done = classify_uploads(
                classifier, [upload for _, upload in new], reject=RATE, max_pixels=MAX_UPLOAD_PIXELS
            )
        before = before | dict(zip(new, done, strict=True))
    st.session_state["results"] = {key: before[key] for key in keys}
    return [before[key] for key in keys]


def _part(upload: Upload, whole: UploadResult, classifier: ImageClassifier) -> Upload | None:
    """Draw the choice of a part of an image; return the part, or None where the whole is to be classified."""
    geometry = classifier.geometry
    if min(whole.size) <= max(geometry.height, geometry.width) or whole.shown is None:
        return None
    expander = st.expander("Classify a part of the image", icon=":material/crop:", key="part", on_change="rerun")
    if not expander.open:  # what is in it costs more than the answer, and few ask for it
        return None
    with expander:
        st.caption("The model knows images cut to their subject, and does not search for it.")
        sliders, preview = st.columns(2, gap="large")
        with sliders:
            size = st.slider("Size, % of the largest part", 5, 100, 100, 5, key="part-size")
            across = st.slider("Left to right, %", 0, 100, 50, 1, key="part-across")
            down = st.slider("Top to bottom, %", 0, 100, 50, 1, key="part-down")
        shares = size / 100, across / 100, down / 100
        is_whole = shares == (1.0, 0.5, 0.5)
        shown = part_box((whole.shown.height, whole.shown.width), geometry, *shares)
        if is_whole and geometry.fit != "crop":
            shown = (0, 0, whole.shown.width, whole.shown.height)
        preview.image(markup.framed(whole.shown, shown), width=320, alt="the image with the part in a frame")
    if is_whole:
        return None
    return crop_upload(upload, part_box(whole.size, geometry, *shares), max_pixels=MAX_UPLOAD_PIXELS)


# Many images


def _table(results: list[UploadResult], classifier: ImageClassifier) -> UploadResult | None:
    """Draw all results as a table to sort, filter and download; return the one to look at."""
    failed = [result for result in results if result.row.status == "error"]
    counts = f"{len(results) - len(failed)} of {len(results)} images classified"
    unsure = sum(bool(result.reason) for result in results)
    head, choice = st.columns(2, vertical_alignment="center")
    labelled = [result.row for result in results if result.row.true_label and result.row.ranking]
    right = sum(row.true_label == row.ranking[0][0] for row in labelled)
    head.markdown(
        f"**{counts}**"
        + (f", not sure of {unsure}" if unsure else "")
        + (f", {len(failed)} could not be read" if failed else "")
        + (f". {right} of {len(labelled)} whose class is known are right" if labelled else "")
    )
    groups = sorted(
        {_group(result) for result in results}, key=lambda group: (group == _FAILED, group == _UNSURE, group)
    )
    wanted = choice.multiselect(
        "Show only", groups, key="show-only", placeholder="Show everything", label_visibility="collapsed"
    )
    shown = [result for result in results if not wanted or _group(result) in wanted]
    columns: dict[str, list[Any]] = {
        "image": [markup.thumbnail(r.shown) if r.shown else None for r in shown],
        "file": [r.row.path for r in shown],
        "class": [r.row.ranking[0][0] if r.row.ranking else None for r in shown],
        "status": [_UNSURE if r.reason else r.row.status for r in shown],
        "probability": [min(99.9, 100 * r.row.ranking[0][1]) if r.row.ranking else None for r in shown],
        "true class": [r.row.true_label or None for r in shown],
        "problem": [r.row.error_message or None for r in shown],
    }
    columns = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    config = st.column_config
    event = st.dataframe(
        columns,
        column_config={
            "image": config.ImageColumn("Image", width="small"),
            "file": config.TextColumn("File"),
            "class": config.TextColumn("Class"),
            "status": config.TextColumn("Status", help="Not sure: the model abstains on this image."),
            "probability": config.ProgressColumn(
                "Probability", format="%.1f%%", min_value=0, max_value=100, help="99.9% stands for that, or more."
            ),
            "true class": config.TextColumn("True class"),
            "problem": config.TextColumn("Problem", width="large"),
        },
        on_select="rerun",
        selection_mode="single-row",
        hide_index=True,
        placeholder="",
        row_height=44,
        key="table",
        alt=f"{counts}; a row for each file",
    )
    _downloads(shown, len(classifier.classes))
    rows = [row for row in event.selection.rows if row < len(shown)]
    if not rows:
        st.caption("Choose a row to look at its image.")
        return None
    return shown[rows[0]]


_FAILED, _UNSURE = "could not be read", "not sure"


def _group(result: UploadResult) -> str:
    if not result.row.ranking:
        return _FAILED
    return _UNSURE if result.reason else result.row.ranking[0][0]


def _downloads(results: Sequence[UploadResult], n_classes: int) -> None:
    """Offer the rows shown as the files that `facette predict` writes."""
    with st.container(horizontal=True):
        for kind, write in WRITERS.items():
            text = io.StringIO()
            write((result.row for result in results), text, n_classes)
            st.download_button(
                f"Download {kind.upper()}",
                text.getvalue(),
                file_name=f"predictions.{kind}",
                mime={"csv": "text/csv"}.get(kind, "application/x-ndjson"),
                icon=":material/download:",
                on_click="ignore",
            )


# One image


def _detail(chosen: Chosen, classifier: ImageClassifier, result: UploadResult) -> None:
    """Draw one image, its probabilities, and why."""
    row = result.row
    if result.shown is None or result.network_image is None:
        st.error(markup.plain(f"{row.path}: {row.error_message}."), icon=":material/broken_image:")
        return
    st.session_state["image"] = (row.path, result.network_image)
    answer, images = st.columns([2, 3], gap="large")
    with answer:
        st.header(markup.plain(headline(row.ranking, result.reason)), anchor=False)
        st.markdown(markup.plain(verdict(row.ranking, result.reason)))
        st.html(markup.bars(row.ranking[:SHOWN_CLASSES]))
        if len(row.ranking) > SHOWN_CLASSES:
            rest = sum(probability for _, probability in row.ranking[SHOWN_CLASSES:])
            st.caption(f"{len(row.ranking) - SHOWN_CLASSES} other classes: {markup.percentage(rest)} together")
        _notes(chosen, classifier, result)
    with images:
        _images(classifier, result)


def _notes(chosen: Chosen, classifier: ImageClassifier, result: UploadResult) -> None:
    """Draw what a person should know before believing the answer."""
    row, run = result.row, chosen.run
    if row.true_label:
        right = row.true_label == row.ranking[0][0]
        icon, word = (":material/check_circle:", "right") if right else (":material/cancel:", "wrong")
        st.markdown(f"{icon} True class: **{markup.plain(row.true_label)}** – the model is {word}.")
    if result.was_trained_on:
        st.warning("This very file took part in the training, so the answer says little about new images.")
    words = what_probabilities_are(classifier.calibration) + " It knows no other classes."
    if run and run.m:
        words = f"It was right on {round(run.accuracy * run.m):,} of {run.m:,} {run.evaluated_on} images. {words}"
    st.caption(words)


def _images(classifier: ImageClassifier, result: UploadResult) -> None:
    """Draw the image, what the network sees of it, and which parts decided."""
    row, geometry = result.row, classifier.geometry
    assert result.shown is not None
    assert result.network_image is not None
    label = row.ranking[0][0]
    evidence = occlusion_map(classifier, result.network_image, classifier.classes.index(label))
    size, network_image = f"{result.size[1]:,}×{result.size[0]:,} pixels", shape(geometry)
    st.html(
        markup.views(
            [
                (markup.photo_url(result.shown), "Image", size, f"the image {row.path}"),
                (
                    markup.data_url(result.network_image),
                    "What the network sees",
                    network_image,
                    f"the same image as {network_image}",
                ),
                (
                    markup.data_url(markup.overlaid(result.network_image, evidence)),
                    f"Why {label}",
                    "the parts that decide",
                    f"map of the parts that speak for {label}",
                ),
            ]
        )
    )
    st.html(markup.legend([(markup.FOR, f"speaks for {label}"), (markup.AGAINST, "speaks against it")]))
    if hint := loss_by_fit(result.size, classifier):
        st.info(f"{hint} A part of it can be chosen above.", icon=":material/crop:")
