"""The image classifier: a network, its preprocessing, its classes and its calibration, in one model file.

Evaluation, prediction and the app load this file and call `ImageClassifier.probabilities`; none of them has
preprocessing or mathematics of its own, so all give the same result for the same image. The network inside is plain:
batch normalisation and standardisation are folded into W and b, so that W1 acts on pixels from 0 to 1 and each of its
rows can be shown as an image. How a classifier is trained is not here, see `pipeline.training`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.activations import Array
from model.calibration import Calibration, NetworkOutputs, network_outputs
from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED, PretrainConfig
from model.errors import FormatError
from model.folding import fold_batch_norm
from model.network import Workspace
from model.parameters import Parameters
from model.storage import checkpoint
from model.storage.checkpoint import read_json, write_json
from model.storage.kinds import has_format, is_run
from model.training import EpochRecord, TrainingState
from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.images.decode import decode_image, fit_to_geometry, from_array, from_pil
from pipeline.images.errors import ImageError
from pipeline.images.geometry import Geometry
from pipeline.preprocess import Preprocessor
from pipeline.text import shortened

MODEL_FORMAT, MODEL_VERSION = "facette-model", 1
# The fields of the provenance that are read, each with the pattern of its values (see `model.storage.values`).
PROVENANCE = {
    "name": str,
    "source": str,
    "started_from": str,
    "pretrain_on": str,
    "data_fingerprint": str,
    "images": {str: int},
    "epochs_trained": int,
    "network_as_trained": dict,
    "augmentation": dict,
    "augmentation_trial": {str: float},
    "accuracy": {str: float},
    "created": str,
    "versions": {str: str},
    "python": str,
}
_WIDTHS, _LARGEST_PRODUCT = (256, 128, 64), 4e8  # columns of a product, and multiplications: some milliseconds
_MOST_IMAGES, _BYTES_AT_A_TIME = 1024, 1 << 23  # taken from an `ImageArray`


class _Memory(threading.local):
    """Buffers of a thread, kept between calls; to allocate them again would take a fifth of a small network's time."""

    def __init__(self) -> None:
        self.workspace = Workspace()


_memory = _Memory()


class ImageArray(Protocol):
    """An array of shape (m, height, width, channels), uint8, or an object whose slices are such arrays."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Any: ...


AnyImage = str | Path | bytes | Image.Image | NDArray[Any]
_ONE_IMAGE = (str, Path, bytes, Image.Image)


def _is_one_array(images: object) -> bool:
    """Tell whether an array is one image: it has two dimensions, or a third one for its colours."""
    return isinstance(images, np.ndarray) and (images.ndim < 3 or (images.ndim == 3 and images.shape[2] in (1, 3, 4)))


def _checked_array(array: NDArray[Any]) -> NDArray[Any]:
    """Raise an error if an array is not one image."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or not array.size:
        many = "; give many images to classify_many" if array.ndim in (3, 4) else ""
        raise InputError(f"an array of shape {array.shape} is no image; (height, width[, 1, 3 or 4]) is needed{many}")
    if array.dtype.kind not in "buif":
        raise InputError(f"an array of {array.dtype} is no image; numbers are needed")
    return array


def model_path(path: str | Path) -> Path:
    """Return the model file that a path means: the file itself, or model.h5 in a run folder."""
    path = Path(path)
    return path / "model.h5" if path.is_dir() else path


def is_model(path: str | Path) -> bool:
    """Return whether a path is a model file of Facette (of any version), or a run folder that holds one."""
    return has_format(model_path(path), MODEL_FORMAT)


