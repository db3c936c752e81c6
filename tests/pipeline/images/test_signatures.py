"""Signatures: the content decides what a file is, and what is not read is named."""

import pytest

from pipeline.images.errors import ImageError
from pipeline.images.signatures import sniff


def brands(major, *others):
    names = b"".join([major, bytes(4), *others])
    return (8 + len(names)).to_bytes(4, "big") + b"ftyp" + names + bytes(100)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (brands(b"avif", b"mif1", b"miaf"), "AVIF"),
        (brands(b"mif1", b"miaf", b"avif"), "AVIF"),
        (brands(b"msf1", b"avis"), "AVIF"),
        (brands(b"heic", b"mif1"), "HEIF"),
        (brands(b"mif1", b"heic"), "HEIF"),
        (brands(b"mif1"), "HEIF"),
        (b"II*\0\x08\0\0\0" + bytes(20), "TIFF"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WEBP"),
    ],
)
def test_formats_are_recognised(head, name):
    assert sniff(head) == name


def test_a_brand_counts_only_within_its_box():
    assert sniff(brands(b"heic") + b"avif" * 20) == "HEIF"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (brands(b"isom", b"mp42"), "a video"),
        (b"\x1a\x45\xdf\xa3" + bytes(20), "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (brands(b"crx ", b"isom"), "a camera's raw file"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(20), "a camera's raw file"),
        (b"FUJIFILMCCD-RAW 0201", "a camera's raw file"),
        (b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg width="3"/>', "SVG"),
        (b"\xff\x0a" + bytes(20), "JPEG XL"),
        (bytes(128) + b"DICM", "DICOM"),
        (b"%PDF-1.7", "PDF"),
        (b"8BPS\0\1", "Photoshop"),
        (b"#?RADIANCE\n", "Radiance HDR"),
        (b"\x0a\5\1\x08" + bytes(20), "PCX"),
    ],
)
def test_a_format_that_is_not_read_is_named(head, name):
    with pytest.raises(ImageError, match=f"is {name}, which is not supported") as caught:
        sniff(head)
    assert caught.value.code == "unsupported_format"


@pytest.mark.parametrize("head", [b"hello", b"\0" * 200, b"RIFF\0\0\0\0WAVEfmt ", b"PK\3\4"])
def test_anything_else_is_no_image(head):
    with pytest.raises(ImageError) as caught:
        sniff(head)
    assert caught.value.code == "not_an_image"
