"""A bound on how far the units of layer 1 may move from weights that were learned before the training.

Without it, a few hundred steps of Adam, which are equally large for all weights, cover learned edges with noise: in
colour images of 64x64, hardly any edge was left (docs/edges.md). To stay near the weights that a training starts from
is an idea of fine-tuning (L2-SP: Li, Grandvalet, Davoine 2018, "Explicit inductive bias for transfer learning with
convolutional networks"). Here it is a limit instead of a penalty, so that the number of steps does not decide how much
of an edge remains.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from model.activations import Array

_BLOCK = 65_536  # values that stay in the processor's cache


class FirstLayerBound(NamedTuple):
    """The weights that layer 1 stays near.

    Attributes
    ----------
    start : ndarray of shape (n_1, n_x), the dtype of the network
    lengths : ndarray of shape (n_1,), float64
        The largest distance of each unit's weights from `start`.
    """

    start: Array
    lengths: Array

    @classmethod
    def around(cls, W1: Array, share: float, dtype: str) -> FirstLayerBound:
        """Return the bound that lets each unit move by a share of the length of its weights W1, (n_1, n_x)."""
        start = W1.astype(dtype)
        return cls(start, share * np.sqrt(np.einsum("ij,ij->i", start, start, dtype=np.float64)))

    def hold(self, W: Array) -> None:
        """Move the units of W, (n_1, n_x), that are too far away back to their largest distance, in place."""
        rows = max(1, _BLOCK // W.shape[1])
        for first in range(0, len(W), rows):
            part = slice(first, first + rows)
            units, start, lengths = W[part], self.start[part], self.lengths[part]
            change = units - start
            distances = np.sqrt(np.einsum("ij,ij->i", change, change))
            far = distances > lengths
            if far.all():
                change *= (lengths / distances).astype(W.dtype)[:, None]
                np.add(start, change, out=units)
            elif far.any():
                factors = (lengths[far] / distances[far]).astype(W.dtype)
                units[far] = start[far] + factors[:, None] * change[far]
