"""PNG files with texts or a profile beyond Pillow's limits are read without them."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.images.decode import decode_image, open_image
from pipeline.images.geometry import Geometry
from pipeline.images.png import without_large_texts

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


def png(chunks=(), *, at_end=False):
    """Return a PNG with more chunks, after its header or before its end."""
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "png")
    data = file.getvalue()
    more = b"".join(
        len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
        for kind, content in chunks
    )
    at = len(data) - 12 if at_end else 33
    return data[:at] + more + data[at:]


LARGE = bytes(3_000_000)
CASES = {
    "zTXt": (b"zTXt", b"workflow\0\0" + zlib.compress(LARGE)),
    "iTXt packed": (b"iTXt", b"workflow\0\1\0en\0\0" + zlib.compress(LARGE)),
    "iCCP": (b"iCCP", b"profile\0\0" + zlib.compress(LARGE)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("at_end", [False, True])
def test_a_large_text_does_not_matter(name, at_end):
    data = png([CASES[name]], at_end=at_end)
    assert (np.asarray(open_image(data).image) == PIXELS).all()
    assert decode_image(data, Geometry(6, 8)).shape == (6, 8, 3)


def test_many_texts_that_are_large_together_do_not_matter():
    one = (b"zTXt", b"x\0\0" + zlib.compress(bytes(1_000_000)))
    assert (np.asarray(open_image(png([one] * 80)).image) == PIXELS).all()


def test_small_texts_stay_so_that_their_orientation_counts():
    exif = Image.Exif()
    exif[0x0112] = 6
    text = b"Raw profile type exif\0\0" + zlib.compress(
        b"\nexif\n%8d\n%s\n" % (len(exif.tobytes()), exif.tobytes().hex().encode())
    )
    data = png([(b"zTXt", text), CASES["iCCP"]])
    assert open_image(data).image.size == (12, 16)
    assert without_large_texts(png([(b"zTXt", text)])) == png([(b"zTXt", text)])
