"""The Playground's choice of images: a demo, images on the computer that runs the app, or an upload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import streamlit as st

from pipeline.data.config import DataConfig
from pipeline.errors import InputError
from pipeline.explanation.wording import describe_geometry
from pipeline.invocation import command_line
from pipeline.pages.playground.session import PlaygroundSession
from pipeline.pages.playground.settings import widget
from pipeline.pages.widgets import markup
from pipeline.pages.widgets.sidebar import DATA_FOLDER, Chosen
from pipeline.playground.images import ImageSet, find_sources, from_files
from pipeline.serve import MAX_UPLOAD_MEGABYTES
from pipeline.settings import all_settings, read_image_settings
from pipeline.sources.builtin import BUILTIN_SETS
from pipeline.sources.demo import DEMOS
from pipeline.sources.open import open_source
from pipeline.sources.source import Source

MAX_TRAINING_IMAGES = 2_000
_USES = {"train": "for training", "validation": "for validation", "test": "for testing"}


def draw_images(session: PlaygroundSession, chosen: Chosen) -> dict[str, str]:
    """Draw the choice of images and a summary of them; return the settings of how they are read, as text."""
    ways: dict[str, Callable[[PlaygroundSession, Chosen, DataConfig], None]] = {
        **{name.capitalize(): partial(_load_builtin, name) for name in DEMOS},
        "On this computer": _load_local,
        "Upload a zip": partial(_load_upload, "zip"),
        "Upload a folder": partial(_load_upload, "folder"),
        "Upload class by class": _load_classes,
    }
    with st.container(border=True):
        way = st.segmented_control(
            "Images", list(ways), default="Faces", required=True, key="images", bind="query-params"
        )
        choice = st.container()
        with st.container(horizontal=True):
            found = all_settings()
            texts = {name: widget(found[name], is_bound=True, width=180) for name in ("size", "color")}
        data, problems = read_image_settings(texts)
        with choice:
            ways[way or "Faces"](session, chosen, data)
        for problem in filter(None, (*problems.values(), session.problem)):
            st.error(markup.plain(problem), icon=":material/error:")
        if session.image_set:
            _draw_summary(session.image_set)
            if session.is_set:
                st.caption("This is a data set already, so the size and the colour of its images are fixed.")
                return {}
    return texts


def _load_builtin(name: str, session: PlaygroundSession, _: Chosen, data: DataConfig) -> None:
    st.caption(BUILTIN_SETS[name].about)
    session.load_images(name, lambda: name, data)


def _load_local(session: PlaygroundSession, chosen: Chosen, data: DataConfig) -> None:
    sources = find_sources(DATA_FOLDER, chosen.runs)
    if not sources:
        session.reset_images()
        st.info(
            f"There are no images in the folders {DATA_FOLDER} and {chosen.runs} yet. Put a folder with one sub-folder "
            f"for each class into {DATA_FOLDER}, and reload this page.",
            icon=":material/folder_open:",
        )
        return
    source = st.selectbox("Folder, archive or data set", sources, key="source", bind="query-params")
    try:
        written = Path(source).stat().st_mtime
    except OSError:
        written = 0.0
    session.load_images((source, written), lambda: source, data)


def _load_upload(kind: str, session: PlaygroundSession, _: Chosen, data: DataConfig) -> None:
    """Load a zip archive or a folder with one sub-folder for each class."""
    what = "zip archive" if kind == "zip" else "folder"
    files = st.file_uploader(
        f"A {what} with one sub-folder of images for each class",
        type="zip" if kind == "zip" else None,
        accept_multiple_files=False if kind == "zip" else "directory",
        max_upload_size=MAX_UPLOAD_MEGABYTES,
        key=f"train-{kind}",
        on_change=session.reset_images,
        help=f"At most {MAX_UPLOAD_MEGABYTES} MB per file. Nothing is stored until you save a model.",
    )
    if not files:
        _still_here(session, kind, data, f"Add a {what} with one sub-folder of images for each class.")
    elif isinstance(files, list):
        given = [(file.name, file) for file in files]
        if _few_enough(session, len(given)):
            name = files[0].name.partition("/")[0]
            key = (kind, tuple(file.file_id for file in files))
            session.load_images(key, lambda: from_files([(path, file.getvalue()) for path, file in given], name), data)
    else:
        session.load_images((kind, files.file_id), lambda: _unpack_upload(session, files.name, files.getvalue()), data)


def _unpack_upload(session: PlaygroundSession, name: str, data: bytes) -> Source:
    """Open an uploaded archive as a source that keeps the name of the upload; sources read archives from files."""
    path = session.folder / "upload.zip"
    path.write_bytes(data)
    try:
        return replace(open_source(path), location=name)
    except InputError as error:
        raise InputError(str(error).replace(str(path), name)) from None


def _load_classes(session: PlaygroundSession, _: Chosen, data: DataConfig) -> None:
    n_classes = st.number_input("Classes", 2, 10, 2, key="n-classes", persist_state="session", width=160)
    files = []
    for i in range(1, int(n_classes) + 1):
        label, uploader = st.columns([1, 3])
        name = label.text_input(f"Name of class {i}", f"class {i}", key=f"class-{i}", persist_state="session")
        given = uploader.file_uploader(
            f"Images of {markup.plain(name) or f'class {i}'}",
            accept_multiple_files=True,
            max_upload_size=MAX_UPLOAD_MEGABYTES,
            key=f"train-class-{i}",
            on_change=session.reset_images,
        )
        folder = name.strip().replace("/", "-") or f"class {i}"
        files += [(f"{folder}/{k:04d}-{file.name}", file) for k, file in enumerate(given, start=1)]
    if len({path.partition("/")[0] for path, _ in files}) < 2:
        _still_here(session, "class", data, "Add images of at least two classes; ten of each are enough to start with.")
    elif _few_enough(session, len(files)):
        key = ("class", tuple((path, file.file_id) for path, file in files))
        session.load_images(
            key, lambda: from_files([(path, file.getvalue()) for path, file in files], "my-images"), data
        )


def _few_enough(session: PlaygroundSession, n: int) -> bool:
    if n > MAX_TRAINING_IMAGES:
        session.reset_images()
        command = command_line("train", "FOLDER")
        st.warning(
            f"{n:,} images are too many for the app, which takes at most {MAX_TRAINING_IMAGES:,}. To train on all of "
            f"them, run  `{command}`  in a terminal."
        )
    return n <= MAX_TRAINING_IMAGES


def _still_here(session: PlaygroundSession, kind: str, data: DataConfig, instruction: str) -> None:
    """Say what to do; or, if the visitor comes back from another page, which images were uploaded earlier."""
    if isinstance(session.key, tuple) and (session.key[0], session.data) == (kind, data) and session.image_set:
        st.caption(f"Uploaded earlier: {markup.plain(session.image_set.source)}.")
        return
    session.reset_images()
    st.info(instruction, icon=":material/add_photo_alternate:")


def _draw_summary(image_set: ImageSet) -> None:
    """Draw how many images there are, of which classes and for which use, and what is wrong with them."""
    report = image_set.report
    names = ", ".join(image_set.classes[:6]) + (" …" if len(image_set.classes) > 6 else "")
    splits = ", ".join(f"{image_set.counts[split]:,} {use}" for split, use in _USES.items() if image_set.counts[split])
    st.markdown(
        f"**{sum(image_set.counts.values()):,} images** ({describe_geometry(image_set.geometry)}) "
        f"in **{len(image_set.classes)} classes** ({markup.plain(names)}): {splits}."
    )
    if report and report.rejected:
        with st.expander(
            f"{len(report.rejected):,} of {report.ingested + len(report.rejected):,} files could not be read"
        ):
            rejected = [(markup.plain(path), markup.plain(message)) for path, _, message in report.rejected[:50]]
            st.table([{"file": path, "problem": message} for path, message in rejected])
    for note in report.notes if report else ():
        st.caption(markup.plain(note))
