"""Numbers, times and lists as people write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def count(n: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: 1 image, 2,000 images."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def shortened(texts: Sequence[str], limit: int = 5, separator: str = ", ") -> str:
    """Return the first texts of a list, and how many more there are: a, b, c, d, e and 3 more."""
    more = f" and {len(texts) - limit:,} more" if len(texts) > limit else ""
    return separator.join(texts[:limit]) + more


def duration(seconds: float) -> str:
    """Write a number of seconds in a suitable unit."""
    if seconds < 1:
        return "less than a second"
    if round(seconds) < 90:
        return f"{seconds:.0f} s"
    if round(seconds) < 600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min" + (f" {rest} s" if rest else "")
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def value_text(value: Any) -> str:
    """Return the value of a setting as the user types it: on, 128,64, 0.001."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ",".join(map(value_text, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
