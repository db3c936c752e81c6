"""From a source of pictures to a data set file, with every file accounted for.

found = ingested + rejected + ignored, always. Pictures are decoded by several threads, but written in the order of the
source, so the file is the same for any number of them. They are streamed into a temporary file beside the target,
which takes the target's place only when it is whole.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from pipeline import split as splitting
from pipeline.config import DataConfig, Geometry, Survey, resolve_geometry
from pipeline.dataset import FORMAT, VERSION, Dataset, fingerprint, is_dataset
from pipeline.division import Division, divide
from pipeline.errors import InputError
from pipeline.images import PictureError, from_array, is_gray, measure, open_picture, render
from pipeline.listing import count, escape, safe_cell
from pipeline.looks import MEASURES, THUMBNAIL_SIDE, Look, look_at
from pipeline.samples import Sample, Source
from pipeline.sources import open_source
from pipeline.split import SPLITS

SURVEYED = 200
_CHUNK_BYTES = 1 << 20
_DIGEST_BYTES = 16
_T = TypeVar("_T")
_R = TypeVar("_R")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class IngestReport:
    """What became of every file: `found` = `ingested` + ``len(rejected)`` + the sum of `ignored`.

    Attributes
    ----------
    rejected : tuple of (path, code, message)
    ignored : dict of str to int
        How many were passed over, by reason.
    classes, splits : dict of str to int
        Pictures by class and by split, of the whole data set.
    by_split : dict of str to dict of str to int
        Pictures by split, then by class.
    duplicates : int
        Pictures that come to the same pixels as an earlier one.
    near_duplicates : tuple of (path, path)
        Confirmed pairs.
    groups : int
        Groups of pictures that were kept on one side.
    naive_leaks : int
        Held-out pictures that a random split, blind to groups, would have had a relative of in training.
    leaks : tuple of tuples of str
        Of a ready-made division: pictures that belong together on several sides, each as ``SPLIT: PATH``.
    conflicts : tuple of tuples of str
        Pictures of the same pixels with several labels, each as ``CLASS: PATH``.
    notes : tuple of str
        What else a person should know.
    """

    target: str
    source: str
    kind: str
    found: int
    ingested: int
    rejected: tuple[tuple[str, str, str], ...]
    ignored: dict[str, int]
    geometry: Geometry
    classes: dict[str, int]
    unlabelled: int
    splits: dict[str, int]
    by_split: dict[str, dict[str, int]]
    ready_made: bool
    duplicates: int
    near_duplicates: tuple[tuple[str, str], ...]
    groups: int
    naive_leaks: int
    leaks: tuple[tuple[str, ...], ...]
    dropped: int
    conflicts: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    fingerprint: str

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class _Row:
    """One decoded picture, on its way into the file."""

    sample: Sample
    pixels: np.ndarray
    sha256: bytes
    size: tuple[int, int]
    kind: str
    look: Look


@dataclass
class _Table:
    """Everything about the pictures but their pixels, a list a column: small enough to stay in memory."""

    samples: list[Sample] = field(default_factory=list)
    sha256: list[bytes] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    measures: list[tuple[float, ...]] = field(default_factory=list)
    thumbnails: dict[int, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.samples)

    def add(self, row: _Row) -> None:
        if row.look.thumbnail is not None:
            self.thumbnails[len(self)] = row.look.thumbnail
        self.samples.append(row.sample)
        self.sha256.append(row.sha256)
        self.digests.append(digest(row.pixels))
        self.sizes.append(row.size)
        self.kinds.append(row.kind)
        self.measures.append(tuple(getattr(row.look, name) for name in MEASURES))


def ingest(
    source: str | Path | Source,
    target: str | Path,
    config: DataConfig | None = None,
    *,
    geometry: Geometry | None = None,
    into: str = "",
    append: bool = False,
    dry_run: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> IngestReport:
    """Decode all pictures of a source into a data set file.

    Parameters
    ----------
    source : str, Path or Source
        A location that `pipeline.sources.open_source` knows.
    target : str or Path
        The file to make. A data set already there is replaced, any other file is refused.
    config : DataConfig, optional
        Size, colour, fit, and how to split.
    geometry : Geometry, optional
        Overrides the size, colour and fit of `config`: for evaluating a model on new pictures.
    into : str, optional
        Put all labelled pictures into this split (``"test"``), instead of dividing them; ``"given"``: leave all in the
        split they come with, and those that have none in training. One class is enough then.
    append : bool
        Add to the data set at `target`: it keeps its geometry, and its pictures their splits. A picture that is there
        already, under the same path and with the same bytes, is passed over.
    dry_run : bool
        Do everything but put the file in its place: the report says what would happen.
    jobs : int
        Number of threads that decode. The result does not depend on it.
    progress : callable, optional
        Called as ``progress(done, total)`` after every file.

    Returns
    -------
    IngestReport

    Raises
    ------
    InputError
        If the source, the target or the split cannot work; nothing is left at the target then.
    """
    config = config or DataConfig()
    if into and into not in (*SPLITS[:3], "given"):
        raise InputError(f"into: {into!r} is unknown; choose one of {', '.join(SPLITS[:3])}, given")
    target = Path(target)
    _check_target(target, append)
    source = source if isinstance(source, Source) else open_source(source, config.group_by)
    if append:
        with Dataset.open(target) as old:
            geometry = old.geometry
    elif not into:
        _check_early(source, config)
    geometry = geometry or resolve_geometry(config, survey(source, config.max_pixels))
    name = _temporary(target, dry_run)
    stream = _Stream(name, "r+b")

    def tick(done: int, total: int) -> None:
        stream.check()
        if progress:
            progress(done, total)

    try:
        with stream:
            if append:
                with target.open("rb") as old_file:
                    shutil.copyfileobj(old_file, stream)
            with h5py.File(stream, "r+" if append else "w") as file:
                table, known = _old_rows(file) if append else (_Table(), set())
                done = _fill(file, table, known, source, geometry, config, jobs, tick)
                report = _finish(file, table, source, done, geometry, config, into, str(target), append)
            stream.check()
        if dry_run:
            name.unlink()
        else:
            _settle(name, target)
    except BaseException as error:
        name.unlink(missing_ok=True)
        failed = stream.error or (error if isinstance(error, OSError) else None)
        if failed is None or isinstance(error, KeyboardInterrupt):
            raise
        why = failed.strerror or failed
        raise InputError(f"{escape(target)}: cannot be written ({why}); make room, or give another place") from None
    return report


class _Stream(io.FileIO):
    """A file that keeps the first error of writing for `check` to raise, and swallows it and all later ones.

    HDF5 takes the whole process down where the disk is full: it cannot close a file that it cannot write.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view) and self.error is None:
            try:
                written += super().write(view[written:]) or 0
            except OSError as error:
                self.error = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if self.error:
            raise self.error


