"""Zeros in place of data, as an interrupted copy leaves them, in formats whose decoders take them for an image."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.images.errors import ImageError

_ZEROS = re.compile(rb"\0{64,}")
# An arithmetic coder writes many zeros only for an area of one colour. Such an area takes few bytes beside those of the
# rest of the image, or, if nearly all of the image is like that, thousands of pixels share a byte.
_LARGEST_SHARE, _PIXELS_PER_ZERO = 0.25, 5_000
_HEADER = 8
_CODED = (b"mdat", b"VP8 ", b"VP8L", b"ANMF", b"ALPH")
_ARITHMETIC = {"WEBP", "AVIF", "HEIF"}


def check_zero_fill(name: str, data: bytes, pixels: int) -> None:
    """Raise an error if much of the coded data of an image is zeros, and its pixels do not explain that.

    Parameters
    ----------
    name : str
        Its format; only formats with arithmetic coding are checked. Uncompressed formats may hold black, and the others
        notice it themselves.
    data : bytes
    pixels : int

    Raises
    ------
    ImageError
        With code truncated.
    """
    if name not in _ARITHMETIC:
        return
    for part in _coded_parts(name, data):
        for zeros in _ZEROS.finditer(data, part.start, part.stop):
            n = len(zeros.group())
            if n > _LARGEST_SHARE * (part.stop - part.start) and n * _PIXELS_PER_ZERO > pixels:
                raise ImageError("truncated", f"has zeros in place of its data from byte {zeros.start():,} on")


def _coded_parts(name: str, data: bytes) -> Iterator[slice]:
    """Yield where a file holds coded pixels: the chunks of WebP, or the boxes ``mdat`` of AVIF and HEIF."""
    is_webp = name == "WEBP"
    at = 12 if is_webp else 0
    while at + _HEADER <= len(data):
        first, second = data[at : at + 4], data[at + 4 : at + _HEADER]
        if is_webp:
            kind, size = first, int.from_bytes(second, "little") + _HEADER
            after = at + size + size % 2
        else:
            kind, size = second, int.from_bytes(first, "big")
            after = at + size if size >= _HEADER else len(data)  # 0: to the end of the file
        if kind in _CODED:
            yield slice(at + _HEADER, min(after, len(data)))
        at = after
