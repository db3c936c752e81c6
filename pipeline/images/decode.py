"""Decode one image safely: any bytes become either an upright 8-bit image or an `ImageError` with a code.

The rules of conversion:

- The content decides the format, never the ending of the file name. The formats are those in `IMAGE_FORMATS`; HEIC
  needs the ``heic`` extra. Of several frames or pages, the first is read.
- EXIF orientation is applied. Colour profiles are not.
- Transparent pixels become white. A BMP whose pixels are all transparent counts as opaque, because many programs leave
  the fourth byte 0. Any other image of which nothing is visible is corrupt.
- Values of more than 8 bits become 8-bit ones by their type alone (`pipeline.images.values`): 16-bit values from 0 to
  65535 (or the largest value of the declared bits), floats from 0 to 1, wider integers from 0 to 255. A TIFF in which 0
  is white is inverted.
- 1-bit values become 0 and 255; palette, CMYK and YCbCr become RGB; gray is ITU-R 601-2 luma.
- Shrinking is antialiased (bicubic, over the full support).
- A large JPEG is decoded at 1, 2, 3 or 4 eighths of its size, as long as that leaves twice the requested size: libjpeg
  then skips the frequencies that shrinking would average away. For example, a photograph of 4000 x 3000 pixels for a
  64 x 64 geometry is decoded at one eighth, 500 x 375 pixels, and then resized. `Geometry.exact` turns this off.

Everything here is a pure function of the bytes and the geometry, and safe to call from several threads at once. Which
files are images of a data set is decided elsewhere (`pipeline.sources`).
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import re
import stat
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from pipeline.errors import MissingExtra
from pipeline.images import jpeg, jpeg_scans, tiff
from pipeline.images.errors import ImageError
from pipeline.images.geometry import MAX_PIXELS, Geometry
from pipeline.images.png import without_large_texts
from pipeline.images.signatures import HEAD_BYTES, sniff
from pipeline.images.values import PixelValuesError, to_8_bit
from pipeline.images.zero_fill import check_zero_fill

# Imported here so that Pillow does not look for plugins itself, which is not safe with several threads.
_PLUGINS = (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
_FIRST_READ_BYTES = 1 << 20  # most files are read at once, and a large file that is no image is not read whole
MAX_BYTES = 1 << 30  # of an image file
SMALLEST_DRAFT = 64  # pixels a side; `pipeline.images.statistics` needs as many for a thumbnail

_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EXIF_ORIENTATION = 0x0112
_TRUNCATED = re.compile(r"truncat|unexpected end|end of file|requires a buffer", re.IGNORECASE)
_NOT_SUPPORTED = re.compile(r"unsupported|not supported|not available|unknown compression", re.IGNORECASE)
_TEXT_LIMIT = "MAX_TEXT"  # in what Pillow says of a PNG whose texts or profile are too large
_WEBP_COST = 2  # Pillow needs 16 bytes for each pixel of a WebP, and 8 or less for other formats
_PIXELS_AT_ONCE = 1 << 22  # put on white at a time, so that a large image does not take its memory three times


def quiet_decoders() -> None:
    """Keep Pillow and libtiff from writing to stderr, for the whole process; programs call it when they start.

    Whatever is wrong with a file becomes an `ImageError`. The decoders' warnings and logs say the same again, without
    the file's name.
    """
    # `warnings.catch_warnings` around each image is not safe among threads.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    if not logging.getLogger("PIL").handlers:
        logging.getLogger("PIL").addHandler(logging.NullHandler())
    with contextlib.suppress(AttributeError, OSError):  # if Pillow's libtiff cannot be reached, it goes on writing
        ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)


Frame = tuple[float, float, float, float]
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class DecodedImage:
    """A decoded image: upright, 8 bits, mode L or RGB.

    Attributes
    ----------
    image : Image
        The pixels, perhaps at a fraction of the file's size.
    format, mode : str
        Format and colour mode of the file.
    size : (height, width)
        Size of the whole image in the file, in pixels, upright.
    frame : (left, top, right, bottom)
        The part of `image` that shows the whole image, in pixels of `image`. It is all of it, except for a JPEG at a
        fraction of its size: 637 x 423 pixels at 3 eighths would be 238.875 x 158.625. libjpeg returns 239 x 159, and
        the frame is (0, 0, 238.875, 158.625), because the last row and column stand for fewer pixels of the file.
    """

    image: Image.Image
    format: str
    mode: str
    size: tuple[int, int]
    frame: Frame


def decode_image(data: bytes | Path, geometry: Geometry, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode an image to the geometry.

    Parameters
    ----------
    data : bytes or Path
        The bytes of an image file, or its path.
    geometry : Geometry
        Size, colour and fit of the result.
    max_pixels : int
        An image that declares more pixels is an error; nothing of it is decoded.

    Returns
    -------
    ndarray of shape (height, width, channels), uint8
        The same bytes always give the same array.

    Raises
    ------
    ImageError
        With one of `ERROR_CODES`.
    """
    decoded = open_image(data, max_pixels=max_pixels, draft=geometry, scale=geometry.scale)
    return fit_to_geometry(decoded.image, geometry, decoded.frame)


