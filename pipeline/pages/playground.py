"""Train a network on pictures of one's own: choose, start, watch, pause, keep."""

from __future__ import annotations

import html
import shutil
import tempfile
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import streamlit as st

from model.config import ConfigError
from pipeline import playground
from pipeline.background import Look, Training
from pipeline.config import DataConfig, Geometry
from pipeline.errors import InputError
from pipeline.figures import filter_pictures
from pipeline.launch import MAX_UPLOAD_MEGABYTES
from pipeline.pages import choice, drawing, ledger
from pipeline.pages.choice import PROBLEMS, Chosen
from pipeline.pages.train_demo import curves
from pipeline.playground import Pictures, Plan, Setting
from pipeline.run_folder import holds_run
from pipeline.samples import Source
from pipeline.sources import open_source
from pipeline.train import Recipe

MAX_PICTURES = 2_000
DATA = Path("data")
_WATCH_EVERY = 0.7  # seconds
_PATIENCE = 2.0  # seconds to wait for what takes a tenth, unless another training is at work
_UNITS = 24
_MOST_CLASSES_SHOWN = 12
COMMON = (
    "hidden",
    "activation",
    "learning_rate",
    "optimizer",
    "epochs",
    "batch_size",
    "dropout",
    "weight_decay",
    "l2",
    "augment",
)
_DEMOS = {"Faces": "lfw_subset", "Digits": "digits"}
_USES = {"train": "to train on", "validation": "to validate on", "test": "to test on"}
_LABELS = {
    "hidden": "Hidden layers",
    "augment": "Augmentation",
    "l2": "L2 penalty",
    "size": "Size, pixels",
}
_ABOUT = {
    "Faces": "100 faces and 100 crops that are none, 25×25 pixels, from scikit-image.",
    "Digits": "1,797 handwritten digits, 8×8 pixels, from scikit-learn.",
}


class Bench:
    """What one visitor has on the table. It goes with the session: so do its folder and its training."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="facette-"))
        self._folders = [self.folder]  # of its own, and of its trainings
        self.pictures: Pictures | None = None
        self.problem = ""
        self.key: Hashable = None
        self.data: DataConfig | None = None  # how the pictures were read
        self.begun: tuple[Pictures, Recipe] | None = None  # what the training was begun with
        self.saving: tuple[Path, Future] | None = None
        self._file: tuple[int, Future] | None = None  # the model after so many epochs
        self._trainings: list[Training] = []  # one at most
        self._stopping: Training | None = None
        self._n = 0
        weakref.finalize(self, _clear_away, self._trainings, self._folders)

    @property
    def training(self) -> Training | None:
        """The training, if one was begun."""
        return self._trainings[0] if self._trainings else None

    @property
    def is_set(self) -> bool:
        """Whether the pictures were a data set before, read and split already."""
        return bool(self.pictures and str(self.pictures.data) == self.pictures.source)

    @property
    def is_active(self) -> bool:
        """Whether what is shown of the training changes by itself."""
        return self.is_stopping or bool(self.training and not self.training.is_resting)

    @property
    def is_stopping(self) -> bool:
        """Whether a training that was dropped is still at work: what comes before its first epoch is not cut off."""
        return bool(self._stopping and self._stopping.is_alive)

    def lay_out(self, key: Hashable, source: Callable[[], str | Source], data: DataConfig) -> None:
        """Read pictures, unless the table holds just these."""
        if (key, data) == (self.key, self.data):
            return
        self._n += 1
        folder = self.folder / f"pictures-{self._n}"
        self.key, self.data, self.pictures, self.problem = key, data, None, ""
        try:
            folder.mkdir(parents=True)
            with st.spinner("Reading the pictures …"):
                self.pictures = playground.read_pictures(source(), folder, data)
        except PROBLEMS as error:
            self.problem = str(error)
        used = {self.pictures and self.pictures.data.parent, self.begun and self.begun[0].data.parent}
        for other in self.folder.glob("pictures-*"):
            if other not in used:
                shutil.rmtree(other, ignore_errors=True)

    def clear(self) -> None:
        """Take the pictures off the table."""
        self.key, self.pictures, self.problem = None, None, ""

    def begin(self, recipe: Recipe, epochs: float) -> None:
        """Begin a training on the pictures; one that was there is dropped."""
        assert self.pictures is not None
        self.reset()
        self.begun = self.pictures, recipe
        folder = Path(tempfile.mkdtemp(prefix="facette-"))
        self._folders.append(folder)
        make = partial(playground.begin, self.pictures, recipe, folder / playground.run_name(self.pictures.source))
        training = Training(make, after=partial(shutil.rmtree, folder, ignore_errors=True))
        self._trainings.append(training.start(epochs))

    def reset(self) -> None:
        """Drop the training."""
        self._stopping = self.training or self._stopping
        _close(self._trainings)
        self.begun = self.saving = self._file = None

    def model_file(self) -> bytes | None:
        """Return the model as a file; None while the training does not rest, or waits for somebody else's."""
        training = self.training
        if training is None or self.is_active:
            return None
        if self._file is None or self._file[0] != len(training.records):
            self._file = len(training.records), training.ask(playground.model_file)
        future = self._file[1]
        wait([future], _PATIENCE)
        return None if not future.done() or future.cancelled() or future.exception() else future.result()


