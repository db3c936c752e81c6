"""Numbers and lists as people write them."""

from __future__ import annotations

from collections.abc import Sequence


def count(n: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: 1 image, 2,000 images."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def shortened(texts: Sequence[str], limit: int = 5, separator: str = ", ") -> str:
    """Return the first texts of a list, and how many more there are: a, b, c, d, e and 3 more."""
    more = f" and {len(texts) - limit:,} more" if len(texts) > limit else ""
    return separator.join(texts[:limit]) + more
