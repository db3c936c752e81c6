"""Values from JSON in files that somebody else made: checked by their types, field by field.

A pattern describes a value: a type stands for such values (``float`` also for whole numbers, but not for NaN or
infinity; ``object`` for anything), ``[pattern]`` for a list, ``{str: pattern}`` for a table with any names, and
``{"name": pattern}`` for a table in which the fields of these names, if they are there, fit their patterns.
"""

from __future__ import annotations

import json
from typing import Any

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a table", list: "a list"}


def check_value(value: Any, pattern: Any, name: str) -> None:
    """Check that a value fits a pattern, and that its texts are valid Unicode.

    Raises
    ------
    ValueError
        When it does not; the message names the field, such as ``provenance.created``.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds half a character (a lone surrogate)") from None
    _check(value, pattern, name)


def _check(value: Any, pattern: Any, name: str) -> None:
    kind = pattern if isinstance(pattern, type) else type(pattern)
    if not _is_a(value, kind):
        raise ValueError(f"{name} is {_shown(value)}; it should be {_WORDS[kind]}")
    if isinstance(pattern, list):
        for i, item in enumerate(value):
            _check(item, pattern[0], f"{name}[{i}]")
    elif isinstance(pattern, dict):
        for key, item in value.items():
            _check(item, pattern.get(str, pattern.get(key, object)), f"{name}.{key}")


def _is_a(value: Any, kind: type) -> bool:
    if kind is object:
        return True
    if kind is float:
        return type(value) in (int, float) and -_LARGEST <= value <= _LARGEST  # false for NaN
    return type(value) is kind


_LARGEST = 10**300  # far below the largest float, so that a hundredfold of it is one, too


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
