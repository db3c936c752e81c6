"""Steps of an optimizer on given gradients."""

from __future__ import annotations

import numpy as np

from model import optimizers
from model.config import TrainingConfig
from model.optimizers import OPTIMIZERS, Block

CONFIG = TrainingConfig(momentum=0.8, beta1=0.85, beta2=0.95, epsilon=1e-3, weight_decay=0.1)
RATE = 0.05


def ours(name: str, w: np.ndarray, gradients: np.ndarray, blocks: list[Block], n_numbers=0) -> np.ndarray:
    """Return the weights after one step for each row of gradients."""
    update = optimizers.update_for(name, w.dtype, n_numbers)
    config = TrainingConfig(**{**vars(CONFIG), "optimizer": name})
    w, moments = w.copy(), np.zeros((OPTIMIZERS[name].n_moments, w.size), w.dtype)
    for t, g in enumerate(gradients, start=1):
        optimizers.apply(update, w, g.astype(w.dtype), moments, blocks, RATE, t, config)
    return w
