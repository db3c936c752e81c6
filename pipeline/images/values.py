"""Pixel values of any type to 8 bits, by one rule that looks at the type alone.

What counts as white depends neither on other images nor on the largest value that an image happens to have:

============================================== ===========================================================
values                                         black and white
============================================== ===========================================================
bool                                           False and True
unsigned integers of 8 bits                    0 and 255: they stay as they are
unsigned integers of 16 bits                   0 and 65535, or the largest value of fewer bits that a file declares
floats                                         0 and 1
other integers: signed, or of 32 or 64 bits    0 and 255
============================================== ===========================================================

If this is wrong, the user gives the value of white (`scale`). It does not apply to bool and 8-bit values, whose white
is certain. Values outside are an error. Only floats, and values with a given `scale`, may lie outside by a tenth of
white, because resizing and rounding cause that; they are clipped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TOLERANCE = 0.1  # as a share of white
_VALUES_AT_ONCE = 1 << 20  # so that hardly any memory is needed besides the result


class PixelValuesError(ValueError):
    """Values that cannot be pixels; `is_damage` if they are not even numbers (NaN or infinite)."""

    def __init__(self, message: str, *, is_damage: bool = False) -> None:
        super().__init__(message)
        self.is_damage = is_damage


def white_of(dtype: np.dtype, scale: float = 0.0, bits: int = 16) -> float:
    """Return the value that stands for white.

    Parameters
    ----------
    dtype : dtype of numbers
    scale : float
        What the user gave; 0: by the type.
    bits : int
        The bits per value that a file of 16-bit integers declares.
    """
    if dtype.kind == "b":
        return 1.0
    if dtype == np.uint8:
        return 255.0
    if scale:
        return scale
    if dtype.kind == "f":
        return 1.0
    return float(2**bits - 1) if dtype.kind == "u" and dtype.itemsize == 2 else 255.0


def check_values(values: NDArray, scale: float = 0.0, bits: int = 16) -> tuple[float, float]:
    """Return the smallest and the largest value, if they can be pixels; parameters as in `to_8_bit`.

    Raises
    ------
    PixelValuesError
        If a value is not finite, or too far below black or above white.
    """
    white = white_of(values.dtype, scale, bits)
    if not values.size:
        return 0.0, white
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise PixelValuesError("has pixel values that are not finite numbers", is_damage=True)
    slack = _TOLERANCE * white if values.dtype.kind == "f" or scale else 0.0
    if low < -slack or high > white + slack:
        raise PixelValuesError(
            f"has {values.dtype.name} values from {low:g} to {high:g}, where 0 is black and {white:g} is white; "
            f"if another value is white, give it: --scale {_likely_white(high):g}"
        )
    return low, high


def to_8_bit(values: NDArray, scale: float = 0.0, bits: int = 16) -> NDArray[np.uint8]:
    """Return pixel values as 8 bits, by the rule at the top of this file.

    Parameters
    ----------
    values : ndarray of any shape, dtype bool, integer or float
    scale : float
        The value of white; 0: by the type.
    bits : int
        The bits per value that a file of 16-bit integers declares.

    Returns
    -------
    ndarray of the same shape, uint8
        Black is 0, white is 255.

    Raises
    ------
    PixelValuesError
        As `check_values`.
    """
    if values.dtype == np.uint8:
        return values
    check_values(values, scale, bits)
    factor = 255 / white_of(values.dtype, scale, bits)
    if values.dtype == np.uint16:
        return _rounded(np.arange(2**16) * factor)[values]
    flat, out = values.reshape(-1), np.empty(values.size, np.uint8)
    for start in range(0, flat.size, _VALUES_AT_ONCE):
        part = slice(start, start + _VALUES_AT_ONCE)
        out[part] = _rounded(flat[part].astype(np.float64) * factor)
    return out.reshape(values.shape)


def _rounded(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def _likely_white(high: float) -> float:
    """Return the usual value of white that is not below the largest value, for a message."""
    return next((white for white in (1.0, 255.0, 4095.0, 65535.0) if high <= white), high)
