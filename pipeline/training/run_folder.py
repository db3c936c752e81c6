"""The folder of one run: its name, its files, and how a run is replaced without losing the old one.

A run that is to be replaced is moved into a hidden folder inside its own folder, and stays there until the new run has
finished. If the new run stops before its first checkpoint, the old one is moved back.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import InputError, not_written
from pipeline.files.names import escape

RUN_FILES = (
    "model.h5",
    "checkpoint.h5",
    "data.h5",
    "config.toml",
    "history.csv",
    "metrics.json",
    "report.html",
    "filters.png",
    "predictions.csv",
)
_ASIDE = ".replaced"


def holds_run(folder: Path) -> bool:
    """Tell whether a folder holds a run, finished or not, or one that is being replaced."""
    return any((folder / name).exists() for name in ("model.h5", "checkpoint.h5", "data.h5", _ASIDE))


def run_name(source: str | Path) -> str:
    """Return a name for a run on this source, as valid UTF-8: that of the folder or file, or of the run it lies in."""
    path = Path(source).resolve()
    return escape((path.parent.name if path.name == "data.h5" else path.stem).lstrip(".")) or "run"


def run_folder(runs: str | Path, name: str | None, source: str | Path, *, overwrite: bool = False) -> Path:
    """Return the folder for a new run: RUNS/NAME, else RUNS/SOURCE, or the first of RUNS/SOURCE-2, -3 that is free.

    Parameters
    ----------
    runs : str or Path
    name : str or None
    source : str or Path
        Gives the name if there is none. The folder's name is always valid UTF-8.
    overwrite : bool
        The name may be taken: `making` will replace that run.

    Raises
    ------
    InputError
        When the name is not a plain name, or is taken.
    """
    runs, wanted = Path(runs), escape(name) if name else run_name(source)
    if Path(wanted).name != wanted or wanted.startswith("."):
        raise InputError(f"{wanted!r} does not work as a name; give a plain one such as first")
    folder, taken = runs / wanted, 1
    while not name and not overwrite and holds_run(folder):
        taken += 1
        folder = runs / f"{wanted}-{taken}"
    if not overwrite:
        _refuse_taken(folder)
    return folder


def _refuse_taken(folder: Path) -> None:
    if not holds_run(folder):
        return
    if (folder / "checkpoint.h5").exists():
        raise InputError(
            f"{folder}: holds a run already; choose another name, replace it with overwrite=True, or resume it with "
            f"facette.resume({str(folder)!r})"
        )
    what = "a run already"
    if not (folder / "model.h5").exists():
        what = "a run that was stopped before its first checkpoint, or is being prepared just now"
    raise InputError(
        f"{folder}: holds {what}; it cannot be resumed: choose another name, or replace it with overwrite=True"
    )


@contextmanager
def making(folder: Path, *, overwrite: bool) -> Iterator[None]:
    """Make a folder ready for a new run; if the block fails, everything is as it was.

    Raises
    ------
    InputError
        When the folder holds a run that is not to be replaced, or cannot be made.
    """
    if not overwrite:
        _refuse_taken(folder)
    existed = folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _set_aside(folder)
    except OSError as error:
        raise not_written(escape(folder), error) from None
    try:
        yield
    except BaseException:
        bring_back(folder)
        if not existed:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _set_aside(folder: Path) -> None:
    """Move the files of a run into the hidden folder; a run that is there already stays, and the newer one goes."""
    aside = folder / _ASIDE
    if aside.is_dir():
        _remove_files(folder)
    elif holds_run(folder):
        aside.mkdir()
        for file in RUN_FILES:
            if (folder / file).exists():
                (folder / file).replace(aside / file)


def bring_back(folder: Path) -> None:
    """Remove a run that has no checkpoint, and move the run that it was to replace back."""
    _remove_files(folder)
    aside = folder / _ASIDE
    if aside.is_dir():
        for file in aside.iterdir():
            file.replace(folder / file.name)
        aside.rmdir()


def forget_replaced(folder: Path) -> None:
    """Remove the run that was replaced: the new one is complete."""
    shutil.rmtree(folder / _ASIDE, ignore_errors=True)


def _remove_files(folder: Path) -> None:
    for file in RUN_FILES:
        (folder / file).unlink(missing_ok=True)