def read_bytes(path: Path | str) -> bytes:
    """Return the bytes of an image file; of a file that is no image, only the beginning is read.

    Raises
    ------
    ImageError
        With code not_found, permission, io_error, empty_file, too_large, not_an_image or unsupported_format.
    """
    try:
        with open(path, "rb", buffering=0, opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ImageError("io_error", "is not a regular file")
            if status.st_size > MAX_BYTES:
                raise ImageError("too_large", f"has {status.st_size} bytes; at most {MAX_BYTES} are allowed")
            data = file.read(max(HEAD_BYTES, min(status.st_size, _FIRST_READ_BYTES)) + 1)
            sniff(data[:HEAD_BYTES])
            return data + file.readall()
    except FileNotFoundError:
        raise ImageError("not_found", "there is no such file") from None
    except PermissionError:
        raise ImageError("permission", "may not be read by this user") from None
    except (OSError, ValueError) as error:
        raise ImageError("io_error", f"cannot be read: {_message(error)}") from error


def open_image(
    data: bytes | Path, *, max_pixels: int = MAX_PIXELS, draft: int | Geometry = 0, scale: float = 0.0
) -> DecodedImage:
    """Decode an image, at full size unless `draft` allows less.

    Parameters
    ----------
    data : bytes or Path
    max_pixels : int
        As in `decode_image`.
    draft : int or Geometry
        The size that a JPEG, decoded at 1, 2, 3 or 4 eighths of its size, must still have: that many pixels on either
        side, or twice the size of a geometry. 0, or an exact geometry: always decode at full size.
    scale : float
        The value of white in images that are not 8-bit; 0: by their type, see `pipeline.images.values`.

    Raises
    ------
    ImageError
        With one of `ERROR_CODES`.
    """
    data = data if isinstance(data, bytes) else read_bytes(data)
    return _decoding(
        data, lambda data: _open_plain_jpeg(data, max_pixels, draft) or _open_any(data, max_pixels, draft, scale)
    )


def _decoding(data: bytes, decode: Callable[[bytes], _Result]) -> _Result:
    """Return what `decode` makes of the bytes of a file; every error becomes an `ImageError`."""
    try:
        return decode(data)
    except ImageError:
        raise
    except MemoryError:
        raise ImageError("too_large", "does not fit in memory") from None
    except Exception as error:  # a decoder may raise anything on broken bytes
        if _TEXT_LIMIT in str(error):
            smaller = without_large_texts(data)
            if len(smaller) < len(data):
                return _decoding(smaller, decode)
        raise ImageError(*_diagnose(error, data)) from error


def _open_plain_jpeg(data: bytes, max_pixels: int, draft: int | Geometry) -> DecodedImage | None:
    """Decode an ordinary JPEG directly; None if it is anything else, or damaged."""
    header = jpeg.read_header(data)
    if header is None or header[1] * header[2] > max_pixels:
        return None
    jpeg_scans.check_scans(data)
    mode, width, height = header
    eighths = _eighths((height, width), draft)
    image = jpeg.decode_jpeg(data, mode, (width, height), eighths)
    if image is None:
        return None
    frame = (0, 0, width * eighths / jpeg.WHOLE, height * eighths / jpeg.WHOLE)
    return DecodedImage(image, "JPEG", mode, (height, width), frame)


def _open_any(data: bytes, max_pixels: int, draft: int | Geometry, scale: float) -> DecodedImage:
    """Decode an image with Pillow's reader for its format."""
    image, name = _open_header(data, max_pixels)
    mode, stored = image.mode, image.size
    if name == "JPEG":
        jpeg_scans.check_scans(data)
    check_zero_fill(name, data, image.width * image.height)
    if scale and mode in ("RGB", "RGBA") and _declares_16_bits(image, data, name):
        raise ImageError("unsupported_format", "has 16 bits per colour, for which --scale is not supported")
    if name == "TIFF" and tiff.is_misread(image):
        raise ImageError("unsupported_format", "has 16 bits per colour in separate colour planes")
    if name == "PNG":  # reading its orientation would load it, and would hide an error
        image.load()
    size = _size(image, name)
    eighths = _eighths(size, draft) if name == "JPEG" else jpeg.WHOLE
    small = jpeg.decode_jpeg(data, mode, stored, eighths) if eighths < jpeg.WHOLE else None
    if small is None:
        image.load()
        upright = _turn(_to_8_bit(image, name, scale), _orientation(image))
        return DecodedImage(upright, name, mode, size, (0, 0, *upright.size))
    orientation = _orientation(image)
    upright = _turn(_to_8_bit(small, name), orientation)
    return DecodedImage(upright, name, mode, size, _frame(upright, orientation, size, eighths))


def _eighths(size: tuple[int, int], draft: int | Geometry) -> int:
    """Return at how many eighths of its size a JPEG is to be decoded."""
    if not draft:
        return jpeg.WHOLE
    return jpeg.fraction(size, (draft, draft) if isinstance(draft, int) else _needed(size, draft))


def _frame(upright: Image.Image, orientation: int, size: tuple[int, int], eighths: int) -> Frame:
    """Return the frame (see `DecodedImage`) of a JPEG decoded at a fraction of its size and then turned upright.

    Before the turn, the row and column that stand for fewer pixels are at the bottom and on the right; an image that
    was turned by 180 degrees has them at the top and on the left.
    """
    height, width = (side * eighths / jpeg.WHOLE for side in size)
    left = upright.width - width if orientation in (2, 3, 6, 7) else 0
    top = upright.height - height if orientation in (3, 4, 7, 8) else 0
    return (left, top, left + width, top + height)


def _needed(size: tuple[int, int], geometry: Geometry) -> tuple[int, int]:
    """Return the (height, width) that a draft needs so that an image of this size looks the same in the geometry."""
    if geometry.exact:
        return size
    height, width = geometry.height, geometry.width
    if geometry.fit == "pad":
        width, height = _inside(size[1], size[0], width, height)
    return max(2 * height, SMALLEST_DRAFT), max(2 * width, SMALLEST_DRAFT)


def declared_size(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return the upright (height, width) that an image file declares, without decoding its pixels.

    Raises
    ------
    ImageError
        With one of `ERROR_CODES`.
    """
    return _decoding(data, lambda data: _size(*_open_header(data, max_pixels)))


def fit_to_geometry(image: Image.Image, geometry: Geometry, frame: Frame | None = None) -> np.ndarray:
    """Bring an 8-bit image (mode L or RGB) to the geometry.

    Parameters
    ----------
    image : Image
    geometry : Geometry
    frame : (left, top, right, bottom), optional
        The part of it that shows the whole image; see `DecodedImage`.

    Returns
    -------
    ndarray of shape (height, width, channels), uint8
    """
    mode = "L" if geometry.color == "gray" else "RGB"
    target = (geometry.width, geometry.height)
    if geometry.exact and image.mode != mode:
        image = image.convert(mode)
    if image.size != target:
        image = _FITS[geometry.fit](image, *target, frame or (0, 0, *image.size))
    image = image if image.mode == mode else image.convert(mode)
    return pixels_of(image).reshape(geometry.shape)


def pixels_of(image: Image.Image) -> np.ndarray:
    """Return an image of mode L or RGB as an array (height, width[, 3]), uint8; faster than `np.asarray`."""
    shape = (image.height, image.width) if image.mode == "L" else (image.height, image.width, 3)
    return np.frombuffer(image.tobytes(), np.uint8).reshape(shape)


def is_gray(image: Image.Image) -> bool:
    """Return whether an image of mode L or RGB has R = G = B in every pixel."""
    if image.mode == "L":
        return True
    pixels = np.asarray(image)
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())


def from_array(array: np.ndarray, scale: float = 0.0) -> Image.Image:
    """Return an image of mode L or RGB from an array (height, width[, 1, 3 or 4]) of numbers.

    Raises
    ------
    ImageError
        When values lie outside of black and white, see `pipeline.images.values`.
    """
    array = _as_8_bit(array, scale)
    array = np.ascontiguousarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)
    return _to_8_bit(Image.fromarray(array), "array")


def from_pil(image: Image.Image, scale: float = 0.0) -> Image.Image:
    """Return an image of Pillow, of any mode, as one of mode L or RGB, upright.

    Raises
    ------
    ImageError
        When it cannot be loaded, or its values lie outside of black and white.
    """
    try:
        image.load()
        return _turn(_to_8_bit(image, image.format or "image", scale), _orientation(image))
    except ImageError:
        raise
    except Exception as error:  # a decoder may raise anything on broken bytes
        raise ImageError("corrupt", f"cannot be loaded ({error})") from error


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file without blocking; opening a named pipe would otherwise wait for a writer forever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _open_header(data: bytes, max_pixels: int) -> tuple[Image.Image, str]:
    """Read the header of an image and check the size it declares; return the unloaded image and its format."""
    name = sniff(data[:HEAD_BYTES])
    if name == "HEIF":
        _register_heif()
    try:
        image = Image.open(io.BytesIO(data), formats=(name,))
    except Image.UnidentifiedImageError:
        raise ImageError(*_why_unidentified(name, data)) from None
    if name == "TIFF" and tiff.is_raw(image):
        raise ImageError("unsupported_format", "is a camera's raw file, of which only a small preview could be read")
    pixels, allowed = image.width * image.height, max_pixels // (_WEBP_COST if name == "WEBP" else 1)
    if pixels > allowed:
        raise ImageError(
            "too_large", f"has {image.width:,} x {image.height:,} = {pixels:,} pixels; at most {allowed:,} are allowed"
        )
    if pixels == 0:
        raise ImageError("corrupt", "has no pixels")
    return image, name


def _why_unidentified(name: str, data: bytes) -> tuple[str, str]:
    """Return the (code, message) of a file whose header Pillow rejects."""
    kind = {"TIFF": tiff.unsupported_tiff, "JPEG": jpeg_scans.unsupported_jpeg}.get(name, lambda data: "")(data)
    if kind:
        return "unsupported_format", f"is {name} with {kind}, which is not supported; save it with 8 bits"
    return "corrupt", f"begins like {name}, but its header cannot be read"


def _declares_16_bits(image: Image.Image, data: bytes, name: str) -> bool:
    return data[24:25] == b"\x10" if name == "PNG" else name == "TIFF" and tiff.bits_per_value(image) == 16


def _register_heif() -> None:
    try:
        import pillow_heif
    except ImportError:
        raise ImageError("unsupported_format", str(MissingExtra("Reading HEIC", "heic"))) from None
    pillow_heif.register_heif_opener()


def _diagnose(error: Exception, data: bytes) -> tuple[str, str]:
    """Return the (code, message) of what a decoder raised."""
    message = _message(error)
    if isinstance(error, Image.DecompressionBombError) or "too large" in message:
        return "too_large", f"is too large to decode ({message})"
    truncated = isinstance(error, EOFError) or _TRUNCATED.search(message) is not None
    if data[:4] == b"RIFF":  # WebP: Pillow gives no reason, but the header declares the file's length
        truncated = truncated or len(data) < int.from_bytes(data[4:8], "little") + 8
    if truncated:
        return "truncated", f"ends too early ({message})"
    kind = jpeg_scans.unsupported_jpeg(data) if data[:2] == b"\xff\xd8" else ""
    if kind or _NOT_SUPPORTED.search(message):
        return "unsupported_format", f"is of a kind that is not supported ({kind or message})"
    return "corrupt", f"cannot be decoded ({message})"


def _message(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if the EXIF block is damaged."""
    if image.format == "JPEG" and not ("exif" in image.info or "xmp" in image.info):
        return 1  # the usual case, without the time to parse EXIF
    try:
        value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # Pillow raises many types of errors here, and the pixels are usable
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _size(image: Image.Image, name: str) -> tuple[int, int]:
    """Return the upright (height, width) that an image's header declares."""
    # Pillow already gives the upright size of a TIFF, and turns the pixels while loading.
    turned = name != "TIFF" and _orientation(image) >= 5
    return (image.width, image.height) if turned else (image.height, image.width)


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    transpose = _TRANSPOSES.get(orientation)
    return image if transpose is None else image.transpose(transpose)


def _to_8_bit(image: Image.Image, name: str, scale: float = 0.0) -> Image.Image:
    """Convert a loaded image of format `name` to mode L or RGB, by the rules at the top of this file."""
    if image.mode.startswith(("I", "F")):
        return _from_wide_values(image, name, scale)
    if name == "TIFF" and image.mode == "L" and tiff.is_signed(image) and np.asarray(image).max() > 127:
        raise ImageError("unsupported_format", "has signed 8-bit values, some of them below 0")
    if image.mode in ("La", "RGBa"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if image.has_transparency_data:
        return _on_white(image, name)
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("P", "CMYK", "YCbCr", "RGBX", "HSV"):
        return image.convert("RGB")
    raise ImageError("unsupported_format", f"has colour mode {image.mode}, which is not supported")


def _on_white(image: Image.Image, name: str) -> Image.Image:
    """Return an image with transparency as RGB on white, some rows at a time."""
    result, is_visible = Image.new("RGB", image.size), False
    rows = max(1, _PIXELS_AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        part = image.crop((0, top, image.width, min(top + rows, image.height))).convert("RGBA")
        is_visible = is_visible or part.getchannel("A").getbbox() is not None
        white = Image.new("RGBA", part.size, (255, 255, 255, 255))
        result.paste(Image.alpha_composite(white, part).convert("RGB"), (0, top))
    if is_visible:
        return result
    if name == "BMP":
        return image.convert("RGB")
    raise ImageError("corrupt", "is transparent everywhere, so nothing of it is visible")


def _from_wide_values(image: Image.Image, name: str, scale: float) -> Image.Image:
    """Convert 16-bit, 32-bit and float values to 8 bits."""
    values = np.asarray(image)
    if name == "PPM" and image.mode == "I":  # Pillow has scaled the values from those of the file to 16 bits
        values = values.astype(np.uint16)
    pixels = _as_8_bit(values.astype(values.dtype.newbyteorder("="), copy=False), scale, tiff.bits_per_value(image))
    if tiff.is_white_zero(image):
        pixels = 255 - pixels
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        pixels = np.where(values == transparent, np.uint8(255), pixels)
    return Image.fromarray(pixels)


def _as_8_bit(values: np.ndarray, scale: float, bits: int = 16) -> np.ndarray:
    try:
        return to_8_bit(values, scale, bits)
    except PixelValuesError as error:
        raise ImageError("corrupt" if error.is_damage else "unsupported_format", str(error)) from None


def _crop(image: Image.Image, width: int, height: int, frame: Frame) -> Image.Image:
    """Cut out the largest centred part with this aspect ratio, and resize it."""
    left, top, right, bottom = frame
    scale = min((right - left) / width, (bottom - top) / height)
    left += (right - left - scale * width) / 2
    top += (bottom - top - scale * height) / 2
    return _resize(image, width, height, (left, top, left + scale * width, top + scale * height))


def _pad(image: Image.Image, width: int, height: int, frame: Frame) -> Image.Image:
    """Resize the whole image so that it fits inside, and fill the rest with black bars."""
    inner = _inside(frame[2] - frame[0], frame[3] - frame[1], width, height)
    canvas = Image.new(image.mode, (width, height))
    canvas.paste(_resize(image, *inner, frame), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas


def _inside(width: float, height: float, most_width: int, most_height: int) -> tuple[int, int]:
    """Return the (width, height) of the largest image with the same aspect ratio that fits."""
    scale = min(most_width / width, most_height / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _stretch(image: Image.Image, width: int, height: int, frame: Frame) -> Image.Image:
    return _resize(image, width, height, frame)


def _resize(image: Image.Image, width: int, height: int, box: Frame) -> Image.Image:
    box = (max(0.0, box[0]), max(0.0, box[1]), min(image.width, box[2]), min(image.height, box[3]))
    # A large image is first shrunk by a whole factor to at least 3 times the target: 4 times faster, hardly visible.
    return image.resize((width, height), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)


_FITS = {"crop": _crop, "pad": _pad, "stretch": _stretch}
