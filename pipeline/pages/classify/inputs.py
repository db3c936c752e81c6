"""Where the images to classify come from: samples, uploads, a folder, the camera, or a part of an image."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from pipeline.classifier import ImageClassifier
from pipeline.errors import USER_ERRORS
from pipeline.evaluation.held_out import data_of, held_out_samples
from pipeline.images.encode import to_png
from pipeline.invocation import command_line
from pipeline.pages.widgets import markup
from pipeline.prediction.uploads import Upload, UploadResult, crop_upload, from_folder, part_box
from pipeline.serve import MAX_UPLOAD_MEGABYTES
from pipeline.text import count

MAX_UPLOADS = 200
MAX_UPLOAD_PIXELS = 50_000_000


@st.cache_data(max_entries=8, show_spinner=False)
def read_samples(model: str, written: float, _classifier: ImageClassifier) -> list[Upload]:
    """Return images that the model was not trained on, read once for each time the model is `written`."""
    data = data_of(model, _classifier)
    try:
        samples = held_out_samples(data) if data else []
    except USER_ERRORS:
        return []
    return [Upload(str(Path(path).with_suffix(".png")), to_png(image), label) for path, image, label in samples]


def choose_images(samples: list[Upload], classifier: ImageClassifier) -> list[Upload]:
    """Draw the ways to give images; return the images given."""
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
    """Return the uploaded files; they stay in this visitor's session, in memory, while other pages are open."""
    files = st.file_uploader(
        "Images" if kind == "files" else "A folder of images",
        accept_multiple_files=True if kind == "files" else "directory",
        max_upload_size=MAX_UPLOAD_MEGABYTES,
        key=kind,
        on_change=lambda: st.session_state.pop(f"uploads-{kind}", None),
        help=f"JPEG, PNG, WebP, GIF, BMP, TIFF, PGM or AVIF; at most {MAX_UPLOADS} images of up to "
        f"{MAX_UPLOAD_MEGABYTES} MB each. They stay in the memory of the computer that runs the app.",
    )
    if files:
        given = [(file.name, file.getvalue()) for file in files]
        uploads, n_skipped = (
            from_folder(given, classifier.classes) if kind == "folder" else ([Upload(*file) for file in given], 0)
        )
        st.session_state[f"uploads-{kind}"] = uploads[:MAX_UPLOADS]
        if n_skipped:
            st.caption(f"{count(n_skipped, 'hidden or system file')} skipped.")
        if len(uploads) > MAX_UPLOADS:
            command = command_line("predict", "MODEL", "FOLDER", "-o", "predictions.csv")
            st.warning(
                f"{len(uploads)} images are too many for the app; only the first {MAX_UPLOADS} are classified. To "
                f"classify all of them, run  `{command}`  in a terminal."
            )
    uploads = st.session_state.get(f"uploads-{kind}", [])
    if uploads and not files:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"{count(len(uploads), 'image')}, uploaded earlier.")
            if st.button("Clear", icon=":material/close:", type="tertiary", help="Remove the uploaded images"):
                del st.session_state[f"uploads-{kind}"]
                st.rerun()
    return uploads


def _from_camera(_: list[Upload]) -> list[Upload]:
    photo = st.camera_input("Take a photo", key="photo", width=480)
    return [Upload(photo.name, photo.getvalue())] if photo else []


def choose_part(upload: Upload, whole: UploadResult, classifier: ImageClassifier) -> Upload | None:
    """Draw the choice of a part of an image; return the part, or None if the whole image is to be classified."""
    geometry = classifier.geometry
    if min(whole.size) <= max(geometry.height, geometry.width) or whole.shown is None:
        return None
    expander = st.expander("Classify a part of the image", icon=":material/crop:", key="part", on_change="rerun")
    if not expander.open:  # its content costs more than the prediction, and few people open it
        return None
    with expander:
        st.caption("The model expects an image cropped to its subject; it does not locate the subject.")
        sliders, preview = st.columns(2, gap="large")
        with sliders:
            size = st.slider("Size, % of the largest possible part", 5, 100, 100, 5, key="part-size")
            across = st.slider("Position from left to right, %", 0, 100, 50, 1, key="part-across")
            down = st.slider("Position from top to bottom, %", 0, 100, 50, 1, key="part-down")
        shares = size / 100, across / 100, down / 100
        is_whole = shares == (1.0, 0.5, 0.5)
        shown = part_box((whole.shown.height, whole.shown.width), geometry, *shares)
        if is_whole and geometry.fit != "crop":
            shown = (0, 0, whole.shown.width, whole.shown.height)
        preview.image(markup.framed(whole.shown, shown), width=320, alt="the image, with a frame around the part")
    if is_whole:
        return None
    return crop_upload(upload, part_box(whole.size, geometry, *shares), max_pixels=MAX_UPLOAD_PIXELS)
