"""How sure a classifier is, in a plain sentence."""

from __future__ import annotations

from collections.abc import Sequence

SURE, FAIRLY_SURE, CLOSE = 0.95, 0.75, 0.15


def verdict(ranking: Sequence[tuple[str, float]]) -> str:
    """Say how sure a classifier is of its likeliest class.

    Parameters
    ----------
    ranking : sequence of (label, probability)
        Likeliest first; two or more.
    """
    (first, p), (second, q) = ranking[:2]
    if p >= SURE:
        return "The model is sure."
    if p - q < CLOSE:
        return f"The model cannot decide between {first} and {second}."
    if p >= FAIRLY_SURE:
        return "The model is fairly sure."
    return f"The model leans towards {first}, but {second} is possible."
