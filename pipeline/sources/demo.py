"""The demonstration data: the built-in sets that need no download, written out as class folders."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.errors import InputError, not_written
from pipeline.files.names import escape
from pipeline.images.encode import to_png
from pipeline.sources.builtin import BUILTIN_SETS, load_builtin

DEMOS = tuple(name for name, builtin in BUILTIN_SETS.items() if builtin.is_bundled)


def write_demo(name: str, folder: str | Path) -> Path:
    """Write the images of a demo as PNG files, a folder for each class, and return the folder.

    A folder that exists and holds exactly these files is left as it is.

    Raises
    ------
    InputError
        If the demo is unknown, or the folder cannot be written.
    """
    if name not in DEMOS:
        raise InputError(f"demo {name!r} is unknown; choose one of {', '.join(DEMOS)}")
    folder = Path(folder)
    images, labels, classes = load_builtin(name)
    files = [f"{classes[label]}/{i:04d}.png" for i, label in enumerate(labels)]
    if folder.is_dir() and sorted(files) == sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png")):
        return folder
    temporary = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        for label in classes:
            (temporary / label).mkdir(parents=True)
        for file, image in zip(files, images, strict=True):
            (temporary / file).write_bytes(to_png(image))
        if folder.exists():
            raise InputError(f"{folder}: exists but does not hold the demo images; move it away or use --data")
        temporary.rename(folder)
    except OSError as error:
        raise not_written(escape(folder), error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
