"""TIFF files of every kind come to the pixels that they were made from, or are called unsupported."""

import struct

import numpy as np
import pytest

from pipeline.images.decode import decode_image, open_image
from pipeline.images.errors import ImageError
from pipeline.images.geometry import Geometry

HEIGHT, WIDTH = 6, 8
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
NOT_READ_BY_PILLOW = {
    (12, UNSIGNED, WHITE_IS_ZERO, "<"),
    (12, UNSIGNED, WHITE_IS_ZERO, ">"),
    (12, UNSIGNED, BLACK_IS_ZERO, ">"),
    (16, UNSIGNED, WHITE_IS_ZERO, ">"),
    (32, UNSIGNED, BLACK_IS_ZERO, ">"),
    *((32, UNSIGNED, WHITE_IS_ZERO, endian) for endian in "<>"),
    *((bits, SIGNED, WHITE_IS_ZERO, endian) for bits in (16, 32) for endian in "<>"),
}
rng = np.random.default_rng(0)
GRAY = rng.integers(0, 256, (HEIGHT, WIDTH, 1))
COLOUR = rng.integers(0, 256, (HEIGHT, WIDTH, 3))


def packed(samples, bits, kind, endian):
    """Return samples (rows, n) as the bytes of a TIFF strip; rows begin at a whole byte."""
    if kind == FLOAT:
        return samples.astype(f"{endian}f{bits // 8}").tobytes()
    if bits % 8 == 0:
        return samples.astype(f"{endian}{'i' if kind == SIGNED else 'u'}{bits // 8}").tobytes()
    rows = ("".join(f"{value:0{bits}b}" for value in row) for row in samples.tolist())
    return b"".join(int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8), "big") for row in rows)


def tiff(values, *, bits=8, kind=UNSIGNED, photometric=BLACK_IS_ZERO, endian="<", planar=1, extra=None, more=()):
    """Return an uncompressed TIFF of values (height, width, samples), made tag by tag."""
    n = values.shape[2]
    if planar == 1:
        strips = [packed(values.reshape(HEIGHT, -1), bits, kind, endian)]
    else:
        strips = [packed(values[..., k], bits, kind, endian) for k in range(n)]
    tags = {256: [WIDTH], 257: [HEIGHT], 258: [bits] * n, 259: [1], 262: [photometric], 277: [n], 278: [HEIGHT]}
    tags |= {284: [planar], 339: [kind] * n, 279: [len(strip) for strip in strips], 273: [0] * len(strips)}
    tags |= {338: [extra]} if extra is not None else {}
    tags |= dict(more)
    directory = 8 + sum(len(strip) for strip in strips)
    rest = directory + 2 + 12 * len(tags) + 4
    tags[273] = [8 + sum(len(strip) for strip in strips[:k]) for k in range(len(strips))]
    entries, data = b"", b""
    for tag, numbers in sorted(tags.items()):
        field = struct.pack(f"{endian}{len(numbers)}I", *numbers)
        if len(field) > 4:
            field, data = struct.pack(f"{endian}I", rest + len(data)), data + field
        entries += struct.pack(f"{endian}HHI", tag, 4, len(numbers)) + field
    head = (b"II" if endian == "<" else b"MM") + struct.pack(f"{endian}HI", 42, directory)
    return head + b"".join(strips) + struct.pack(f"{endian}H", len(tags)) + entries + bytes(4) + data


def pixels(data):
    return np.asarray(open_image(data).image)


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO])
@pytest.mark.parametrize(
    ("bits", "kind", "white"),
    [
        (1, UNSIGNED, 1),
        (2, UNSIGNED, 3),
        (4, UNSIGNED, 15),
        (8, UNSIGNED, 255),
        (12, UNSIGNED, 4095),
        (16, UNSIGNED, 65535),
        (32, UNSIGNED, 255),
        (16, SIGNED, 255),
        (32, SIGNED, 255),
        (32, FLOAT, 1),
    ],
)
def test_gray(bits, kind, white, photometric, endian):
    values = GRAY / 255 * white if kind == FLOAT else np.rint(GRAY / 255 * white).astype(np.int64)
    expected = np.rint(values[..., 0] * (255 / white))
    if photometric == WHITE_IS_ZERO:
        values = white - values
    data = tiff(values, bits=bits, kind=kind, photometric=photometric, endian=endian)
    if (bits, kind, photometric, endian) in NOT_READ_BY_PILLOW:
        with pytest.raises(ImageError) as caught:
            open_image(data)
        assert caught.value.code == "unsupported_format"
    else:
        assert (pixels(data) == expected).all()


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("alpha", [None, 255, 128])
def test_colour(bits, planar, endian, alpha):
    expected, values = COLOUR, COLOUR * (257 if bits == 16 else 1)
    if alpha is not None:
        expected = (COLOUR * alpha + 255 * (255 - alpha)) / 255
        values = np.concatenate([values, np.full((HEIGHT, WIDTH, 1), alpha * (257 if bits == 16 else 1))], axis=2)
    data = tiff(values, bits=bits, photometric=RGB, endian=endian, planar=planar, extra=None if alpha is None else 2)
    if bits == 16 and planar == 2:
        with pytest.raises(ImageError, match="separate colour planes") as caught:
            open_image(data)
        assert caught.value.code == "unsupported_format"
        return
    assert np.abs(pixels(data) - expected).max() <= 1


@pytest.mark.parametrize(
    ("samples", "bits", "kind", "photometric"),
    [(1, 16, FLOAT, BLACK_IS_ZERO), (1, 64, FLOAT, BLACK_IS_ZERO), (3, 32, FLOAT, RGB), (3, 32, UNSIGNED, RGB)],
)
def test_a_kind_that_is_not_read_is_called_unsupported(samples, bits, kind, photometric):
    with pytest.raises(ImageError, match=f"{bits} bits") as caught:
        open_image(tiff(np.zeros((HEIGHT, WIDTH, samples)), bits=bits, kind=kind, photometric=photometric))
    assert caught.value.code == "unsupported_format"


@pytest.mark.parametrize(
    ("values", "bits", "kind", "part"),
    [
        (GRAY * 100, 32, SIGNED, "--scale 65535"),
        (GRAY - 10, 16, SIGNED, "values from -"),
        (GRAY - 10, 8, SIGNED, "below 0"),
        (GRAY, 32, FLOAT, "--scale 255"),
    ],
)
def test_values_whose_white_is_not_known_are_refused(values, bits, kind, part):
    with pytest.raises(ImageError, match=part) as caught:
        open_image(tiff(values, bits=bits, kind=kind))
    assert caught.value.code == "unsupported_format"


def test_a_given_scale_counts_for_files_too():
    data = tiff(GRAY * 100, bits=32, kind=SIGNED)
    found = decode_image(data, Geometry(HEIGHT, WIDTH, "gray", scale=25500))
    assert (found == GRAY).all()
    with pytest.raises(ImageError, match="16 bits per colour"):
        decode_image(tiff(COLOUR * 100, bits=16, photometric=RGB), Geometry(HEIGHT, WIDTH, scale=25500))


def test_a_raw_file_of_a_camera_is_not_taken_for_its_preview():
    for more in ({50706: [1]}, {254: [1], 330: [8]}):
        with pytest.raises(ImageError, match="raw file") as caught:
            open_image(tiff(GRAY, more=more.items()))
        assert caught.value.code == "unsupported_format"
