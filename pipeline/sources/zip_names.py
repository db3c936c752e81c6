"""The names of the members of a zip archive, as the program that wrote it meant them."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib

_UTF8 = 0x800  # the flag of a member whose name is UTF-8
_UNICODE_PATH = 0x7075  # the extra field "Info-ZIP Unicode Path"


def member_name(info: zipfile.ZipInfo) -> tuple[str, bool]:
    r"""Return the name of a member, with ``/`` between its parts, and whether its encoding is certain.

    A name without the flag for UTF-8 is in code page 437 by the standard. macOS and many programs write UTF-8 all the
    same, without the flag, and others add the name in UTF-8 as an extra field; text in code page 437 is hardly ever
    valid UTF-8. Some programs for Windows separate folders by ``\``.
    """
    name, is_certain = info.filename, True
    if not info.flag_bits & _UTF8 and (info.extra or not name.isascii()):
        raw = name.encode("cp437")
        try:
            name = _unicode_name(info.extra, raw) or raw.decode("utf-8")
        except UnicodeDecodeError:
            is_certain = name.isascii()
    if "\\" in name:
        name = name.replace("\\", "/")
    while name.startswith("./"):
        name = name[2:]
    return (re.sub("(?<=[^/])/+(?:\\./+)*", "/", name) if "//" in name or "/./" in name else name), is_certain


def _unicode_name(extra: bytes, raw: bytes) -> str:
    """Return the name in the extra field for it, if it belongs to this name; or nothing."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and field[:5] == struct.pack("<BL", 1, zlib.crc32(raw)):
            return field[5:].decode("utf-8")
    return ""
