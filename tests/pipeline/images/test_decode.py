"""Decoding: every kind of image is decoded correctly, and every bad file raises one error of the vocabulary."""

import io
import os
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.images.decode import declared_size, decode_image, open_image, quiet_decoders, read_bytes
from pipeline.images.errors import ERROR_CODES, ImageError
from pipeline.images.geometry import Geometry

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")


def encode(image, format="PNG", **options):
    data = io.BytesIO()
    image.save(data, format, **options)
    return data.getvalue()


def pixels(data):
    return np.asarray(open_image(data).image)


def code_of(data, **options):
    with pytest.raises(ImageError) as caught:
        open_image(data, **options)
    assert caught.value.code in ERROR_CODES
    return caught.value.code


def bmp_with_alpha(image, alpha):
    """Return a BMP of 32 bits with a header of version 4, which says which of the four bytes is what."""
    image = image.convert("RGBA")
    image.putalpha(alpha)
    pixels = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes("raw", "BGRA")
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, *image.size, 1, 32, 3, len(pixels), 2835, 2835, 0, 0) + masks + bytes(52)
    return b"BM" + struct.pack("<IHHI", 122 + len(pixels), 0, 0, 122) + header + pixels


@pytest.fixture(scope="module")
def scene(photo_image):
    return photo_image.crop((100, 60, 340, 220))  # 240 x 160


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_lossless_formats_give_exactly_the_pixels(scene, format):
    options = {"lossless": True} if format == "WEBP" else {}
    assert (pixels(encode(scene, format, **options)) == np.asarray(scene)).all()
    gray = scene.convert("L")
    assert (np.asarray(open_image(encode(gray, format, **options)).image.convert("L")) == np.asarray(gray)).all()


@pytest.mark.parametrize("format", ["JPEG", "AVIF", "GIF"])
def test_lossy_formats_give_nearly_the_pixels(scene, format):
    difference = pixels(encode(scene, format)).astype(int) - np.asarray(scene)
    assert np.abs(difference).mean() < 12


def test_heic_is_decoded_if_its_extra_is_installed(scene):
    heif = pytest.importorskip("pillow_heif")
    data = io.BytesIO()
    heif.from_pillow(scene).save(data, quality=90)
    assert np.abs(pixels(data.getvalue()).astype(int) - np.asarray(scene)).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_undone(scene, orientation, format):
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = scene.transpose(inverse[orientation]) if orientation > 1 else scene
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(stored, format, exif=exif, **({"quality": 95} if format == "JPEG" else {}))
    assert declared_size(data) == (160, 240)
    result = pixels(data)
    assert result.shape == (160, 240, 3)
    assert np.abs(result.astype(int) - np.asarray(scene)).mean() < 8


def test_transparent_pixels_show_white(scene):
    rgba = scene.convert("RGBA")
    alpha = np.zeros((160, 240), dtype=np.uint8)
    alpha[:, 120:] = 255
    alpha[80:, 120:] = 128
    rgba.putalpha(Image.fromarray(alpha))
    result = pixels(encode(rgba)).astype(int)
    original = np.asarray(scene).astype(int)
    assert (result[:, :120] == 255).all()
    assert (result[:80, 120:] == original[:80, 120:]).all()
    assert np.abs(result[80:, 120:] - (original[80:, 120:] * 128 + 255 * 127) / 255).max() <= 1
    palette = Image.fromarray(np.tile(np.arange(2, dtype=np.uint8), (8, 4)))  # columns of colours 0 and 1 in turn
    palette.putpalette([9, 9, 9, 200, 0, 0])
    shown = pixels(encode(palette, transparency=1))
    assert (shown[:, ::2] == 9).all()
    assert (shown[:, 1::2] == 255).all()
    assert (pixels(encode(palette))[:, 1::2] == [200, 0, 0]).all()
    gray = Image.merge("LA", (Image.new("L", (8, 8), 7), palette.point([0, 255] * 128, "L")))
    assert (pixels(encode(gray))[:, ::2] == 255).all()
    assert (pixels(encode(gray))[:, 1::2] == 7).all()


