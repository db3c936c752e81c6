"""Decode ordinary JPEG files faster than Pillow's reader does, and at a fraction of their size.

Pillow takes as long to read a header as to decode 32x32 pixels, and its `Image.draft` offers only halves, quarters and
eighths. Its decoder, called directly, can also decode at three eighths: libjpeg works in eighths of the size, because
it decodes blocks of 8x8 pixels and can leave out the higher frequencies of each. An image of 223x151 pixels at three
eighths becomes 84x57 (83.6x56.6, rounded up).

For every unusual file and every error the functions here return None; `pipeline.images.decode` then calls Pillow's own
reader, which handles the file or gives the reason.
"""

from __future__ import annotations

from PIL import Image

# Eighths of the full size -> the divisor that Pillow passes to libjpeg. Divisor 3 asks for 1/3, which libjpeg-turbo
# rounds up to 3/8; a libjpeg that does not returns another size, which Pillow's decoder rejects.
_SCALES = {1: 8, 2: 4, 3: 3, 4: 2, 8: 1}
WHOLE = 8  # eighths
_MODES = {1: "L", 3: "RGB"}
_RAW_MODES = {"L": "L", "RGB": "RGB", "CMYK": "CMYK;I"}
# Markers that may precede the image and do not affect it: JFIF, Adobe's colour transform (which libjpeg reads
# itself), a comment, and tables. EXIF, which may turn the image, and several images in one file are not among them.
_HARMLESS_MARKERS = {0xE0, 0xEE, 0xFE, 0xDB, 0xC4, 0xDD}
_FRAME_MARKERS = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive
_SCAN_MARKER = 0xDA
_BITS_PER_SAMPLE = 8


def read_header(data: bytes) -> tuple[str, int, int] | None:
    """Return (mode, width, height) of an ordinary JPEG file: upright, 8 bits, mode L or RGB; otherwise None."""
    frame = None
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _SCAN_MARKER:
            return frame
        if marker in _FRAME_MARKERS and frame is None and data[at + 4] == _BITS_PER_SAMPLE and data[at + 9] in _MODES:
            height, width = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
            frame = (_MODES[data[at + 9]], width, height) if height and width else None
        elif marker not in _HARMLESS_MARKERS and not data.startswith(b"ICC_PROFILE\0", at + 4):
            return None
        at += 2 + max(2, length)
    return None


def fraction(size: tuple[int, int], needed: tuple[int, int]) -> int:
    """Return the smallest number of eighths (1, 2, 3, 4 or 8) at which no side of an image is shorter than needed.

    ``fraction((151, 223), needed=(56, 80))`` is 3: at 2 eighths only about 38 x 56 pixels would be left.
    """
    enough = (n for n in _SCALES if size[0] * n >= WHOLE * needed[0] and size[1] * n >= WHOLE * needed[1])
    return next(enough, WHOLE)


def decode_jpeg(data: bytes, mode: str, size: tuple[int, int], eighths: int = WHOLE) -> Image.Image | None:
    """Decode the first image of a JPEG file.

    Parameters
    ----------
    data : bytes
    mode : str
        L, RGB or CMYK, as in the header.
    size : (width, height)
        As in the header.
    eighths : int
        1, 2, 3, 4 or 8: the fraction of width and height to decode at; the result is rounded up to whole pixels.

    Returns
    -------
    Image or None
        None if it cannot be decoded in this way.
    """
    if mode not in _RAW_MODES:
        return None
    width, height = (-(-side * eighths // WHOLE) for side in size)
    try:
        return Image.frombytes(mode, (width, height), data, "jpeg", _RAW_MODES[mode], "", _SCALES[eighths], 0)
    except (ValueError, OSError):
        return None