def image_keys(sha256: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return a short key for each image file.

    Parameters
    ----------
    sha256 : ndarray of shape (m, 32), uint8
        SHA-256 of each file.

    Returns
    -------
    ndarray of shape (m,), uint64
        The first 8 bytes of each.
    """
    return np.ascontiguousarray(sha256[:, :8]).view(">u8")[:, 0].astype(np.uint64)


@dataclass(frozen=True, repr=False)
class ImageClassifier:
    """A trained network with its preprocessing and its classes.

    Attributes
    ----------
    preprocessor : Preprocessor
    network : NetworkConfig
    parameters : Parameters
        Without batch normalisation.
    classes : tuple of str
        Names of the classes, in the order of the probabilities.
    training : TrainingConfig
        How the network was trained.
    history : list of EpochRecord
    provenance : dict
        Origin of the model: data fingerprint, counts, versions, date, metrics. Plain JSON values.
    trained_on : ndarray of shape (k,), uint64
        First 8 bytes of the SHA-256 of every image file used in training, sorted. An evaluation must leave out these
        images.
    calibration : Calibration or None
        Temperature and usual uncertainty, measured on validation images; None if there were none.
    pretraining : PretrainConfig
        How the first layers were pretrained.
    """

    preprocessor: Preprocessor
    network: NetworkConfig
    parameters: Parameters
    classes: tuple[str, ...]
    training: TrainingConfig
    history: list[EpochRecord] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    trained_on: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    calibration: Calibration | None = None
    pretraining: PretrainConfig = NOT_PRETRAINED

    @classmethod
    def from_state(
        cls,
        state: TrainingState,
        preprocessor: Preprocessor,
        classes: tuple[str, ...],
        pretraining: PretrainConfig = NOT_PRETRAINED,
    ) -> ImageClassifier:
        """Return the classifier of a training run, with everything affine folded into W and b."""
        parameters, network = fold_batch_norm(state.result, state.network)
        preprocessor, parameters = preprocessor.folded_into(parameters)
        return cls(
            preprocessor, network, parameters, classes, state.training, list(state.history), pretraining=pretraining
        )

    @property
    def geometry(self) -> Geometry:
        """Size and colour of the images that the network takes."""
        return self.preprocessor.geometry

    @cached_property
    def model_id(self) -> str:
        """Twelve hexadecimal digits: a hash of the weights, the classes and the preprocessing."""
        digest = hashlib.sha256(self.parameters.flat.tobytes())
        facts = [self.classes, asdict(self.network), self.geometry.to_json(), self.preprocessor.contrast]
        digest.update(json.dumps(facts).encode())
        return digest.hexdigest()[:12]

    def with_scale(self, scale: float) -> ImageClassifier:
        """Return the classifier for images in which another value is white; see `pipeline.images.values`."""
        geometry = replace(self.geometry, scale=scale)
        return replace(self, preprocessor=replace(self.preprocessor, geometry=geometry))

    def probabilities(self, images: ImageArray) -> Array:
        """Return the probability of each class for images that have the classifier's geometry.

        Parameters
        ----------
        images : ndarray of shape (m, height, width, channels), uint8, or ImageArray

        Returns
        -------
        ndarray of shape (n_classes, m)
            Columns sum to 1.

        Raises
        ------
        ValueError
            When the images have another shape; `decode_image` brings an image to the geometry.
        """
        return np.concatenate([output.probabilities[:, :m] for output, m in self._outputs(images)], axis=1)

    def outputs(self, images: ImageArray) -> NetworkOutputs:
        """Return the probabilities, logits and last hidden layer for images; see `model.calibration.NetworkOutputs`."""
        parts = [[array[:, :m].copy(order="F") for array in output] for output, m in self._outputs(images)]
        return NetworkOutputs(*(np.concatenate(part, axis=1) for part in zip(*parts, strict=True)))

    def _outputs(self, images: ImageArray) -> Iterator[tuple[NetworkOutputs, int]]:
        """Yield outputs whose first m columns belong to the next images, and m; the next ones overwrite their memory.

        Every matrix product has the same number of columns, the last ones being zeros if there are not enough images.
        A BLAS chooses its way of adding by the shape, so the same image beside more or fewer others would get other
        last digits. In a product of always the same shape, whose width is a multiple of every block size of a BLAS, no
        column's result depends on its position or on the other columns.
        """
        n_x, shapes, workspace = self.geometry.n_x, (self.geometry.shape, (self.geometry.n_x,)), _memory.workspace
        X = workspace.array("X", 0, (n_x, self._width), np.dtype(np.float32))
        for part in _blocks(images, n_x, self._width):
            m = len(part)
            if m < self._width and part.shape[1:] in shapes and part.dtype == np.uint8:
                part = np.concatenate([part, np.zeros((self._width - m, *part.shape[1:]), np.uint8)])
            inputs = self.preprocessor.apply(part, X.T)
            yield network_outputs(inputs, self.parameters, self.network, workspace), m

    @cached_property
    def _width(self) -> int:
        """Number of images in a matrix product: wide ones are faster, but a single image costs as much as all."""
        n = self.parameters.flat.size
        return next((width for width in _WIDTHS if n * width <= _LARGEST_PRODUCT), _WIDTHS[-1])

    def classify_with_uncertainty(self, images: ImageArray) -> tuple[Array, NDArray[np.float64]]:
        """Return the probabilities and the uncertainty of images.

        Parameters
        ----------
        images : ndarray of shape (m, height, width, channels), uint8, or ImageArray

        Returns
        -------
        probabilities : ndarray of shape (n_classes, m)
        uncertainty : ndarray of shape (m,), float64
            0 or more; above 1, at least one sign is stronger than on any validation image (see `model.calibration`).

        Raises
        ------
        InputError
            When the classifier is not calibrated.
        """
        calibration = self._calibration()
        parts = [
            (found.probabilities[:, :m], calibration.uncertainties(found.probabilities, found.hidden)[:m])
            for found, m in self._outputs(images)
        ]
        probabilities, uncertainties = zip(*parts, strict=True)
        return np.concatenate(probabilities, axis=1), np.concatenate(uncertainties)

    def uncertainty_threshold(self, rate: float) -> float:
        """Return the uncertainty that a share `rate` of the validation images exceeds.

        Raises
        ------
        InputError
            When the classifier is not calibrated.
        """
        return self._calibration().threshold(rate)

    def _calibration(self) -> Calibration:
        if self.calibration is None:
            raise InputError(
                "this model has no calibration, because it was trained without validation images; train it again with "
                "some, or use it without abstention"
            )
        return self.calibration

    def classify(self, image: AnyImage) -> dict[str, float]:
        """Return the probabilities of the classes for one image, most probable first.

        Parameters
        ----------
        image : str, Path, bytes, PIL.Image.Image or ndarray
            A file or its bytes; an image of Pillow; or an array of shape (height, width[, 1, 3 or 4]), uint8 from 0 to
            255, float from 0 to 1, or as `pipeline.images.values` says. Any size: it is fitted to the geometry.

        Raises
        ------
        ImageError
            When it cannot be decoded; `code` and the message give the reason.
        InputError
            When it is nothing of that kind.
        """
        return self._classified([self._fitted(image, "")])[0]

    def classify_many(self, images: Iterable[AnyImage]) -> list[dict[str, float]]:
        """Return for each image what `classify` returns.

        Parameters
        ----------
        images : iterable
            Of what `classify` takes; or an array of shape (m, height, width[, 1, 3 or 4]).

        Raises
        ------
        ImageError
            When an image cannot be decoded; the message says which. `pipeline.prediction.predict` goes on instead.
        InputError
            When this is one image, or an image is nothing that `classify` takes.
        """
        if not isinstance(images, Iterable) or isinstance(images, _ONE_IMAGE) or _is_one_array(images):
            raise InputError("classify_many takes many images, such as a list of paths; give a single one to classify")
        numbered, results = enumerate(images), []
        while part := [self._fitted(image, f"image {i}") for i, image in itertools.islice(numbered, _MOST_IMAGES)]:
            results += self._classified(part)
        return results

    def _classified(self, images: list[NDArray[np.uint8]]) -> list[dict[str, float]]:
        probabilities = self.probabilities(np.stack(images)).T
        return [
            {self.classes[k]: float(values[k]) for k in np.argsort(-values, kind="stable")} for values in probabilities
        ]

    def _fitted(self, image: AnyImage, name: str) -> NDArray[np.uint8]:
        """Bring anything that `classify` takes to the geometry; `name` is put before an error if it has no path."""
        try:
            if isinstance(image, str | Path):
                name = escape(image)
                return decode_image(Path(image), self.geometry)
            if isinstance(image, bytes):
                return decode_image(image, self.geometry)
            if isinstance(image, Image.Image):
                name = escape(getattr(image, "filename", "")) or name
                return fit_to_geometry(from_pil(image, self.geometry.scale), self.geometry)
            if isinstance(image, np.ndarray):
                return fit_to_geometry(from_array(_checked_array(image), self.geometry.scale), self.geometry)
        except ImageError as error:
            message = re.sub(r"--scale (\S+)", r"classifier.with_scale(\1)", str(error))
            raise ImageError(error.code, f"{name}: {message}" if name else message) from None
        raise InputError(
            f"{name or 'this'} is of type {type(image).__name__}; give a path, bytes, an image of Pillow or an array"
        )

    def was_trained_on(self, sha256: bytes) -> bool:
        """Return whether the image file with this SHA-256 was used in training."""
        return bool(self.were_trained_on(np.frombuffer(sha256, np.uint8)[None])[0])

    def were_trained_on(self, sha256: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return, for each image file, whether it was used in training.

        Parameters
        ----------
        sha256 : ndarray of shape (m, 32), uint8

        Returns
        -------
        ndarray of shape (m,), bool
        """
        keys = image_keys(sha256)
        if not len(self.trained_on):
            return np.zeros(len(keys), bool)
        positions = np.minimum(np.searchsorted(self.trained_on, keys), len(self.trained_on) - 1)
        return self.trained_on[positions] == keys

    def __repr__(self) -> str:
        classes = shortened([repr(name) for name in self.classes])
        geometry = f"{self.geometry.width}x{self.geometry.height} {self.geometry.color}"
        layers = "-".join(map(str, self.parameters.layer_dims))
        return f"<ImageClassifier {self.model_id}: {geometry}, layers {layers}, {len(self.classes)} classes: {classes}>"

    def save(self, path: str | Path) -> None:
        """Write the model file; it appears complete or not at all."""
        with checkpoint.create(path, MODEL_FORMAT, MODEL_VERSION) as file:
            checkpoint.write_layers(file, self.parameters)
            write_json(file, "network_config", asdict(self.network))
            write_json(file, "training_config", asdict(self.training))
            write_json(file, "pretrain_config", asdict(self.pretraining))
            write_json(file, "geometry", asdict(self.geometry))
            write_json(file, "contrast", self.preprocessor.contrast)
            write_json(file, "classes", list(self.classes))
            write_json(file, "provenance", self.provenance)
            checkpoint.write_history(file, self.history)
            file["trained_on"] = self.trained_on
            if self.calibration:
                write_calibration(file.create_group("calibration"), self.calibration)

    @classmethod
    def load(cls, path: str | Path) -> ImageClassifier:
        """Read a model file, or the one in a run folder.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        FormatError
            When it is not a model file, is damaged, was written by a newer version, or contradicts itself.
        """
        _check_there(Path(path))
        with checkpoint.opened(model_path(path), MODEL_FORMAT, MODEL_VERSION) as file:
            parameters = checkpoint.read_layers(file)
            geometry = Geometry(**read_json(file, "geometry", dict))
            classes = tuple(read_json(file, "classes", [str]))
            network = checkpoint.config_from(NetworkConfig, read_json(file, "network_config", dict))
            if len(classes) < 2 or len(set(classes)) < len(classes):
                raise FormatError("its classes are not two or more distinct names")
            if "auto" in asdict(network).values() or network.batch_norm:
                raise FormatError("its network is not resolved and folded")
            if network.layer_dims(geometry.n_x, len(classes)) != parameters.layer_dims or parameters.batch_norm:
                raise FormatError(
                    f"the weights have layer dimensions {parameters.layer_dims}, which do not fit {len(classes)} "
                    f"classes and images of {geometry.n_x} values"
                )
            provenance = read_json(file, "provenance", PROVENANCE)
            calibration = read_calibration(file["calibration"]) if "calibration" in file else None
            if calibration:
                calibration.check(parameters.layer_dims[-2], len(classes))
            return cls(
                Preprocessor(geometry, contrast=read_json(file, "contrast", bool)),
                network,
                parameters,
                classes,
                checkpoint.config_from(TrainingConfig, read_json(file, "training_config", dict)),
                checkpoint.read_history(file),
                provenance,
                np.sort(checkpoint.read_array(file, "trained_on", 1, "u")),
                calibration,
                checkpoint.config_from(PretrainConfig, read_json(file, "pretrain_config", dict)),
            )


def _blocks(images: ImageArray, n_x: int, width: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the images of a matrix product at a time, an empty block if there are none.

    More are taken at a time, because images that are read from a file at that moment come faster so.
    """
    step = max(1, min(_MOST_IMAGES, _BYTES_AT_A_TIME // (4 * n_x)) // width) * width
    for start in range(0, max(len(images), 1), step):
        part = np.asarray(images[start : start + step])
        for first in range(0, max(len(part), 1), width):
            yield part[first : first + width]


def _check_there(path: Path) -> None:
    """Raise an error if there is no model, which says what there is instead."""
    if model_path(path).exists():
        return
    if is_run(path):
        raise FileNotFoundError(
            f"{escape(path)}: is the folder of a run that has no model.h5 yet; resume it with "
            f"facette.resume({escape(path)!r})"
        )
    if path.is_dir():
        raise FileNotFoundError(f"{escape(path)}: is a folder without a model.h5, and a model is needed")
    raise FileNotFoundError(f"{escape(path)}: there is no such file, and a model is needed")


_CALIBRATION_ARRAYS = {"log_others": 1, "distance": 1, "uncertainty": 1, "means": 2, "whitening": 2}  # dimensions


def write_calibration(group: h5py.Group, calibration: Calibration) -> None:
    """Store a calibration."""
    write_json(group, "facts", {"temperature": calibration.temperature, "m": calibration.m})
    for name in _CALIBRATION_ARRAYS:
        checkpoint.write_array(group, name, getattr(calibration, name))


def read_calibration(group: h5py.Group) -> Calibration:
    """Read what `write_calibration` stored."""
    facts = read_json(group, "facts", {"temperature": float, "m": int})
    if not (facts["temperature"] > 0 and facts["m"] > 0):
        raise FormatError("its calibration has a temperature or a number of examples that is not above 0")
    arrays: dict[str, Any] = {
        name: checkpoint.read_array(group, name, ndim) for name, ndim in _CALIBRATION_ARRAYS.items()
    }
    return Calibration(float(facts["temperature"]), int(facts["m"]), **arrays)
