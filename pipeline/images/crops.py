"""Unlabelled crops of ordinary photographs, from which `model.edges.first_layer` learns edges.

The photographs are those that come with scikit-learn and, if it is installed, scikit-image, or those in a folder of the
user. Crops are taken at full, half and quarter size, upright and turned by 22.5 and 45 degrees, mirrored and transposed
at random, so that fine and coarse edges of every direction are equally frequent. Nearly flat crops are left out.
`noise_photographs` makes images without edges, for controls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from model.activations import Array
from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.files.walk import list_image_files
from pipeline.images.decode import from_array, open_image
from pipeline.images.errors import ImageError

MOST_PHOTOGRAPHS = 200  # of a folder, drawn at random; the crops cannot show more than that
_LONGEST_SIDE = 1024  # larger photographs are shrunk first
_NOISE_SIDE = 384  # pixels a side of an image of noise; fast to transform
_FLATTEST = 0.03  # smallest standard deviation of a crop's pixels, which run from 0 to 1
_EMBEDDED = ("astronaut", "camera", "chelsea", "coffee", "rocket", "coins", "brick", "grass", "gravel")
_ANGLES = {0.0: 0.25, 22.5: 0.5, 45.0: 0.25}  # angle -> share of crops; mirrored or transposed, 22.5 also gives 67.5


@dataclass(frozen=True)
class Photographs:
    """Photographs to take crops from.

    Attributes
    ----------
    images : sequence of PIL.Image.Image
        Mode L or RGB.
    origin : str
        Where the photographs come from, in words.
    rejected : tuple of (str, str)
        Path and reason of each file in the folder that cannot be read as an image.
    """

    images: Sequence[Image.Image]
    origin: str
    rejected: tuple[tuple[str, str], ...] = ()


def embedded_photographs() -> Photographs:
    """Return the photographs that come with scikit-learn and, if it is installed, with scikit-image."""
    from sklearn.datasets import load_sample_images

    arrays = list(load_sample_images().images)
    origin = f"{len(arrays)} photographs that come with scikit-learn"
    try:
        from skimage import data
    except ImportError:
        pass
    else:
        arrays += [getattr(data, name)() for name in _EMBEDDED]
        origin += f" and {len(_EMBEDDED)} that come with scikit-image"
    return Photographs([from_array(array) for array in arrays], origin)


def folder_photographs(folder: str | Path, rng: np.random.Generator) -> Photographs:
    """Read the images below a folder: all, or `MOST_PHOTOGRAPHS` drawn at random if there are more.

    Raises
    ------
    InputError
        When there is no such folder, or no image in it can be read.
    """
    listing = list_image_files(folder)
    chosen = rng.permutation(len(listing.files))[:MOST_PHOTOGRAPHS]
    images: list[Image.Image] = []
    rejected: list[tuple[str, str]] = []
    for i in sorted(chosen):
        path = listing.files[i]
        try:
            image = open_image(listing.root / path, draft=_LONGEST_SIDE).image
        except ImageError as error:
            rejected.append((escape(path), str(error)))
            continue
        image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.BOX)
        images.append(image)
    if not images:
        why = f" ({rejected[0][0]}: {rejected[0][1]})" if rejected else ""
        raise InputError(f"{escape(folder)}: has no image that can be read{why}; give a folder of photographs")
    of_total = "" if len(chosen) == len(listing.files) else f" of {len(listing.files)}"
    origin = f"{len(images)}{of_total} photographs of {escape(folder)}"
    return Photographs(images, origin, tuple(rejected))


def noise_photographs(kind: str, rng: np.random.Generator) -> Photographs:
    """Make images without edges that are like photographs in other ways, as controls for claims about edges.

    Parameters
    ----------
    kind : str
        "white noise"; "1/f noise", whose coarse waves are on average as strong as in photographs; or "photographs with
        random phases", which have the wave amplitudes of `embedded_photographs` and random phases.
    rng : Generator

    Returns
    -------
    Photographs
        Gray images.

    Raises
    ------
    ValueError
        When the kind is unknown.
    """
    if kind not in NOISES:
        raise ValueError(f"noise: {kind!r} is unknown; choose one of {', '.join(NOISES)}")
    images = []
    for amplitude in NOISES[kind]():
        phases = np.exp(1j * np.angle(np.fft.fft2(rng.normal(size=amplitude.shape))))
        scene = np.fft.ifft2(amplitude * phases).real
        scene = 128 + 50 * (scene - scene.mean()) / scene.std()
        images.append(Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8)))
    return Photographs(images, kind)


def _falling(exponent: int) -> list[np.ndarray]:
    """Return the wave amplitudes 1 / frequency^exponent of 11 images."""
    frequency = np.hypot(np.fft.fftfreq(_NOISE_SIDE)[:, None], np.fft.fftfreq(_NOISE_SIDE)[None, :])
    frequency[0, 0] = 1
    return [frequency**-exponent] * 11


def _of_photographs() -> list[np.ndarray]:
    """Return the wave amplitudes of the embedded photographs."""
    grays = (np.asarray(image.convert("L"), float) for image in embedded_photographs().images)
    return [np.abs(np.fft.fft2(gray[:_NOISE_SIDE, :_NOISE_SIDE])) for gray in grays]


NOISES: dict[str, Callable[[], list[np.ndarray]]] = {
    "white noise": lambda: _falling(0),
    "1/f noise": lambda: _falling(1),
    "photographs with random phases": _of_photographs,
}


def take_crops(photographs: Photographs, shape: tuple[int, int, int], m: int, rng: np.random.Generator) -> Array:
    """Return m random crops of photographs.

    Parameters
    ----------
    photographs : Photographs
    shape : (height, width, channels)
        Shape of a crop; 1 channel is gray, 3 channels are RGB.
    m : int
    rng : Generator

    Returns
    -------
    ndarray of shape (height * width * channels, m), float32, 0 to 1
        In Fortran order; the crops are shuffled.

    Raises
    ------
    InputError
        When all photographs are smaller than a crop, or nearly flat.
    """
    height, width, channels = shape
    scenes, shares = _scenes(photographs, shape)
    if not scenes:
        raise InputError(
            f"{photographs.origin}: all are smaller than a crop of {width}x{height} pixels; give a folder of larger "
            "photographs"
        )
    crops = np.empty((m, height, width, channels), np.float32)
    n_found = 0
    for _ in range(20):  # rounds; each draws the crops that are missing, and keeps those that are not flat
        for scene, n_missing in zip(scenes, rng.multinomial(m - n_found, shares), strict=True):
            found = _crops_of(scene, (height, width), int(n_missing), rng)
            crops[n_found : n_found + len(found)] = found
            n_found += len(found)
        if n_found == m:
            return crops[rng.permutation(m)].reshape(m, -1).T
    raise InputError(
        f"{photographs.origin}: almost all crops of {width}x{height} pixels are flat; give a folder of other "
        "photographs"
    )


def _scenes(photographs: Photographs, shape: tuple[int, int, int]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return each photograph at all sizes and angles that a crop fits in, and the share of crops from each."""
    height, width, channels = shape
    scenes, shares = [], []
    for image in photographs.images:
        converted = image.convert("L" if channels == 1 else "RGB")
        for reduction in (1, 2, 4):
            if min(converted.size) < reduction:
                continue
            smaller = converted.reduce(reduction) if reduction > 1 else converted
            for angle, share in _ANGLES.items():
                scene = np.asarray(_turned(smaller, angle)).astype(np.float32) / np.float32(255)
                if scene.shape[0] >= height and scene.shape[1] >= width:
                    scenes.append(scene.reshape(*scene.shape[:2], channels))
                    shares.append(share)
    return scenes, np.array(shares) / np.sum(shares)


