"""Compiled code that is faster than NumPy, if Numba is installed (the extra ``fast``), with bit-for-bit equal results.

NumPy goes over memory once for every operation of a formula; a compiled loop does it in one pass.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from model.activations import Array

Change = Callable[..., None]


@functools.cache
def adam(dtype: np.dtype) -> Change | None:
    """Return Adam's ``change(w, g, M, V, beta1, beta2, epsilon, step)``, or None without Numba.

    All arrays have shape (n,) and, like the scalars, this dtype.
    """
    try:
        import numba
    except ImportError:
        return None
    if getattr(numba.config, "DISABLE_JIT", 0):  # it would be a slow loop in Python
        return None

    @numba.njit(nogil=True, error_model="numpy")
    def change(w: Array, g: Array, M: Array, V: Array, beta1: float, beta2: float, epsilon: float, step: float) -> None:
        for i in range(w.size):
            M[i] = M[i] * beta1 + g[i]
            V[i] = V[i] * beta2 + g[i] * g[i]
            w[i] -= M[i] / (math.sqrt(V[i]) + epsilon) * step

    nothing, number = np.empty(0, dtype), dtype.type(0)
    change(nothing, nothing, nothing, nothing, number, number, number, number)  # compiles the function
    return change