def _close(trainings: list[Training]) -> None:
    while trainings:
        trainings.pop().close()


def _clear_away(trainings: list[Training], folders: list[Path]) -> None:
    _close(trainings)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def render(chosen: Chosen) -> None:
    """Draw the page."""
    if "bench" not in st.session_state:
        st.session_state["bench"] = Bench()
    bench: Bench = st.session_state["bench"]
    st.title("Playground")
    st.markdown("Train a network here: choose pictures and settings, start, and watch it learn.")
    of_pictures = _pictures(bench, chosen)
    choices, training = st.columns([2, 3], gap="large")
    with choices:
        words, places = _settings()
    words |= of_pictures
    recipe, problems = playground.read_settings(words)
    plan: Plan | None = None
    if bench.pictures and not problems:
        try:
            plan = playground.plan(recipe, bench.pictures)
        except ConfigError as error:
            name, sentence = playground.sentence_of(error)
            problems = {name: sentence}
        except PROBLEMS as error:
            problems = {"": str(error)}
    for name, sentence in problems.items():
        places.get(name, training).error(drawing.plain(sentence), icon=":material/error:")
    with training:
        st.subheader("Training", anchor=False)
        draw = st.fragment(_live, run_every=_WATCH_EVERY if bench.is_active else None)
        draw(bench, chosen.runs, recipe if plan else None)
        if plan and bench.pictures:
            st.subheader("Shapes", anchor=False)
            ledger.draw(plan.ledger, bench.pictures.geometry)
            st.caption(_resolved(plan, words))
            _outside(bench, bench.pictures, recipe, words)


# Pictures


def _pictures(bench: Bench, chosen: Chosen) -> dict[str, str]:
    """Draw the choice of pictures, and what was found in them; return the words of how they are read."""
    ways: dict[str, Callable[[Bench, Chosen, DataConfig], None]] = {
        **{name: partial(_demo, name) for name in _DEMOS},
        "In a folder here": _found,
        "Upload a zip": partial(_uploaded, "zip"),
        "Upload a folder": partial(_uploaded, "folder"),
        "Upload class by class": _by_class,
    }
    with st.container(border=True):
        way = st.segmented_control(
            "Pictures", list(ways), default="Faces", required=True, key="pictures", bind="query-params"
        )
        place = st.container()
        with st.container(horizontal=True):
            found = playground.settings()
            words = {name: _widget(found[name], is_bound=True, width=180) for name in ("size", "color")}
        data, problems = playground.read_picture_settings(words)
        with place:
            ways[way or "Faces"](bench, chosen, data)
        for sentence in filter(None, (*problems.values(), bench.problem)):
            st.error(drawing.plain(sentence), icon=":material/error:")
        if bench.pictures:
            _describe(bench.pictures)
            if bench.is_set:
                st.caption("These are a data set already: size and colour stay as they are.")
                return {}
    return words


def _demo(name: str, bench: Bench, _: Chosen, data: DataConfig) -> None:
    st.caption(_ABOUT[name])
    bench.lay_out(name, lambda: _DEMOS[name], data)


