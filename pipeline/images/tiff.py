"""What the tags of a TIFF file say that Pillow does not use, or why it cannot read the file."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image, TiffImagePlugin

_BITS, _PHOTOMETRIC, _SAMPLES, _FORMAT, _COMPRESSION = 258, 262, 277, 339, 259
_SUBFILE, _SUB_IFDS, _DNG_VERSION = 254, 330, 50706
_PLANES, _SEPARATE = 284, 2
_UNCOMPRESSED = 1
_WHITE_IS_ZERO = 0
_SIGNED = 2
_REDUCED = 1  # bit of the sub-file type: a preview of another image in the file
_NUMBERS = {1: "unsigned", 2: "signed", 3: "floating-point", 4: "untyped", 5: "complex integer", 6: "complex"}


def is_white_zero(image: Image.Image) -> bool:
    """Tell whether 0 is white in an open TIFF with a mode that Pillow does not invert: 16-bit, 32-bit or float."""
    return _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO and image.mode.startswith(("I", "F"))


def bits_per_value(image: Image.Image) -> int:
    """Return the bits per value that an open TIFF declares; 16 for any other image."""
    return int((_tag(image, _BITS) or (16,))[0])


def is_signed(image: Image.Image) -> bool:
    """Tell whether the values of an open TIFF are signed integers."""
    return (_tag(image, _FORMAT) or (1,))[0] == _SIGNED


def is_misread(image: Image.Image) -> bool:
    """Tell whether Pillow reads wrong pixels from an open TIFF: of separate planes of 16 bits, uncompressed."""
    is_plain = _tag(image, _COMPRESSION) == _UNCOMPRESSED
    return is_plain and _tag(image, _PLANES) == _SEPARATE and bits_per_value(image) == 16 and len(image.getbands()) > 1


def is_raw(image: Image.Image) -> bool:
    """Tell whether an open TIFF is a camera's raw file, whose first image is only a small preview."""
    is_preview = bool(int(_tag(image, _SUBFILE) or 0) & _REDUCED)
    return _tag(image, _DNG_VERSION) is not None or (is_preview and _tag(image, _SUB_IFDS) is not None)


def _tag(image: Image.Image, number: int) -> Any:
    tags = getattr(image, "tag_v2", None)
    return None if tags is None else tags.get(number)


def unsupported_tiff(data: bytes) -> str:
    """Return the kind of values that keeps Pillow from opening a TIFF file, in words; "" if something else does."""
    try:
        with TiffImagePlugin.TiffImageFile(io.BytesIO(data)):
            return ""
    except SyntaxError as error:
        if "unknown pixel mode" not in str(error):
            return ""
    except Exception:
        return ""
    return _describe(data)


def _describe(data: bytes) -> str:
    stream = io.BytesIO(data)
    tags = TiffImagePlugin.ImageFileDirectory_v2(stream.read(8))
    stream.seek(tags.next)
    tags.load(stream)
    bits, numbers = tags.get(_BITS, (1,)), tags.get(_FORMAT, (1,))[0]
    return f"{tags.get(_SAMPLES, len(bits))} {_NUMBERS.get(numbers, 'unknown')} values of {bits[0]} bits in a pixel"
