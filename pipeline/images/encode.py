"""Images as the bytes of PNG files and as URLs, for pages, reports and archives."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def to_png(image: np.ndarray) -> bytes:
    """Return an image (height, width[, channels]), uint8, as the bytes of a PNG file."""
    data = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image).save(data, format="png")
    return data.getvalue()


def png_url(data: bytes) -> str:
    """Return the bytes of a PNG file as a URL that contains them."""
    return "data:image/png;base64," + base64.b64encode(data).decode()
