"""Decode JPEG files at a fraction of their size, and most of them without a search for what they do not have.

Pillow's reader of headers takes as long as decoding 32x32 pixels does, and its `Image.draft` knows halves, quarters and
eighths only. Its decoder, called directly, does three eighths as well. Everything unusual, and everything that goes
wrong, gets None here: Pillow's own reader deals with it, and says why.
"""

from __future__ import annotations

from PIL import Image

# Eighths of the full size -> what libjpeg's scale is divided by. libjpeg-turbo rounds 1/3 up to 3/8; a libjpeg that
# does not gives another size, which Pillow's decoder refuses.
_SCALES = {1: 8, 2: 4, 3: 3, 4: 2, 8: 1}
WHOLE = 8
_MODES = {1: "L", 3: "RGB"}
_RAW_MODES = {"L": "L", "RGB": "RGB", "CMYK": "CMYK;I"}
# What may come before the image and changes nothing: JFIF, Adobe's colour transform (libjpeg reads it itself), a
# comment, and tables. Not EXIF, which may turn the image, nor several images in one file.
_HARMLESS = {0xE0, 0xEE, 0xFE, 0xDB, 0xC4, 0xDD}
_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive
_SCAN = 0xDA
_BITS = 8


def read_header(data: bytes) -> tuple[str, int, int] | None:
    """Return (mode L or RGB, width, height) of an upright 8-bit JPEG file with nothing unusual about it; else None."""
    frame = None
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _SCAN:
            return frame
        if marker in _FRAMES and frame is None and data[at + 4] == _BITS and data[at + 9] in _MODES:
            height, width = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
            frame = (_MODES[data[at + 9]], width, height) if height and width else None
        elif marker not in _HARMLESS and not data.startswith(b"ICC_PROFILE\0", at + 4):
            return None
        at += 2 + max(2, length)
    return None


def fraction(size: tuple[int, int], needed: tuple[int, int]) -> int:
    """Return the least number of eighths at which no side of an image is shorter than needed."""
    enough = (n for n in _SCALES if size[0] * n >= WHOLE * needed[0] and size[1] * n >= WHOLE * needed[1])
    return next(enough, WHOLE)


def decode_jpeg(data: bytes, mode: str, size: tuple[int, int], eighths: int = WHOLE) -> Image.Image | None:
    """Decode the first image of a JPEG file.

    Parameters
    ----------
    data : bytes
    mode : str
        L, RGB or CMYK, as its header says.
    size : (width, height)
        As its header says.
    eighths : int
        1, 2, 3, 4 or 8: the share of its width and height that is wanted, rounded up to whole pixels.

    Returns
    -------
    Image or None
        None where it cannot be decoded like this.
    """
    if mode not in _RAW_MODES:
        return None
    width, height = (-(-side * eighths // WHOLE) for side in size)
    try:
        return Image.frombytes(mode, (width, height), data, "jpeg", _RAW_MODES[mode], "", _SCALES[eighths], 0)
    except (ValueError, OSError):
        return None
