"""Images as the bytes of image files, for pages and reports."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def to_png(image: np.ndarray) -> bytes:
    """Return an image (height, width[, channels]), uint8, as the bytes of a PNG file."""
    data = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image).save(data, format="png")
    return data.getvalue()