def _found(bench: Bench, chosen: Chosen, data: DataConfig) -> None:
    sources = playground.find_sources(DATA, chosen.runs)
    if not sources:
        bench.clear()
        st.info(
            f"There are no pictures in the folders {DATA} and {chosen.runs} yet. Put a folder with one sub-folder for "
            f"each class into {DATA}, and reload this page.",
            icon=":material/folder_open:",
        )
        return
    source = st.selectbox("Folder, archive or data set", sources, key="source", bind="query-params")
    try:
        written = Path(source).stat().st_mtime
    except OSError:
        written = 0.0
    bench.lay_out((source, written), lambda: source, data)


def _uploaded(kind: str, bench: Bench, _: Chosen, data: DataConfig) -> None:
    """Take a zip archive, or a folder, with a sub-folder for each class."""
    what = "zip archive" if kind == "zip" else "folder"
    files = st.file_uploader(
        f"A {what} with one sub-folder of pictures for each class",
        type="zip" if kind == "zip" else None,
        accept_multiple_files=False if kind == "zip" else "directory",
        max_upload_size=MAX_UPLOAD_MEGABYTES,
        key=f"train-{kind}",
        on_change=bench.clear,
        help=f"At most {MAX_UPLOAD_MEGABYTES} MB each. Nothing is kept until you save a model.",
    )
    if not files:
        _still_here(bench, kind, data, f"Add a {what}. It holds one sub-folder of pictures for each class.")
    elif isinstance(files, list):
        given = [(file.name, file) for file in files]
        if _few_enough(bench, len(given)):
            name = files[0].name.partition("/")[0]
            key = (kind, tuple(file.file_id for file in files))
            bench.lay_out(
                key, lambda: playground.from_files([(path, file.getvalue()) for path, file in given], name), data
            )
    else:
        bench.lay_out((kind, files.file_id), lambda: _unpacked(bench, files.name, files.getvalue()), data)


def _unpacked(bench: Bench, name: str, data: bytes) -> Source:
    """Open an uploaded archive, which the sources read from a file; it keeps the name it came with."""
    path = bench.folder / "upload.zip"
    path.write_bytes(data)
    try:
        return replace(open_source(path), location=name)
    except InputError as error:
        raise InputError(str(error).replace(str(path), name)) from None


def _by_class(bench: Bench, _: Chosen, data: DataConfig) -> None:
    n_classes = st.number_input("Classes", 2, 10, 2, key="n-classes", persist_state="session", width=160)
    files = []
    for i in range(1, int(n_classes) + 1):
        label, uploader = st.columns([1, 3])
        name = label.text_input(f"Name of class {i}", f"class {i}", key=f"class-{i}", persist_state="session")
        given = uploader.file_uploader(
            f"Pictures of {drawing.plain(name) or f'class {i}'}",
            accept_multiple_files=True,
            max_upload_size=MAX_UPLOAD_MEGABYTES,
            key=f"train-class-{i}",
            on_change=bench.clear,
        )
        folder = name.strip().replace("/", "-") or f"class {i}"
        files += [(f"{folder}/{k:04d}-{file.name}", file) for k, file in enumerate(given, start=1)]
    if len({path.partition("/")[0] for path, _ in files}) < 2:
        _still_here(bench, "class", data, "Add pictures of two classes or more: ten of each are a beginning.")
    elif _few_enough(bench, len(files)):
        key = ("class", tuple((path, file.file_id) for path, file in files))
        bench.lay_out(
            key, lambda: playground.from_files([(path, file.getvalue()) for path, file in files], "my-pictures"), data
        )


def _few_enough(bench: Bench, n: int) -> bool:
    if n > MAX_PICTURES:
        bench.clear()
        st.warning(
            f"{n:,} pictures are too many for the app, which takes {MAX_PICTURES:,}. For all of them, type  "
            "`facette train FOLDER`  in a terminal."
        )
    return n <= MAX_PICTURES


