"""PNG files whose texts or colour profile are larger than Pillow unpacks: the image is read without them."""

from __future__ import annotations

import zlib

from PIL import PngImagePlugin

_SIGNATURE_BYTES = 8
_COMPRESSED_AFTER_NAME = {b"zTXt": 1, b"iCCP": 1}  # bytes between the name's NUL and the compressed data
_TEXTS = {b"tEXt", b"zTXt", b"iTXt", b"iCCP"}


def without_large_texts(data: bytes) -> bytes:
    """Return a PNG file without the texts and the profile that unpack to more than Pillow's limits.

    The limits protect from texts that unpack to gigabytes. Nothing here unpacks more than that, and the pixels do not
    depend on texts. If nothing is too large, the bytes stay as they are.
    """
    kept, at, total = [data[:_SIGNATURE_BYTES]], _SIGNATURE_BYTES, 0
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        chunk = data[at : at + 12 + length]
        size = _unpacked_size(kind, chunk[8:-4]) if kind in _TEXTS else 0
        if size <= PngImagePlugin.MAX_TEXT_CHUNK and total + size <= PngImagePlugin.MAX_TEXT_MEMORY:
            kept.append(chunk)
            total += size
        at += 12 + length
    return b"".join(kept)


def _unpacked_size(kind: bytes, content: bytes) -> int:
    """Return how large a text is when it is unpacked, or a number just above the limit."""
    _, _, rest = content.partition(b"\0")
    if kind == b"iTXt":
        is_packed, (_, _, rest) = rest[:1] == b"\1", rest[2:].partition(b"\0")
        rest = rest.partition(b"\0")[2]
    else:
        is_packed = kind in _COMPRESSED_AFTER_NAME
        rest = rest[_COMPRESSED_AFTER_NAME.get(kind, 0) :]
    if not is_packed:
        return len(rest)
    try:
        return len(zlib.decompressobj().decompress(rest, PngImagePlugin.MAX_TEXT_CHUNK + 1))
    except zlib.error:
        return 0