def survey(source: Source, max_pixels: int = DataConfig.max_pixels) -> Survey:
    """Look at up to `SURVEYED` pictures, evenly spread over the source, for what the ``"auto"`` rules need."""
    m = len(source.samples)
    sizes: set[tuple[int, int]] = set()
    gray = True
    for i in np.unique(np.linspace(0, m - 1, min(m, SURVEYED)).astype(int)):
        try:
            data = source.read(source.samples[i])
            if isinstance(data, bytes):
                sizes.add(measure(data, max_pixels=max_pixels))
                image = open_picture(data, max_pixels=max_pixels, draft=64).image
            else:
                image = from_array(data)
                sizes.add((image.height, image.width))
        except PictureError:
            continue
        gray = gray and is_gray(image)
    return Survey(m, tuple(sorted(sizes)), gray)


def write_rejected(report: IngestReport, path: str | Path) -> None:
    """Write the rejected files as CSV with the columns path, error_code and error_message.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(("path", "error_code", "error_message"))
    table.writerows((safe_cell(name), code, message) for name, code, message in report.rejected)
    path = Path(path)
    try:
        part = _temporary(path, elsewhere=False)
        part.write_text(text.getvalue(), encoding="utf-8", newline="")
        _settle(part, path)
    except OSError as error:
        raise InputError(f"{escape(path)}: cannot be written ({error.strerror}); give another place") from None


def _check_target(target: Path, append: bool) -> None:
    where = escape(target)
    try:
        target.stat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InputError(f"{where}: cannot be written ({error.strerror}); give another place") from None
    if target.is_dir():
        raise InputError(f"{where}: is a folder; give the name of a file to make, such as {where}/data.h5")
    if append and not target.exists():
        raise InputError(f"{where}: there is no data set to append to; leave out append to make one")
    if target.exists() and not is_dataset(target):
        raise InputError(f"{where}: exists and is no data set, so it is not overwritten; give another name")
    folder = target.parent
    if not folder.is_dir():
        raise InputError(f"{where}: the folder {escape(folder)} does not exist; make it first, or give another name")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{where}: may not be written by this user; give another place")


def _check_early(source: Source, config: DataConfig) -> None:
    """Find what no decoding can mend, before any time is spent on it."""
    names = sorted({sample.label for sample in source.samples if sample.label})
    if names and not source.ready_made:
        index = {name: i for i, name in enumerate(names)}
        labels = np.array([index.get(sample.label, -1) for sample in source.samples])
        splitting.split(labels, names, validation=config.validation, test=config.test)


@dataclass(frozen=True)
class _Done:
    """What became of the files of one source."""

    ingested: int
    rejected: tuple[tuple[str, str, str], ...]
    ignored: dict[str, int]


def _old_rows(file: h5py.File) -> tuple[_Table, set[tuple[str, bytes]]]:
    """Return the rows of the data set that is appended to, and what of the source must not come in again."""
    data = Dataset(file)
    names = np.array(["", *data.classes], dtype=object)[data.labels + 1]
    table = _Table(
        samples=[
            Sample(str(path), str(name), SPLITS[split], str(key))
            for path, name, split, key in zip(data.paths, names, data.split, data.keys, strict=True)
        ],
        sha256=[row.tobytes() for row in data.sha256],
        sizes=[(int(height), int(width)) for height, width in data.sizes],
        kinds=[str(kind) for kind in data.kinds],
        measures=[tuple(row) for row in data.measures.tolist()],
        thumbnails=data.thumbnails(),
    )
    for _, block in data.blocks():
        table.digests += [digest(pixels) for pixels in block]
    return table, {(sample.path, sha256) for sample, sha256 in zip(table.samples, table.sha256, strict=True)}


def _fill(
    file: h5py.File,
    table: _Table,
    known: set[tuple[str, bytes]],
    source: Source,
    geometry: Geometry,
    config: DataConfig,
    jobs: int,
    progress: Progress,
) -> _Done:
    """Decode every sample, write the pictures, and note the rest in the table."""

    def prepare(sample: Sample) -> _Row | tuple[str, str, str]:
        return _decode(source, sample, geometry, config.max_pixels)

    total, before = len(source.samples), len(table)
    images = _image_dataset(file, before + total, geometry)
    rejected, present = list(source.rejected), 0
    waiting: list[np.ndarray] = []
    for done, result in enumerate(_map_in_order(prepare, source.samples, jobs), start=1):
        if not isinstance(result, _Row):
            rejected.append(result)
        elif (result.sample.path, result.sha256) in known:
            present += 1
        else:
            table.add(result)
            waiting.append(result.pixels)
        if rejected and config.strict:
            path, code, message = rejected[0]
            raise InputError(f"{path}: {message} ({code}); nothing was ingested, since strict is on")
        if len(waiting) * geometry.n_x >= _CHUNK_BYTES:
            _flush(images, waiting, len(table))
        progress(done, total)
    _flush(images, waiting, len(table))
    images.resize(len(table), axis=0)
    ingested = len(table) - before
    if not ingested and not present:
        path, _code, message = rejected[0]
        raise InputError(
            f"{source.location}: none of the {len(rejected)} files is a readable picture; the first, {path}, {message}"
        )
    ignored = dict(source.ignored)
    if present:
        ignored["already in the data set"] = present
    return _Done(ingested, tuple(rejected), ignored)


def _image_dataset(file: h5py.File, m: int, geometry: Geometry) -> h5py.Dataset:
    if "images" in file:
        file["images"].resize(m, axis=0)
        return file["images"]
    chunk = max(1, min(m, _CHUNK_BYTES // geometry.n_x))
    return file.create_dataset(
        "images",
        shape=(m, *geometry.shape),
        maxshape=(None, *geometry.shape),
        dtype=np.uint8,
        chunks=(chunk, *geometry.shape),
    )


def _decode(source: Source, sample: Sample, geometry: Geometry, max_pixels: int) -> _Row | tuple[str, str, str]:
    try:
        data = source.read(sample)
        if isinstance(data, bytes):
            picture = open_picture(data, max_pixels=max_pixels)
            image, kind = picture.image, f"{picture.format} {picture.mode}"
        else:
            image = from_array(data)
            kind, data = f"array {image.mode}", data.tobytes()
    except PictureError as error:
        return (sample.path, error.code, str(error))
    size = (image.height, image.width)
    pixels = render(image, geometry)
    return _Row(sample, pixels, hashlib.sha256(data).digest(), size, kind, look_at(image))


def digest(pixels: np.ndarray) -> bytes:
    """Return 16 bytes that are equal where pixels are."""
    return hashlib.blake2b(pixels.tobytes(), digest_size=_DIGEST_BYTES).digest()


def _map_in_order(function: Callable[[_T], _R], items: Iterable[_T], jobs: int) -> Iterator[_R]:
    """Map with several threads, yielding in the order of the items, and never far ahead of the taker."""
    if jobs <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(jobs) as pool:
        waiting: deque[Any] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 4 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _flush(images: h5py.Dataset, waiting: list[np.ndarray], end: int) -> None:
    if waiting:
        images[end - len(waiting) : end] = np.stack(waiting)
        waiting.clear()


def _finish(
    file: h5py.File,
    table: _Table,
    source: Source,
    done: _Done,
    geometry: Geometry,
    config: DataConfig,
    into: str,
    target: str,
    append: bool,
) -> IngestReport:
    """Divide what was decoded, and write everything but the images."""
    first = tuple(file["classes"].asstr()[:]) if append else source.classes
    classes, labels, notes = _classes(first, [sample.label for sample in source.samples], table.samples)
    division = divide(
        labels,
        classes,
        np.array([SPLITS.index(s.split) if s.split else splitting.OPEN for s in table.samples], dtype=np.uint8),
        [sample.group for sample in table.samples],
        np.frombuffer(b"".join(table.digests), dtype=np.uint8).reshape(-1, _DIGEST_BYTES),
        table.thumbnails,
        config,
        into=into,
        lenient=append,
    )
    if not append:
        notes += _split_notes(division.split, labels, classes)
    _write(file, table, classes, labels, division, done, append)
    counts = {
        "found": done.ingested + len(done.rejected) + sum(done.ignored.values()),
        "ingested": done.ingested,
        "rejected": len(done.rejected),
        "ignored": done.ignored,
        "source": source.location,
        "kind": source.kind,
        "ready_made": source.ready_made,
    }
    history = json.loads(file.attrs["counts"]) if append else []
    file.attrs.update(
        format=FORMAT,
        version=VERSION,
        geometry=geometry.to_json(),
        config=file.attrs["config"] if append else json.dumps(dataclasses.asdict(config)),
        counts=json.dumps([*history, counts][-100:]),
        fingerprint=fingerprint(file),
    )
    return _report(table, classes, labels, division, source, done, geometry, target, notes, file.attrs["fingerprint"])


def _report(
    table: _Table,
    classes: Sequence[str],
    labels: np.ndarray,
    division: Division,
    source: Source,
    done: _Done,
    geometry: Geometry,
    target: str,
    notes: Sequence[str],
    fingerprint: str,
) -> IngestReport:
    paths = [sample.path for sample in table.samples]
    split, equal = division.split, division.equal
    by_split = {
        name: dict(
            zip(
                classes,
                np.bincount(labels[(split == code) & (labels >= 0)], minlength=len(classes)).tolist(),
                strict=True,
            )
        )
        for code, name in enumerate(SPLITS)
    }
    return IngestReport(
        target=target,
        source=source.location,
        kind=source.kind,
        found=done.ingested + len(done.rejected) + sum(done.ignored.values()),
        ingested=done.ingested,
        rejected=done.rejected,
        ignored=done.ignored,
        geometry=geometry,
        classes={name: int((labels == c).sum()) for c, name in enumerate(classes)},
        unlabelled=int((labels < 0).sum()),
        splits={name: int((split == code).sum()) for code, name in enumerate(SPLITS)},
        by_split=by_split,
        ready_made=source.ready_made,
        duplicates=int((equal >= 0).sum() - len(np.unique(equal[equal >= 0]))),
        near_duplicates=tuple((paths[i], paths[j]) for i, j in division.near),
        groups=len(np.unique(division.group[division.group >= 0])),
        naive_leaks=division.naive_leaks,
        leaks=tuple(tuple(f"{SPLITS[_given(table, i)]}: {paths[i]}" for i in rows) for rows in division.leaks),
        dropped=int((split == splitting.DROPPED).sum()),
        conflicts=tuple(tuple(f"{classes[labels[i]]}: {paths[i]}" for i in rows) for rows in division.conflicts),
        notes=(*source.notes, *notes, *_findings(division, len(classes), source.ready_made)),
        fingerprint=fingerprint,
    )


def _findings(division: Division, n_classes: int, ready_made: bool) -> list[str]:
    """Say in words what was found about pictures that belong together."""
    equal = division.equal[division.equal >= 0]
    lines = []
    if len(equal):
        lines.append(f"copies of other pictures: {len(equal) - len(np.unique(equal)):,}")
    if len(division.near):
        lines.append(f"nearly identical: {count(len(division.near), 'pair')} of pictures")
    if division.naive_leaks and n_classes and not ready_made:
        lines.append(
            "pictures that belong together are on one side of the split; a purely random one would have tested or "
            f"validated on {count(division.naive_leaks, 'picture')} with a relative in training"
        )
    if division.conflicts:
        lines.append(f"identical pictures with several labels: {count(len(division.conflicts), 'set')}")
    if division.leaks:
        dropped = int((division.split == splitting.DROPPED).sum())
        remedy = f"dropped from training: {dropped:,}" if dropped else "drop_leaks leaves them out of training"
        lines.append(
            f"the ready-made splits share identical or related pictures: {count(len(division.leaks), 'set')}; {remedy}"
        )
    return lines


def _given(table: _Table, i: int) -> int:
    return SPLITS.index(table.samples[i].split or "train")


def _write(
    file: h5py.File,
    table: _Table,
    classes: Sequence[str],
    labels: np.ndarray,
    division: Division,
    done: _Done,
    append: bool,
) -> None:
    """Write all columns; those of a data set that is appended to are replaced."""
    rejected = list(done.rejected)
    if append:
        old = file["rejected"]
        rejected = [*zip(*(old[name].asstr()[:] for name in ("path", "code", "message")), strict=True), *rejected]
    names, codes = np.unique(np.array(table.kinds, dtype=str), return_inverse=True)
    text = h5py.string_dtype("utf-8")
    columns: dict[str, tuple[Any, Any]] = {
        "classes": (list(classes), text),
        "labels": (labels, np.int32),
        "split": (division.split, np.uint8),
        "group": (division.group, np.int32),
        "keys": ([sample.group for sample in table.samples], text),
        "paths": ([sample.path for sample in table.samples], text),
        "sha256": (np.frombuffer(b"".join(table.sha256), dtype=np.uint8).reshape(-1, 32), np.uint8),
        "sizes": (np.array(table.sizes).reshape(-1, 2), np.int32),
        "kinds": (names.astype(object), text),
        "kind": (codes, np.uint16),
        "measures": (np.array(table.measures).reshape(-1, len(MEASURES)), np.float32),
        "thumbnails": (_stack(table.thumbnails), np.uint8),
        "thumbnail_of": (np.array(list(table.thumbnails), dtype=np.int32), np.int32),
    }
    columns |= {
        f"rejected/{n}": ([row[i] for row in rejected], text) for i, n in enumerate(("path", "code", "message"))
    }
    for name, (values, dtype) in columns.items():
        if name in file:
            del file[name]
        shape = values.shape if isinstance(values, np.ndarray) else (len(values),)
        file.create_dataset(name, data=values, dtype=dtype, shape=shape)


def _stack(thumbnails: dict[int, np.ndarray]) -> np.ndarray:
    if not thumbnails:
        return np.empty((0, THUMBNAIL_SIDE, THUMBNAIL_SIDE), dtype=np.uint8)
    return np.stack(list(thumbnails.values()))


def _classes(
    first: Sequence[str], named: Iterable[str], samples: Iterable[Sample]
) -> tuple[list[str], np.ndarray, list[str]]:
    """Number the classes that have pictures, those of `first` first; return (names, labels of shape (m,), notes)."""
    left = {sample.label for sample in samples} - {""}
    wanted = (set(named) | left) - {""}
    order = [*(name for name in first if name in wanted), *sorted(wanted - set(first))]
    classes = [name for name in order if name in left]
    notes = [f"class {name!r} has no readable picture, and is left out" for name in order if name not in left]
    index = {name: i for i, name in enumerate(classes)}
    labels = np.array([index.get(sample.label, -1) for sample in samples], dtype=np.int64)
    unlabelled = int((labels < 0).sum())
    if unlabelled:
        notes.append(f"{count(unlabelled, 'picture') if classes else 'all pictures'} without a class: unlabelled")
    return classes, labels, notes


def _split_notes(splits: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    notes = []
    for part in (splitting.TRAIN, splitting.VALIDATION, splitting.TEST):
        lacking = splitting.classes_without(splits, labels, len(classes), part)
        if len(lacking) and (splits == part).any():
            shown = ", ".join(repr(classes[c]) for c in lacking[:5])
            more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
            notes.append(f"no {SPLITS[part]} pictures of {shown}{more}")
    return notes


def _temporary(target: Path, elsewhere: bool) -> Path:
    """Make an empty file beside the target, or in the system's place for temporary files."""
    folder = None if elsewhere else target.parent
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=folder)
    except OSError as error:
        raise InputError(f"{escape(target)}: cannot be written ({error.strerror}); give another place") from None
    os.close(descriptor)
    return Path(name)


def _settle(part: Path, target: Path) -> None:
    """Put a finished file in its place: on disk first, then under its name."""
    part.chmod(0o666 & ~_umask())
    for path, mode in ((part, os.O_RDWR), (target.parent, os.O_RDONLY)):
        descriptor = os.open(path, mode)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if path is part:
            part.replace(target)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