def _still_here(bench: Bench, kind: str, data: DataConfig, words: str) -> None:
    """Say what to do; or, back from another page, that the pictures uploaded before are still there."""
    if isinstance(bench.key, tuple) and (bench.key[0], bench.data) == (kind, data) and bench.pictures:
        st.caption(f"Still here from before: {drawing.plain(bench.pictures.source)}.")
        return
    bench.clear()
    st.info(words, icon=":material/add_photo_alternate:")


def _describe(pictures: Pictures) -> None:
    """Say what the pictures are."""
    geometry, report = pictures.geometry, pictures.report
    names = ", ".join(pictures.classes[:6]) + (" …" if len(pictures.classes) > 6 else "")
    splits = ", ".join(
        f"{pictures.counts[split]:,} {words}" for split, words in _USES.items() if pictures.counts[split]
    )
    st.markdown(
        f"**{sum(pictures.counts.values()):,} pictures** of {geometry.width}×{geometry.height} {geometry.color} pixels "
        f"in **{len(pictures.classes)} classes** ({drawing.plain(names)}): {splits}."
    )
    if report and report.rejected:
        with st.expander(
            f"{len(report.rejected):,} of {report.ingested + len(report.rejected):,} files could not be read"
        ):
            st.table([{"file": path, "why": message} for path, _, message in report.rejected[:50]])
    for note in report.notes if report else ():
        st.caption(drawing.plain(note))


# Settings


def _settings() -> tuple[dict[str, str], dict[str, st.delta_generator.DeltaGenerator]]:
    """Draw a widget for each setting; return the words, and the place beside each for what is wrong with it."""
    found = playground.settings()
    words: dict[str, str] = {}
    places: dict[str, st.delta_generator.DeltaGenerator] = {}

    def grid(names: list[str]) -> None:
        for pair in (names[i : i + 2] for i in range(0, len(names), 2)):
            with st.container(horizontal=True):
                for name in pair:
                    words[name] = _widget(found[name], is_bound=name in COMMON)
            places.update(dict.fromkeys(pair, st.container()))

    st.subheader("Settings", anchor=False)
    grid(list(COMMON))
    with st.expander("All other settings"):
        for section in dict.fromkeys(setting.section for setting in found.values() if setting.section != "pictures"):
            st.markdown(f"**{section.capitalize()}**")
            grid([name for name, setting in found.items() if setting.section == section and name not in COMMON])
    return words, places


def _widget(setting: Setting, *, is_bound: bool, width: int | Literal["stretch"] = "stretch") -> str:
    """Draw one setting; the common ones are in the address, so that it can be passed on."""
    label = _LABELS.get(setting.name) or setting.name.replace("_", " ").capitalize()
    keeping: dict[str, Any] = {"width": width} | (
        {"bind": "query-params"} if is_bound else {"persist_state": "session"}
    )
    if setting.choices:
        index = setting.choices.index(setting.default)
        word = st.selectbox(label, setting.choices, index, key=setting.name, help=setting.help, **keeping)
        return word or setting.default
    hint = "none" if not setting.default else f"{setting.default}"
    help = setting.help + ("; units with commas between them, or none" if setting.name == "hidden" else "")
    live = setting.name != "size"  # which reads the pictures anew
    return st.text_input(label, setting.default, key=setting.name, help=help, placeholder=hint, live=live, **keeping)


def _resolved(plan: Plan, words: dict[str, str]) -> str:
    """Say what "auto" comes to."""
    values = plan.words()
    autos = [name for name in COMMON if words[name].strip() in ("", "auto") and values[name] != words[name]]
    if not autos:
        return ""
    said = " · ".join(f"{name.replace('_', ' ')} {values[name]}" for name in autos)
    return f"For these pictures, auto is: {said}" + (" (to begin with: a trial decides)" if "augment" in autos else "")


def _outside(bench: Bench, pictures: Pictures, recipe: Recipe, words: dict[str, str]) -> None:
    """Draw the command and the program that train the same network."""
    st.subheader("The same without the browser", anchor=False)
    shell, python = st.tabs(["Command", "Python"])
    shell.code(playground.command(pictures.source, words), language="shell", wrap_lines=True)
    python.code(
        playground.python_code(pictures.source, recipe, None if bench.is_set else bench.data),
        language="python",
        wrap_lines=True,
    )
    note = "It trains the same network: same pictures, same seed."
    if not bench.is_set and pictures.source not in _DEMOS.values():
        note = f"{drawing.plain(pictures.source)} stands for where your pictures lie. {note}"
    st.caption(note)


