"""The images of the Playground: the sources in the folders of data and runs, and uploads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset, is_dataset
from pipeline.errors import InputError
from pipeline.files.walk import reason_to_ignore_name
from pipeline.images.errors import ImageError
from pipeline.images.geometry import Geometry
from pipeline.ingestion.ingest import ingest
from pipeline.ingestion.report import IngestReport
from pipeline.sources.labels import arrange, check_class_names
from pipeline.sources.source import Sample, Source
from pipeline.workers import Threads


@dataclass(frozen=True)
class ImageSet:
    """A data set to train on.

    Attributes
    ----------
    source : str
        Its name on the command line.
    data : Path
        The data set file.
    geometry : Geometry
    classes : tuple of str
    counts : dict of str to int
        Labelled images in each split.
    report : IngestReport or None
        What became of the files, if they were read just now.
    """

    source: str
    data: Path
    geometry: Geometry
    classes: tuple[str, ...]
    counts: dict[str, int]
    report: IngestReport | None = None


def find_sources(data: str | Path, runs: str | Path) -> list[str]:
    """Return the sources to train on in the folders of data and runs, sorted: data sets, archives, folders."""
    found = []
    for folder, pattern in ((Path(data), "*"), (Path(runs), "*/data.h5")):
        try:
            paths = [path for path in folder.glob(pattern) if not path.relative_to(folder).parts[0].startswith(".")]
        except OSError:
            continue
        found += sorted(str(p) for p in paths if p.suffix.lower() in (".h5", ".hdf5", ".zip", ".npz") or p.is_dir())
    return found


def from_files(files: Iterable[tuple[str, bytes]], name: str) -> Source:
    """Return uploaded files, each CLASS/... or ROOT/CLASS/..., as a source of images that stays in memory.

    Raises
    ------
    InputError
        When no image is in a folder.
    """
    given = dict(files)
    kept = sorted(path for path in given if not any(map(reason_to_ignore_name, path.split("/"))))
    roots = {path.partition("/")[0] for path in kept}
    if len(roots) == 1 and all(path.count("/") > 1 for path in kept):
        prefix = f"{roots.pop()}/"
        given = {path.removeprefix(prefix): data for path, data in given.items()}
        kept = [path.removeprefix(prefix) for path in kept]
    if not any("/" in path for path in kept):
        raise InputError(f"{name}: needs one sub-folder of images for each class")
    samples, notes = arrange(kept, name)

    def read(sample: Sample) -> bytes:
        data = given[str(sample.key)]
        if not data:
            raise ImageError("empty_file", "is empty")
        return data

    passed = {"hidden or system": len(given) - len(kept)} if len(given) > len(kept) else {}
    source = Source("folder", name, samples, read, ignored=passed, notes=notes)
    check_class_names(source)
    return source


def read_image_set(source: str | Source, folder: Path, config: DataConfig | None = None) -> ImageSet:
    """Read images into a data set in `folder`; a source that is a data set already is used in place.

    Raises
    ------
    InputError, ConfigError
        When the images cannot be trained on.
    """
    if isinstance(source, str) and is_dataset(source):
        data, report = Path(source), None
    else:
        data = folder / "data.h5"
        report = ingest(source, data, config, workers=Threads(os.cpu_count() or 1))
    name = source.location if isinstance(source, Source) else source
    with Dataset.open(data) as dataset:
        counts = {split: len(dataset.indices(split)) for split in ("train", "validation", "test")}
        if not counts["train"] or len(dataset.classes) < 2:
            raise InputError(f"{name}: has no labelled training images of two classes or more; add some")
        return ImageSet(name, data, dataset.geometry, dataset.classes, counts, report)
