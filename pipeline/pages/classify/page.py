"""Classify images: the predicted class, how certain the model is, and why."""

from __future__ import annotations

import streamlit as st

from pipeline.classifier import ImageClassifier
from pipeline.evaluation.abstention import RATE
from pipeline.explanation.occlusion import occlusion_map
from pipeline.explanation.wording import describe_geometry, headline, verdict, what_probabilities_are
from pipeline.pages.classify.inputs import MAX_UPLOAD_PIXELS, choose_images, choose_part, read_samples
from pipeline.pages.classify.table import draw_results
from pipeline.pages.widgets import markup, no_model
from pipeline.pages.widgets.sidebar import Chosen
from pipeline.prediction.uploads import Upload, UploadResult, classify_uploads, loss_by_fit
from pipeline.text import count

SHOWN_CLASSES = 5


def render(chosen: Chosen) -> None:
    """Draw the page."""
    classifier = no_model.ready(chosen)
    if classifier is None or chosen.run is None:
        return
    st.title("Classify images")
    samples = read_samples(str(chosen.run.model), chosen.run.modified, classifier)
    uploads = choose_images(samples, classifier)
    if not uploads:
        classes = ", ".join(classifier.classes[:6]) + (" …" if len(classifier.classes) > 6 else "")
        st.info(
            f"Add an image, and the model assigns it one of its classes: {markup.plain(classes)}.",
            icon=":material/add_photo_alternate:",
        )
        return
    results = _classify_all(classifier, uploads)
    if len(results) == 1 and results[0].shown and not uploads[0].true_label:
        part = choose_part(uploads[0], results[0], classifier)
        results = _classify_all(classifier, [part]) if part else results
    result = results[0] if len(results) == 1 else draw_results(results, classifier)
    if result is not None:
        _draw_result(chosen, classifier, result)


def _classify_all(classifier: ImageClassifier, uploads: list[Upload]) -> list[UploadResult]:
    """Classify what is new, and return the results of all; results of other images are dropped from the session."""
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


def _draw_result(chosen: Chosen, classifier: ImageClassifier, result: UploadResult) -> None:
    """Draw the prediction of one image, its probabilities, and the evidence in the image."""
    row = result.row
    if result.shown is None or result.network_image is None:
        st.error(markup.plain(f"{row.path}: {row.error_message}."), icon=":material/broken_image:")
        return
    st.session_state["last-image"] = (row.path, result.network_image)
    prediction, images = st.columns([2, 3], gap="large")
    with prediction:
        st.header(markup.plain(headline(row.ranking, result.reason)), anchor=False)
        st.markdown(markup.plain(verdict(row.ranking, result.reason)))
        st.html(markup.bars(row.ranking[:SHOWN_CLASSES]))
        if len(row.ranking) > SHOWN_CLASSES:
            rest = sum(probability for _, probability in row.ranking[SHOWN_CLASSES:])
            others = count(len(row.ranking) - SHOWN_CLASSES, "other class", "other classes")
            st.caption(f"{others}: {markup.percentage(rest)} in total")
        _draw_notes(chosen, classifier, result)
    with images:
        _draw_evidence(classifier, result)


def _draw_notes(chosen: Chosen, classifier: ImageClassifier, result: UploadResult) -> None:
    """Draw what to know before trusting the prediction."""
    row, run = result.row, chosen.run
    if row.true_label:
        is_correct = row.true_label == row.ranking[0][0]
        icon, word = (":material/check_circle:", "correct") if is_correct else (":material/cancel:", "wrong")
        st.markdown(f"{icon} True class: **{markup.plain(row.true_label)}**. The prediction is {word}.")
    if result.was_trained_on:
        st.warning(
            "The model was trained on this very file, so this prediction says little about how it does on new images."
        )
    texts = [what_probabilities_are(classifier.calibration), "It knows only its own classes."]
    if run and run.m:
        texts.insert(
            0,
            f"The model classifies {round(run.accuracy * run.m):,} of {run.m:,} "
            f"{markup.plain(run.evaluated_on)} images correctly.",
        )
    st.caption(" ".join(texts))


def _draw_evidence(classifier: ImageClassifier, result: UploadResult) -> None:
    """Draw the image, the image as the network sees it, and the parts that decide."""
    row, geometry = result.row, classifier.geometry
    assert result.shown is not None
    assert result.network_image is not None
    label = row.ranking[0][0]
    evidence = occlusion_map(classifier, result.network_image, classifier.classes.index(label))
    size, network_image = f"{result.size[0]:,}×{result.size[1]:,} pixels", describe_geometry(geometry)
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
                    "the parts that matter",
                    f"map of the evidence for {label}",
                ),
            ]
        )
    )
    st.html(markup.legend([(markup.FOR, f"evidence for {label}"), (markup.AGAINST, "evidence against it")]))
    if hint := loss_by_fit(result.size, classifier):
        st.info(f"{hint} You can choose a part of it above.", icon=":material/crop:")