@pytest.mark.parametrize("bits", [1, 16])
def test_a_gray_value_that_stands_for_transparency_shows_white(bits):
    values = np.zeros((6, 8), bool if bits == 1 else np.uint16)
    values[:, 4:] = 1 if bits == 1 else 257 * 100
    shown = pixels(encode(Image.fromarray(values), transparency=0))
    assert (shown[:, :4] == 255).all()
    assert (shown[:, 4:] == (255 if bits == 1 else 100)).all()


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "GIF"])
def test_an_image_of_which_nothing_is_visible_is_corrupt(scene, format):
    invisible = scene.convert("RGBA")
    invisible.putalpha(0)
    assert code_of(encode(invisible, format)) == "corrupt"


def test_a_bmp_whose_fourth_byte_is_always_0_is_opaque(scene):
    data = bytearray(bmp_with_alpha(scene, 0))
    assert (pixels(bytes(data)) == np.asarray(scene)).all()


def test_16_bit_values_are_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    expected = np.rint(ramp / 257).astype(int)
    for format in ("PNG", "TIFF"):
        assert np.abs(pixels(encode(Image.fromarray(ramp), format)) - expected).max() <= 1
    pgm = b"P5 64 64 65535\n" + ramp.astype(">u2").tobytes()
    assert np.abs(pixels(pgm) - expected).max() <= 1
    floats = Image.fromarray((ramp / 65535).astype(np.float32))
    assert np.abs(pixels(encode(floats, "TIFF")) - expected).max() <= 1
    assert code_of(encode(Image.fromarray(np.full((4, 4), np.nan, dtype=np.float32)), "TIFF")) == "corrupt"


def test_1_bit_and_cmyk_are_converted_as_by_pillow(scene):
    bits = scene.convert("1")
    assert (pixels(encode(bits)) == np.asarray(bits.convert("L"))).all()
    cmyk = pixels(encode(scene.convert("CMYK"), "TIFF"))
    assert (cmyk == np.asarray(scene.convert("CMYK").convert("RGB"))).all()


def test_the_first_of_several_frames_is_decoded(scene):
    other = Image.new("RGB", scene.size, "red")
    for format in ("GIF", "TIFF", "PNG", "WEBP"):
        data = encode(scene, format, save_all=True, append_images=[other])
        assert np.abs(pixels(data).astype(int) - np.asarray(scene)).mean() < 12


