"""How sure a classifier is, in a plain sentence."""

from __future__ import annotations

from collections.abc import Sequence

SURE, FAIRLY_SURE, CLOSE = 0.95, 0.75, 0.15


def headline(ranking: Sequence[tuple[str, float]]) -> str:
    """Name the likeliest class; both of two that are about as likely."""
    (first, p), (second, q) = ranking[:2]
    return f"{first} or {second}?" if p - q < CLOSE else first


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
        return "The model cannot decide."
    if p >= FAIRLY_SURE:
        return "The model is fairly sure."
    return f"The model leans towards {first}, but {second} is possible."
