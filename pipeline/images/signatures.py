"""What kind of file begins with these bytes: the formats that are read, and those that are only recognised."""

from __future__ import annotations

import re

from pipeline.images.errors import ImageError

# Format -> pattern of the first bytes of such a file.
IMAGE_FORMATS = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "WEBP": rb"RIFF.{4}WEBP",
    "TIFF": rb"(II\*\0|MM\0\*|II\+\0|MM\0\+)(?!.{4}CR\x02)",
    "BMP": rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "PPM": rb"P[1-6fF][\s#]",
    "AVIF": rb"",  # AVIF and HEIF: see `_CODECS`
    "HEIF": rb"",
}
# A file of the ISO base media format lists its brands; a brand that names a codec decides, whatever stands first.
_CODECS = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "HEIF"
)
_CONTAINERS = {b"mif1": "HEIF", b"msf1": "HEIF"}
# Formats that are not read, so that the error can name them instead of "not an image".
_UNSUPPORTED = {
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "JPEG XR": rb"II\xbc[\0\x01]",
    "Photoshop": rb"8BPS",
    "GIMP": rb"gimp xcf",
    "SVG": rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg",
    "PDF": rb"%PDF",
    "PostScript": rb"%!PS|\xc5\xd0\xd3\xc6",
    "an icon": rb"\0\0[\x01\x02]\0(?!\0\0)|icns",
    "DDS": rb"DDS ",
    "OpenEXR": rb"v/1\x01",
    "Radiance HDR": rb"#\?(RADIANCE|RGBE)",
    "QOI": rb"qoif",
    "SGI": rb"\x01\xda[\0\x01]",
    "FITS": rb"SIMPLE  =",
    "DICOM": rb".{128}DICM",
    "DjVu": rb"AT&TFORM",
    "PCX": rb"\x0a[\x00\x02-\x05]\x01[\x01\x02\x04\x08]",
    "BPG": rb"BPG\xfb",
    "FLIF": rb"FLIF",
    "Blizzard BLP": rb"BLP[12]",
    "Sun raster": rb"\x59\xa6\x6a\x95",
    "XPM": rb"/\* XPM",
    "XBM": rb"#define \w+_width",
    "PAM": rb"P7[\s#]",
    "a Windows metafile": rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF",
    "a camera's raw file": rb"(II\*\0|MM\0\*).{4}CR\x02|FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\0|FOVb|\0MRM|.{4}ftypcrx",
    "a video": rb".{4}ftyp|RIFF.{4}AVI |\x1a\x45\xdf\xa3|\0\0\x01[\xb3\xba]|.{4}(moov|mdat|wide)|FLV\x01",
}
_SIGNATURES = [(name, re.compile(pattern, re.DOTALL)) for name, pattern in IMAGE_FORMATS.items() if pattern]
_UNSUPPORTED_SIGNATURES = [(name, re.compile(pattern, re.DOTALL)) for name, pattern in _UNSUPPORTED.items()]
HEAD_BYTES = 256  # enough to recognise every format


def sniff(head: bytes) -> str:
    """Return the format of a file that begins with these bytes: a key of `IMAGE_FORMATS`.

    Raises
    ------
    ImageError
        With code empty_file, unsupported_format or not_an_image.
    """
    if not head:
        raise ImageError("empty_file", "has no bytes")
    for name, signature in _SIGNATURES:
        if signature.match(head):
            return name
    if name := _format_of_brands(head):
        return name
    for name, signature in _UNSUPPORTED_SIGNATURES:
        if signature.match(head):
            raise ImageError("unsupported_format", f"is {name}, which is not supported; use {', '.join(IMAGE_FORMATS)}")
    raise ImageError("not_an_image", f"is not an image in a known format ({', '.join(IMAGE_FORMATS)})")


def _format_of_brands(head: bytes) -> str:
    """Return AVIF or HEIF if a brand of an ISO base media file says so; otherwise ""."""
    if head[4:8] != b"ftyp":
        return ""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]
    for table in (_CODECS, _CONTAINERS):
        for brand in brands:
            if brand in table:
                return table[brand]
    return ""
