"""Pixel values: what is white is decided by the type alone."""

import numpy as np
import pytest

from pipeline.images.values import PixelValuesError, check_values, to_8_bit, white_of


@pytest.mark.parametrize(
    ("dtype", "white"),
    [
        (bool, 1),
        (np.uint8, 255),
        (np.uint16, 65535),
        (np.uint32, 255),
        (np.uint64, 255),
        (np.int8, 255),
        (np.int16, 255),
        (np.int32, 255),
        (np.int64, 255),
        (np.float16, 1),
        (np.float32, 1),
        (np.float64, 1),
    ],
)
def test_every_type_has_its_white(dtype, white):
    assert white_of(np.dtype(dtype)) == white


def test_white_is_not_guessed_from_the_largest_value():
    for dtype, value, expected in ((np.uint16, 255, 1), (np.float32, 0.1, 26), (np.int32, 1, 1)):
        assert (to_8_bit(np.full((4, 4), value, dtype)) == expected).all()


def test_declared_bits_and_a_given_scale():
    values = np.array([[0, 1000, 4095]], np.uint16)
    assert to_8_bit(values, bits=12).tolist() == [[0, 62, 255]]
    assert to_8_bit(values, scale=4095).tolist() == [[0, 62, 255]]
    assert to_8_bit(np.array([[0, 200]], np.uint8), scale=65535).tolist() == [[0, 200]]


def test_every_16_bit_value_is_rounded_to_the_nearest():
    values = np.arange(65536).astype(np.uint16)
    assert (to_8_bit(values) == np.rint(values / 257)).all()


def test_only_floats_and_scaled_values_may_lie_a_little_outside():
    assert to_8_bit(np.array([-0.04, 1.05])).tolist() == [0, 255]
    assert to_8_bit(np.array([4200], np.uint16), scale=4095).tolist() == [255]
    for values, scale in ((np.array([1.2]), 0), (np.array([-0.2]), 0), (np.array([256]), 0), (np.array([-1]), 0)):
        with pytest.raises(PixelValuesError, match="--scale"):
            to_8_bit(values, scale)


def test_values_that_are_not_numbers_are_damage():
    with pytest.raises(PixelValuesError) as caught:
        check_values(np.array([0.5, np.nan]))
    assert caught.value.is_damage


def test_a_large_array_comes_out_as_its_parts():
    values = np.random.default_rng(0).random(3_000_001).astype(np.float32)
    assert (to_8_bit(values) == np.concatenate([to_8_bit(part) for part in np.array_split(values, 7)])).all()
