"""Open whatever a person names as a data set: a data set file as it is, any other source through a temporary one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.data.config import DataConfig
from pipeline.data.dataset import Dataset, is_dataset
from pipeline.images.geometry import Geometry
from pipeline.ingestion.ingest import ingest
from pipeline.sources.open import open_source
from pipeline.sources.source import Source


@contextmanager
def open_or_ingest(
    location: str | Path,
    config: DataConfig | None = None,
    *,
    geometry: Geometry | None = None,
    split: str = "",
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[Dataset, Source | None]]:
    """Open a data set; ingest anything else into a temporary data set, which is deleted at the end.

    Parameters
    ----------
    location : str or Path
        A data set file, or anything `pipeline.sources.open.open_source` knows.
    config, geometry, split, jobs, progress
        As in `pipeline.ingestion.ingest.ingest`; a data set file is opened as it is, whatever they say.

    Yields
    ------
    dataset : Dataset
    source : Source or None
        What was ingested; None if the location is a data set file.

    Raises
    ------
    InputError
        If the location cannot be opened or ingested.
    """
    if is_dataset(location):
        with Dataset.open(location) as dataset:
            yield dataset, None
        return
    source = open_source(location, config.group_by if config else "")
    with TemporaryDirectory(prefix="facette-") as folder:
        target = Path(folder) / "data.h5"
        ingest(source, target, config, geometry=geometry, into=split, jobs=jobs, progress=progress)
        with Dataset.open(target) as dataset:
            yield dataset, source
