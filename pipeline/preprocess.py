"""The preprocessing: from images to the columns of X, fitted on the training split alone.

Pixels become values from 0 to 1. With `contrast`, every image is then normalised by itself (see `model.contrast`). In
training, the inputs are also centred for each pixel, and divided by one overall standard deviation; that part is affine
and is folded into W1 and b1 when the network is saved.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from model.activations import Array
from model.contrast import normalize_contrast
from model.folding import fold_input
from model.parameters import Parameters
from pipeline.images.geometry import Geometry


@dataclass(frozen=True)
class Preprocessor:
    """Turns images of one geometry into columns of X.

    Attributes
    ----------
    geometry : Geometry
    contrast : bool
        Normalise each image by its own mean and standard deviation.
    shift : ndarray of shape (n_x, 1), float32, or None
        Mean of each pixel over the training split; None once folded into the network.
    scale : float
        1 / overall standard deviation after the shift; 1 once folded.
    """

    geometry: Geometry
    contrast: bool = False
    shift: Array | None = None
    scale: float = 1.0

    def apply(self, images: np.ndarray, out: Array | None = None) -> Array:
        """Turn images into columns.

        Parameters
        ----------
        images : ndarray of shape (m, height, width, channels) or (m, n_x), uint8
        out : ndarray of shape (m, n_x), float32, optional
            C-ordered buffer to work in.

        Returns
        -------
        X : ndarray of shape (n_x, m), float32
            In Fortran order; a view of `out` if given.

        Raises
        ------
        ValueError
            When the images do not have the geometry.
        """
        m, n_x = len(images), self.geometry.n_x
        if images.dtype != np.uint8 or images[:1].size not in (0, n_x):
            raise ValueError(
                f"images have shape {images.shape[1:]} and dtype {images.dtype}, expected "
                f"{self.geometry.shape} and uint8"
            )
        rows = np.multiply(images.reshape(m, n_x), np.float32(1 / 255), out=out, dtype=np.float32)
        if self.contrast:
            normalize_contrast(rows.T, out=rows.T)
        if self.shift is not None:
            rows -= self.shift.T
        if self.scale != 1:
            rows *= np.float32(self.scale)
        return rows.T

    def fitted(self, images: Iterable[np.ndarray]) -> Preprocessor:
        """Return a preprocessor whose shift and scale come from images (the training split), read once and in parts.

        Parameters
        ----------
        images : iterable of ndarray of shape (any, ...), uint8

        Raises
        ------
        ValueError
            When there are no images.
        """
        plain = replace(self, shift=None, scale=1.0)
        total, squares, m = np.zeros(self.geometry.n_x), np.zeros(self.geometry.n_x), 0
        for part in images:
            X = plain.apply(part)
            total += X.sum(axis=1, dtype=np.float64)
            squares += np.einsum("xm,xm->x", X, X, dtype=np.float64)
            m += len(part)
        if not m:
            raise ValueError("there are no images to fit the preprocessing on")
        mean = total / m
        std = float(np.sqrt(max((squares / m - mean**2).mean(), 0)))
        return replace(plain, shift=mean.astype(np.float32)[:, None], scale=1 / max(std, 1e-3))

    def folded_into(self, parameters: Parameters) -> tuple[Preprocessor, Parameters]:
        """Return the preprocessing without shift and scale, and the network with both folded into layer 1."""
        if self.shift is None:
            return self, parameters
        return replace(self, shift=None, scale=1.0), fold_input(parameters, self.shift, np.array(self.scale))

    def unfolded_from(self, parameters: Parameters) -> Parameters:
        """Return the network that gives with this preprocessing what `parameters` give without shift and scale."""
        if self.shift is None:
            return parameters
        return fold_input(parameters, -self.shift * self.scale, np.array(1 / self.scale))
