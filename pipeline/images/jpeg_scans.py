"""The scans of a JPEG file, found by its markers, without decoding: how many there are, and whether they are whole.

A decoder takes zeros in place of the data (which an interrupted copy or a bad memory card leaves) for data. And it goes
over all pixels once for each scan of a progressive file, however few bytes that scan has. Pillow reports neither.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.images.errors import ImageError

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # what ends the data of a scan; stuffed zeros and restarts do not
_START_OF_SCAN, _END_OF_IMAGE, _HUFFMAN_TABLES = 0xDA, 0xD9, 0xC4
_NOT_FRAMES = {_HUFFMAN_TABLES, 0xC8, 0xCC}
_PROGRESSIVE = 0xC2
_DECODED = {0xC0, 0xC1, _PROGRESSIVE, 0xC9, 0xCA}  # baseline, extended and progressive; Huffman or arithmetic coding
_MORE_BITS = {12, 16}
MOST_SCANS = 50  # encoders write about ten
MOST_SCANNED_PIXELS = 2_400_000_000  # scans times pixels: some seconds
_ZEROS, _MANY_ZEROS = bytes(64), bytes(1024)
_AC_TABLE = 0x10


@dataclass
class JpegScans:
    """What the markers of a JPEG file say.

    Attributes
    ----------
    frame : int
        Marker of the frame: the kind of JPEG.
    bits : int
        Bits per sample.
    pixels : int
    n : int
        Number of scans.
    is_ended : bool
        Whether there is an end-of-image marker.
    zeros_at : int
        Where the data has zeros that no encoder writes; -1 if there are none.
    """

    frame: int = 0
    bits: int = 8
    pixels: int = 0
    n: int = 0
    is_ended: bool = False
    zeros_at: int = -1


def read_scans(data: bytes) -> JpegScans:
    """Return what the markers of a JPEG file say, up to the end of its first image or to the first broken marker."""
    found, at = JpegScans(), 2
    first_symbols: dict[int, int] = {}
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, body = data[at + 1], at + 4
        if marker == _END_OF_IMAGE:
            break
        after = at + 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
        if marker == _HUFFMAN_TABLES:
            first_symbols |= _first_symbols(data[body:after])
        elif 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES and body + 5 <= len(data):
            found.frame, found.bits = marker, data[body]
            found.pixels = int.from_bytes(data[body + 1 : body + 3], "big") * int.from_bytes(
                data[body + 3 : body + 5], "big"
            )
        elif marker == _START_OF_SCAN:
            found.n += 1
            end = _MARKER.search(data, after)
            stop = end.start() if end else len(data)
            if found.zeros_at < 0:
                found.zeros_at = _find_damage(data, slice(after, stop), data[body:after], found.frame, first_symbols)
            if end is None:
                if found.zeros_at < 0 and data.endswith(_ZEROS):
                    found.zeros_at = len(data.rstrip(b"\0"))
                return found
            at = end.start()
            continue
        at = after
    found.is_ended = data[at : at + 2] == b"\xff\xd9"
    return found


def check_scans(data: bytes) -> None:
    """Raise an error if a JPEG file takes far more time than its size explains, or has zeros in place of its data.

    Raises
    ------
    ImageError
        With code too_large or truncated.
    """
    scans = read_scans(data)
    if scans.n > MOST_SCANS or scans.n * scans.pixels > MOST_SCANNED_PIXELS:
        raise ImageError(
            "too_large", f"has {scans.n} scans of {scans.pixels:,} pixels, which would take too long to decode"
        )
    if scans.zeros_at >= 0:
        raise ImageError("truncated", f"has zeros in place of its data from byte {scans.zeros_at:,} on")


def unsupported_jpeg(data: bytes) -> str:
    """Return what makes a JPEG file one that is not decoded, in words; "" if it is an ordinary one."""
    scans = read_scans(data)
    if scans.bits in _MORE_BITS:
        return f"{scans.bits} bits per sample"
    return "" if scans.frame in _DECODED or not scans.frame else "lossless or hierarchical JPEG"


def _first_symbols(tables: bytes) -> dict[int, int]:
    """Return, for each Huffman table, the symbol whose code is all zeros."""
    found, at = {}, 0
    while at + 17 < len(tables):
        found[tables[at]] = tables[at + 17]
        at += 17 + sum(tables[at + 1 : at + 17])
    return found


def _find_damage(data: bytes, part: slice, header: bytes, frame: int, first_symbols: dict[int, int]) -> int:
    """Return where the data of a scan has zeros that no encoder writes; -1 if it has none.

    An encoder writes many zero bits for an area of one colour, if they mean "end of block" in every block: if that is
    the symbol with the code of zeros in the AC table of each component. A progressive file counts ends of blocks
    instead, so a scan of new AC coefficients has no long runs of zeros. A scan of DC coefficients may have them. So may
    one of further bits of AC coefficients, if the whole image is one repeated pattern.
    """
    n = header[0] if header else 0
    if len(header) < 4 + 2 * n:
        return -1
    if frame != _PROGRESSIVE:
        tables = (header[2 + 2 * k] & 0x0F for k in range(n))
        may_be_zeros = all(first_symbols.get(_AC_TABLE | table, 0) == 0 for table in tables)
        return -1 if may_be_zeros else data.find(_ZEROS, part.start, part.stop)
    is_dc, is_refinement = header[1 + 2 * n] == 0, header[3 + 2 * n] >> 4 > 0
    if is_dc:
        return -1
    at = data.find(_MANY_ZEROS if is_refinement else _ZEROS, part.start, part.stop)
    if at >= 0 and is_refinement and data.count(0, part.start, part.stop) > (part.stop - part.start) / 2:
        return -1
    return at