# The training


def _live(bench: Bench, runs: Path, recipe: Recipe | None) -> None:
    """Draw the training and what can be done with it: a fragment, so that the rest of the page stays as it is."""
    was_active = bench.is_active
    _take_up_saved(bench)
    _buttons(bench, recipe)
    training = bench.training
    if bench.is_stopping:
        st.caption("The training before is stopping: once its first layer is learned, if it is at that.")
    if training is None:
        if was_active and not bench.is_active:
            st.rerun()
        if bench.pictures is None:
            st.caption("Choose pictures first.")
        elif recipe:
            st.caption("Nothing is trained yet: press Start, or go through it epoch by epoch.")
        return
    records = list(training.records)
    share = len(records) / training.epochs if training.epochs else 0.0
    st.progress(min(1.0, share), text=_status(bench, training))
    if training.error:
        st.error(drawing.plain(training.error), icon=":material/error:")
    if recipe and bench.begun != (bench.pictures, recipe):
        st.caption("Pictures or settings are others now than those of this training. Reset it to train with them.")
    curves(records)
    if training.look and bench.begun:
        _look(training.look, bench.begun[0])
    if records:
        _keep(bench, runs)
    if was_active and not bench.is_active:
        st.rerun()


def _buttons(bench: Bench, recipe: Recipe | None) -> None:
    """Draw Start or Pause or Continue, one epoch, and reset."""
    training, done = bench.training, False
    with st.container(horizontal=True):
        if training is None or not training.is_alive or training.is_over:
            label = "Start" if training is None else "Start again"
            if st.button(label, type="primary", icon=":material/play_arrow:", disabled=recipe is None, key="go"):
                assert recipe is not None
                bench.begin(recipe, float("inf"))
                done = True
        elif bench.is_active:
            done = st.button("Pause", type="primary", icon=":material/pause:", on_click=training.pause, key="pause")
        else:
            done = st.button(
                "Continue", type="primary", icon=":material/play_arrow:", on_click=training.go_on, key="continue"
            )
        can_step = recipe is not None if training is None else training.is_alive and not training.is_over
        if st.button("One epoch", icon=":material/skip_next:", disabled=not can_step or bench.is_active, key="step"):
            if training is None:
                assert recipe is not None
                bench.begin(recipe, 1)
            else:
                training.go_on(1)
            done = True
        if st.button("Reset", icon=":material/restart_alt:", disabled=training is None, key="reset"):
            bench.reset()
            done = True
    if done:
        st.rerun()


def _status(bench: Bench, training: Training) -> str:
    done, total = len(training.records), training.epochs
    if training.place:
        others = "1 training is" if training.place == 1 else f"{training.place} trainings are"
        return f"Waiting: {others} before yours"
    if bench.saving:
        return "Saving: evaluating, and writing the report …"
    if training.is_over:
        return f"Done: {done} of {total} epochs" if done < total else f"Done: {total} epochs"
    if not training.is_alive:
        return "Ended"
    if not total:
        return "Preparing pictures and network …"
    if bench.is_active:
        return f"Epoch {min(done + 1, total)} of {total} …"
    return f"Paused after epoch {done} of {total}"


def _look(look: Look, pictures: Pictures) -> None:
    """Draw the first layer, and which classes are mistaken for which."""
    st.markdown(f"**First layer** after epoch {look.epoch}: weights of its first units")
    st.html(_tiles(look, pictures.geometry))
    if look.confusion is not None:
        st.markdown("**Validation pictures**: a row for each true class, a column for each answer")
        st.html(_confusion(look.confusion, pictures.classes))


def _tiles(look: Look, geometry: Geometry) -> str:
    W = look.W[:_UNITS]
    images = np.rint(255 * filter_pictures(W, geometry.shape)).astype(np.uint8)
    return drawing.tiles(
        [(drawing.data_url(image), "", f"weights of unit {i}") for i, image in enumerate(images, start=1)], small=True
    )


