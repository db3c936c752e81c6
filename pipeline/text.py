"""Numbers and lists as people write them."""

from __future__ import annotations


def count(n: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: 1 image, 2,000 images."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