def _turned(image: Image.Image, angle: float) -> Image.Image:
    """Turn an image and cut out the largest centred square that lies inside it."""
    if not angle:
        return image
    turned = image.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    side = int(min(image.size) / (np.cos(np.radians(angle)) + np.sin(np.radians(angle)))) - 2
    left, top = (turned.width - side) // 2, (turned.height - side) // 2
    return turned.crop((left, top, left + max(side, 0), top + max(side, 0)))


def _crops_of(scene: np.ndarray, size: tuple[int, int], n: int, rng: np.random.Generator) -> np.ndarray:
    """Return n random crops (n, height, width, channels) of one scene, without the flat ones."""
    height, width = size
    windows = np.lib.stride_tricks.sliding_window_view(scene, size, axis=(0, 1))  # (rows, columns, channels, h, w)
    corners = rng.integers(windows.shape[0], size=n), rng.integers(windows.shape[1], size=n)
    crops = windows[corners].transpose(0, 2, 3, 1)  # (n, height, width, channels), a copy
    crops = crops[crops.std(axis=(1, 2, 3)) >= _FLATTEST]
    mirrored, transposed = rng.random((2, len(crops))) < 0.5
    crops[mirrored] = crops[mirrored, :, ::-1]
    if height == width:
        crops[transposed] = crops[transposed].transpose(0, 2, 1, 3)
    return crops
