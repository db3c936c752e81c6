"""Names of members: their encoding and their separators."""

import struct
import zipfile
import zlib

import pytest

from pipeline.sources.zip_names import member_name


def member(name, flags=0, extra=b""):
    info = zipfile.ZipInfo()
    info.filename, info.flag_bits, info.extra = name, flags, extra  # as `zipfile` reads them
    return info


def unicode_path(raw, name, version=1):
    field = struct.pack("<BL", version, zlib.crc32(raw)) + name
    return struct.pack("<HH", 0x7075, len(field)) + field


@pytest.mark.parametrize(
    ("info", "name", "is_certain"),
    [
        (member("cat/1.png"), "cat/1.png", True),
        (member("Bär/1.png", flags=0x800), "Bär/1.png", True),
        (member("Bär/1.png".encode().decode("cp437")), "Bär/1.png", True),
        (member("Bär/1.png"), "Bär/1.png", False),
        (member("B?r.png", extra=unicode_path(b"B?r.png", "Bär.png".encode())), "Bär.png", True),
        (member("B?r.png", extra=unicode_path(b"other", "Bär.png".encode())), "B?r.png", True),
        (member("B?r.png", extra=unicode_path(b"B?r.png", b"\xff")), "B?r.png", True),
        (member("a.png", extra=b"\x75\x70\xff\xff\x01"), "a.png", True),
        (member(".\\cat\\\\1.png"), "cat/1.png", True),
        (member("./cat//./1.png"), "cat/1.png", True),
        (member("cat\\"), "cat/", True),
        (member("\\cat\\..\\1.png"), "/cat/../1.png", True),
    ],
)
def test_names_are_what_the_program_meant(info, name, is_certain):
    assert member_name(info) == (name, is_certain)