_RIGHT, _WRONG = "0, 114, 178", "230, 159, 0"


def _confusion(counts: np.ndarray, classes: tuple[str, ...]) -> str:
    """Return how often each class got which answer, as an HTML table; of many classes only the mistakes made most."""
    if len(classes) > _MOST_CLASSES_SHOWN:
        return _worst(counts, classes)
    head = "".join(f"<th scope='col' title='{html.escape(c)}'>{html.escape(c)}</th>" for c in classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows, faint = "", "<span style='opacity:.35'>0</span>"
    for k, name in enumerate(classes):
        cells = "".join(
            f"<td style='background: rgba({_RIGHT if k == j else _WRONG}, {0.75 * share:.2f})'>{n or faint}</td>"
            for j, (n, share) in enumerate(zip(counts[k], shares[k], strict=True))
        )
        rows += f"<tr><th scope='row' title='{html.escape(name)}'>{html.escape(name)}</th>{cells}</tr>"
    right = counts.trace() / max(1, counts.sum())
    return (
        f"<div class='facette-scroll' tabindex='0'><table class='facette-confusion' "
        f"aria-label='Confusion matrix: a row for each true class, a column for each answer'>"
        f"<tr><td></td>{head}</tr>{rows}</table></div>"
        f"<p style='font-size:.85rem; opacity:.75'>{100 * right:.1f}% of {counts.sum():,} right: "
        "blue; mistakes: orange.</p>"
    )


def _worst(counts: np.ndarray, classes: tuple[str, ...]) -> str:
    wrong = counts * (1 - np.eye(len(classes), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_CLASSES_SHOWN]
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(classes[k])}</th><td>{html.escape(classes[j])}</td>"
        f"<td>{wrong[k, j]:,}</td></tr>"
        for k, j in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[k, j]
    )
    right = counts.trace() / max(1, counts.sum())
    head = "<tr><th scope='col'>true class</th><th scope='col'>taken for</th><th scope='col'>times</th></tr>"
    return (
        f"<div class='facette-scroll' tabindex='0'><table class='facette-confusion' "
        f"aria-label='Mistakes made most'>{head}{rows}</table></div>"
        f"<p style='font-size:.85rem; opacity:.75'>{100 * right:.1f}% of {counts.sum():,} right.</p>"
    )


# Keeping it


def _keep(bench: Bench, runs: Path) -> None:
    """Draw how to save the model into the runs, or to download it as it is while the training rests."""
    training = bench.training
    if training is None or not training.is_alive or bench.begun is None:
        return
    pictures, _ = bench.begun
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Save as", playground.run_name(pictures.source), key="run-name", width=220)
        folder = runs / name.strip()
        is_plain = bool(name.strip()) and folder.name == name.strip() and not name.strip().startswith(".")
        is_free = is_plain and not holds_run(folder)
        if st.button("Save", icon=":material/save:", disabled=not is_free or bool(bench.saving), key="save"):
            bench.saving = folder, training.ask(partial(playground.keep, folder=folder))
            st.rerun()
        model = bench.model_file()
        st.download_button(
            "Download",
            model or b"",
            file_name=f"{folder.name or 'model'}.h5",
            mime="application/x-hdf5",
            icon=":material/download:",
            on_click="ignore",
            disabled=model is None,
        )
    if not is_plain:
        st.caption("A plain name is needed, such as first.")
    elif not is_free and not bench.saving and st.session_state.get("saved") != folder.name:
        st.caption(f"There is a run {drawing.plain(folder.name)} already: give another name.")
    if saved := st.session_state.get("saved"):
        st.success(
            f"Saved in {drawing.plain(str(runs / saved))}, and chosen in the side bar: see Classify.",
            icon=":material/check_circle:",
        )


def _take_up_saved(bench: Bench) -> None:
    """Once a model is saved, choose it in the side bar; or say why it is not."""
    if not bench.saving or not bench.saving[1].done():
        return
    (folder, future), bench.saving = bench.saving, None
    if future.cancelled():
        return
    if error := future.exception():
        st.error(drawing.plain(str(error)), icon=":material/error:")
        return
    st.session_state["saved"] = folder.name
    choice.show(folder.name)
    st.rerun()