def test_the_ending_of_the_file_name_does_not_matter(scene, tmp_path):
    (tmp_path / "a.jpg").write_bytes(encode(scene))
    assert (np.asarray(open_image(tmp_path / "a.jpg").image) == np.asarray(scene)).all()


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"", "empty_file"),
        (b"plain text", "not_an_image"),
        (b"\0" * 1000, "not_an_image"),
        (b"%PDF-1.7 ...", "unsupported_format"),
        (b"8BPS\0\1", "unsupported_format"),
        (b"<?xml version='1.0'?><svg xmlns=''>", "unsupported_format"),
        (b"\x89PNG\r\n\x1a\n" + b"nonsense" * 9, "corrupt truncated"),
        (b"\xff\xd8\xff\xe0" + b"nonsense" * 9, "corrupt truncated"),
    ],
)
def test_files_that_are_no_images_have_the_code_for_their_fault(data, codes):
    assert code_of(data) in codes.split()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_half_a_file_is_truncated_or_corrupt(scene, format):
    data = encode(scene, format)
    assert code_of(data[: len(data) // 2]) in ("truncated", "corrupt")
    if format in ("JPEG", "PNG", "BMP", "WEBP", "PPM"):
        assert code_of(data[: len(data) // 2]) == "truncated"


def test_a_png_whose_data_do_not_add_up_is_corrupt(scene):
    """The chunks are intact, but the checksum of the compressed data in them is wrong."""
    scene.save(stream := io.BytesIO(), "PNG")
    data = bytearray(stream.getvalue())
    end = data.rindex(b"IEND") - 8  # of the last chunk of data, before its own checksum
    data[end - 1] ^= 1
    start = data.rindex(b"IDAT")
    data[end : end + 4] = zlib.crc32(data[start:end]).to_bytes(4, "big")
    with pytest.raises(ImageError, match="cannot be decoded"):
        open_image(bytes(data))


def test_quiet_decoders_write_nothing_about_broken_images(scene, capfd):
    quiet_decoders()
    good = encode(scene.convert("1"), "TIFF", compression="group4")
    for at in range(10, len(good), 40):
        try:
            open_image(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
        except ImageError:
            continue
    assert capfd.readouterr() == ("", "")


def test_decompression_bombs_raise_before_they_are_unpacked(scene):
    assert code_of(encode(scene), max_pixels=240 * 160 - 1) == "too_large"
    open_image(encode(scene), max_pixels=240 * 160)
    huge = bytearray(encode(Image.new("1", (16, 16))))
    huge[16:24] = (200_000).to_bytes(4, "big") * 2
    assert code_of(bytes(huge)) in ("too_large", "corrupt")
    gif = bytearray(encode(Image.new("P", (16, 16)), "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    assert code_of(bytes(gif)) == "too_large"


def test_unreadable_files_have_the_code_for_their_fault(tmp_path):
    def code(path):
        with pytest.raises(ImageError) as caught:
            read_bytes(path)
        return caught.value.code

    assert code(tmp_path / "missing.png") == "not_found"
    assert code(tmp_path) == "io_error"
    os.mkfifo(tmp_path / "pipe")
    assert code(tmp_path / "pipe") == "io_error"  # and it does not wait for a writer
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "a.png").chmod(0)
    if os.geteuid() != 0:
        assert code(tmp_path / "a.png") == "permission"


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_gives_an_image_or_an_error_code(scene, data):
    format = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "WEBP", "PPM"]))
    content = bytearray(encode(scene.resize((24, 16)), format))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=6)):
        content[at] = value
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        image = open_image(bytes(content), max_pixels=1_000_000)
        outcome = image.image.mode
    except ImageError as error:
        outcome = error.code
    assert outcome in ("L", "RGB", *ERROR_CODES)


@pytest.mark.parametrize("color", ["gray", "rgb"])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_every_geometry_has_its_shape(scene, color, fit):
    for height, width in ((32, 32), (20, 40), (1, 1), (300, 200), (160, 240)):
        geometry = Geometry(height, width, color, fit)
        assert decode_image(encode(scene), geometry).shape == geometry.shape
        for extreme in ((1, 500), (500, 1), (1, 1)):
            assert decode_image(encode(Image.new("RGB", extreme, "white")), geometry).shape == geometry.shape


def test_crop_keeps_the_middle_pad_keeps_all_stretch_distorts():
    wide = np.zeros((40, 80), dtype=np.uint8)
    wide[:, 20:60] = 200  # the middle square
    wide = encode(Image.fromarray(wide))
    assert np.abs(decode_image(wide, Geometry(20, 20, "gray", "crop")).astype(int) - 200)[1:-1, 1:-1].max() <= 2
    padded = decode_image(wide, Geometry(20, 20, "gray", "pad"))[..., 0]
    assert (padded[:5] == 0).all()
    assert (padded[15:] == 0).all()
    assert padded[10, 10] == 200
    stretched = decode_image(wide, Geometry(20, 20, "gray", "stretch"))[..., 0]
    assert (stretched[:, 7:13] == 200).all()
    assert (stretched[:, :3] == 0).all()


def test_shrinking_is_antialiased():
    stripes = np.zeros((256, 256), dtype=np.uint8)
    stripes[:, ::2] = 255
    small = decode_image(encode(Image.fromarray(stripes)), Geometry(16, 16, "gray"))
    assert np.abs(small.astype(int) - 127)[:, 1:-1].max() <= 3


def test_many_threads_decode_the_same_pixels_as_one(scene):
    geometry = Geometry(32, 32)
    files = [encode(scene.rotate(angle), format) for angle in range(0, 90, 10) for format in ("JPEG", "PNG", "WEBP")]
    alone = [decode_image(data, geometry) for data in files]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            together = list(pool.map(lambda data: decode_image(data, geometry), files))
            assert all((a == b).all() for a, b in zip(alone, together, strict=True))


def test_importing_the_decoder_loads_no_heavy_library():
    heavy = "sklearn,scipy,matplotlib,pandas,streamlit,skimage,tqdm,h5py"
    check = (
        "import sys, pipeline.images.decode, pipeline.files.walk; "
        f"print([m for m in '{heavy}'.split(',') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


KINDS = {
    "plain": {},
    "gray": {"mode": "L"},
    "cmyk": {"mode": "CMYK"},
    "progressive": {"progressive": True},
    "whole colour": {"subsampling": 0},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(64, 64), (16, 16), (20, 90)])
def test_a_large_jpeg_decoded_at_a_fraction_looks_the_same(photo_image, kind, fit, size):
    options = dict(KINDS[kind])
    image = photo_image.crop((0, 0, 637, 423)).convert(options.pop("mode", "RGB"))
    data = encode(image, "JPEG", quality=90, **options)
    quick, exact = (decode_image(data, Geometry(*size, "rgb", fit, exact)).astype(int) for exact in (False, True))
    assert open_image(data, draft=Geometry(*size, "rgb", fit, False)).image.width < 637
    assert np.abs(quick - exact).mean() < 1.5
    upright = np.asarray(open_image(data).image.convert("L" if kind == "gray" else "RGB"))
    assert (decode_image(data, Geometry(423, 637, exact=False)) == upright.reshape(423, 637, -1)).all()


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_jpeg_lying_on_its_side_is_decoded_at_a_fraction_too(photo_image, fit):
    """Each of the eight ways to hold a camera gives the same upright image, but for rounding."""
    scene = photo_image.crop((0, 0, 637, 423))
    undo = {
        1: None,
        2: 0,
        3: 3,
        4: 1,
        5: 5,
        6: 2,
        7: 6,
        8: 4,
    }  # to store 6 (turn right), turn left
    quick = Geometry(48, 64, "rgb", fit, exact=False)
    expected = decode_image(encode(scene, "JPEG", quality=95), Geometry(48, 64, "rgb", fit)).astype(int)
    for orientation, transpose in undo.items():
        lying = scene if transpose is None else scene.transpose(Image.Transpose(transpose))
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encode(lying, "JPEG", quality=95, exif=exif)
        image = open_image(data, draft=quick)
        assert image.size == declared_size(data) == (423, 637)
        assert image.image.size == (160, 106) or image.image.size == (319, 212)
        assert np.abs(decode_image(data, quick) - expected).mean() < 1.5, orientation


def test_the_pixel_limit_counts_the_pixels_that_the_file_declares(photo_image):
    data = encode(photo_image, "JPEG")
    with pytest.raises(ImageError, match="at most 200,000") as caught:
        decode_image(data, Geometry(16, 16, exact=False), max_pixels=200_000)
    assert caught.value.code == "too_large"


def test_a_jpeg_cut_short_is_truncated_at_any_fraction(photo_image):
    data = encode(photo_image, "JPEG")
    for exact in (False, True):
        with pytest.raises(ImageError) as caught:
            decode_image(data[: len(data) // 2], Geometry(16, 16, exact=exact))
        assert caught.value.code == "truncated"
