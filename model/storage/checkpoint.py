"""Networks and training runs in HDF5: written atomically, read with every shape checked, never pickled.

The building blocks (`create`, `opened`, `write_layers`, `write_json` and so on) serve every HDF5 file of the project;
`save_state` and `load_state` are the checkpoint of a training run, from which it resumes exactly. What else a model
file holds (classes, geometry, calibration) is in `pipeline.classifier`. Configurations are stored as JSON in data sets,
since HDF5 limits attributes to 64 kB.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from model.config import NetworkConfig, ResolvedTraining
from model.errors import FormatError
from model.optimizers import OPTIMIZERS
from model.parameters import Parameters
from model.storage.atomic import stream
from model.storage.hdf5 import DAMAGE, attribute, open_file, read_text, write_attribute, write_text
from model.storage.kinds import FILE_KINDS
from model.storage.values import check_value
from model.training import EpochRecord, TrainingState

CHECKPOINT_FORMAT, CHECKPOINT_VERSION = "facette-checkpoint", 1
_KINDS = {"int": "iu", "float": "f", "bool": "b"}  # of the columns of the history, as in NumPy's `dtype.kind`
_LAYER_ARRAYS = ("W", "b", "gamma", "running_mean", "running_variance")
Config = TypeVar("Config")


@contextmanager
def create(path: str | Path, format: str, version: int) -> Iterator[h5py.File]:
    """Open a new HDF5 file of the given format; it appears at `path` when the block ends without an error.

    If the disk is full, the error is one `NotWritten`; HDF5 itself would write several tracebacks. The file layout of
    HDF5 1.10 has checksums for everything that `write_array` does not cover.
    """
    with stream(path) as part, h5py.File(part, "w", libver=("v110", "v110")) as file:
        write_attribute(file, "format", format)
        file.attrs["version"] = version
        yield file


@contextmanager
def opened(path: str | Path, format: str, version: int) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading and check its format.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    FormatError
        When the file has another format, is damaged, or was written by a newer version of Facette.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        file = open_file(path)
    except FormatError as error:
        raise FormatError(f"{path}: {error}, and {FILE_KINDS[format]} is needed") from None
    with file:
        try:
            found, found_version = attribute(file, "format"), attribute(file, "version")
            if found != format:
                content = FILE_KINDS.get(str(found), "an HDF5 file of another program")
                raise FormatError(f"is {content}, and {FILE_KINDS[format]} is needed")
            if not isinstance(found_version, int):
                raise FormatError("is damaged: it has no version number")
            if found_version > version:
                raise FormatError(f"written by a newer version of Facette (format {found_version}); update Facette")
            yield file
        except FormatError as error:
            raise FormatError(f"{path}: {error}") from None
        except DAMAGE as error:
            raise FormatError(f"{path}: is damaged ({' '.join(str(error).split())})") from error


def write_json(group: h5py.Group, name: str, value: Any) -> None:
    """Store `value` as JSON text under `name`."""
    write_text(group, name, [json.dumps(value)])


def read_json(group: h5py.Group, name: str, pattern: Any = object) -> Any:
    """Read what `write_json` stored.

    Raises
    ------
    ValueError
        When it does not fit the pattern, see `model.storage.values`.
    """
    value = json.loads(read_text(group[name])[0])
    check_value(value, pattern, name)
    return value


def write_array(group: h5py.Group, name: str, array: np.ndarray) -> None:
    """Store an array with a checksum, so that reading it detects a changed byte."""
    if array.size:
        group.create_dataset(name, data=array, chunks=array.shape, fletcher32=True)
    else:
        group[name] = array


def read_array(group: h5py.Group, name: str, ndim: int, kinds: str = "f", *, finite: bool = True) -> np.ndarray:
    """Read what `write_array` stored.

    Raises
    ------
    FormatError
        When the array has another number of dimensions, a dtype of another kind (NumPy's ``dtype.kind``), or, with
        `finite`, NaN or infinite values.
    """
    stored = group[name]
    if stored.ndim != ndim or stored.dtype.kind not in kinds:
        raise FormatError(
            f"{stored.name} has shape {stored.shape} and dtype {stored.dtype}; expected {ndim} dimensions and dtype "
            f"kind {' or '.join(kinds)}"
        )
    array = stored[()]
    if finite and not np.isfinite(array).all():
        raise FormatError(f"{stored.name} holds a value that is NaN or infinite")
    return array


def write_layers(group: h5py.Group, parameters: Parameters) -> None:
    """Store a network as ``layers/1..L/{W, b}`` (and gamma, running_mean, running_variance with batch norm)."""
    for l in range(1, parameters.L + 1):
        layer = group.create_group(f"layers/{l}")
        W, b, gamma = parameters[l]
        running = parameters.running_statistics(l) or (None, None)
        for name, view in zip(_LAYER_ARRAYS, (W, b, gamma, *running), strict=True):
            if view is not None:
                write_array(layer, name, view)


def read_layers(group: h5py.Group) -> Parameters:
    """Read what `write_layers` stored.

    Raises
    ------
    FormatError
        When layers are missing, the shapes of successive layers do not fit, or a weight is NaN or infinite.
    """
    stored = group["layers"]
    layers = [stored[str(l)] for l in range(1, len(stored) + 1)]
    W_shapes = [layer["W"].shape for layer in layers]
    if not layers or any(len(shape) != 2 for shape in W_shapes):
        raise FormatError("a layer's W is not a matrix")
    layer_dims = [W_shapes[0][1], *(shape[0] for shape in W_shapes)]
    batch_norm = "gamma" in layers[0]
    dtype = layers[0]["W"].dtype
    if dtype not in (np.float32, np.float64):
        raise FormatError(f"W has dtype {dtype}, expected float32 or float64")
    parameters = Parameters(layer_dims, batch_norm=batch_norm, dtype=dtype)
    for l, layer in enumerate(layers, start=1):
        running = parameters.running_statistics(l) or (None, None)
        for name, view in zip(_LAYER_ARRAYS, (*parameters[l], *running), strict=True):
            if view is None:
                continue
            if layer[name].shape != view.shape:
                raise FormatError(f"layer {l}: {name} has shape {layer[name].shape}, expected {view.shape}")
            view[:] = layer[name]
    if any(
        statistics.variance.min() < 0
        for statistics in map(parameters.running_statistics, range(1, len(layers)))
        if statistics
    ):
        raise FormatError("a running variance is below 0")
    if not (np.isfinite(parameters.flat).all() and np.isfinite(parameters.running).all()):
        raise FormatError("a weight is NaN or infinite")
    return parameters


def config_from(kind: type[Config], stored: dict[str, Any]) -> Config:
    """Rebuild a configuration dataclass from its JSON form, without fields that this version does not know."""
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in stored.items() if k in known})


def write_history(group: h5py.Group, history: list[EpochRecord]) -> None:
    """Store the records of all epochs as one array per field under ``history``."""
    for field in dataclasses.fields(EpochRecord):
        write_array(group, f"history/{field.name}", np.array([getattr(record, field.name) for record in history]))


def read_history(group: h5py.Group) -> list[EpochRecord]:
    """Read what `write_history` stored."""
    columns = {}
    for field in dataclasses.fields(EpochRecord):
        column = read_array(group, f"history/{field.name}", 1, "biuf", finite=False)
        if column.size and column.dtype.kind not in _KINDS[str(field.type)]:
            raise FormatError(
                f"history/{field.name} has dtype {column.dtype}; it should hold values of type {field.type}"
            )
        columns[field.name] = column.tolist()
    return [EpochRecord(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def save_state(
    state: TrainingState,
    path: str | Path,
    extra: dict[str, Any] | None = None,
    arrays: dict[str, np.ndarray] | None = None,
) -> None:
    """Write a run so that it can resume exactly from `load_state`; also store `extra` (as JSON) and `arrays`."""
    with create(path, CHECKPOINT_FORMAT, CHECKPOINT_VERSION) as file:
        write_json(file, "network_config", asdict(state.network))
        write_json(file, "training_config", asdict(state.training))
        write_json(file, "progress", {"n_classes": state.n_classes, "epoch": len(state.history), "step": state.step})
        write_json(file, "extra", extra or {})
        write_array(file, "moments", state.moments)
        others = file.create_group("arrays")
        for name, array in (arrays or {}).items():
            write_array(others, name, array)
        write_history(file, state.history)
        for name in ("parameters", "average", "best"):
            if getattr(state, name) is not None:
                write_layers(file.create_group(name), getattr(state, name))


def load_state(path: str | Path) -> tuple[TrainingState, dict[str, Any], dict[str, np.ndarray]]:
    """Read a run, and the `extra` and `arrays` that were stored with it.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    FormatError
        When it is not a checkpoint, is damaged or contradicts itself.
    """
    with opened(path, CHECKPOINT_FORMAT, CHECKPOINT_VERSION) as file:
        state = TrainingState(
            network=config_from(NetworkConfig, read_json(file, "network_config", dict)),
            training=config_from(ResolvedTraining, read_json(file, "training_config", dict)),
            parameters=read_layers(file["parameters"]),
            moments=read_array(file, "moments", 2),
            average=read_layers(file["average"]) if "average" in file else None,
            best=read_layers(file["best"]) if "best" in file else None,
            history=read_history(file),
            **read_json(file, "progress", dict),
        )
        _check_state(state)
        return state, read_json(file, "extra", dict), {name: array[()] for name, array in file["arrays"].items()}


def _check_state(state: TrainingState) -> None:
    """Raise an error if weights, optimiser, history and configurations contradict one another."""
    network, training, parameters = state.network, state.training, state.parameters
    if not all(type(n) is int and n >= 0 for n in (state.n_classes, state.epoch, state.step)):
        raise ValueError("the progress is not given in whole numbers")
    if "auto" in asdict(network).values():
        raise ValueError("the configuration is not resolved")
    layer_dims = network.layer_dims(parameters.layer_dims[0], state.n_classes)
    n_moments = OPTIMIZERS[training.optimizer].n_moments
    if (
        any(
            part is not None
            and (part.layer_dims, part.batch_norm, part.flat.dtype) != (layer_dims, network.batch_norm, training.dtype)
            for part in (parameters, state.average, state.best)
        )
        or (state.average is None) != (training.average == 0)
        or state.moments.shape != (n_moments, parameters.flat.size)
        or state.moments.dtype != training.dtype
        or len(training.layer_rates) not in (0, parameters.L)
        or state.epoch != len(state.history)
    ):
        raise ValueError("weights, optimiser, history and configuration contradict one another")
