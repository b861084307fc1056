"""JSON and YAML from files that anyone may have written: values, or a ``ValueError``.

The parsers themselves fail in more ways: too deep nesting is a ``RecursionError``, a number of
thousands of digits or a date that does not exist a ``ValueError`` that names neither file nor
line, and ten lines of YAML aliases stand for as many values as one likes.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from iouaware.errors import one_line

TOO_DEEP = "it is nested too deeply"


def parse_json(text: str) -> Any:
    """Return the value that JSON text stands for; NaN and Infinity are let through.

    Raises:
        ValueError: with the reason on one line.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def parse_yaml(text: str) -> Any:
    """Return the plain values that YAML text stands for; tags that name code are refused.

    Aliases may repeat a value, but not stand for more values than the text has characters.

    Raises:
        ValueError: with the reason on one line.
    """
    try:
        value = yaml.safe_load(text)
        if _count_values(value, {}) > len(text):
            raise ValueError("its aliases stand for more values than it has characters")
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    # pyyaml's own readers of dates and numbers raise what they meet
    except (yaml.YAMLError, ValueError, OverflowError, LookupError) as error:
        raise ValueError(one_line(error, 300)) from error
    return value


def _count_values(value: Any, known: dict[int, int]) -> int:
    """Count values and what is in them, shared ones as often as they are used.

    Args:
        value: lists and maps, which may share parts.
        known: identity -> count of those counted before; filled.

    Raises:
        RecursionError: a value contains itself.
    """
    if not isinstance(value, list | dict):
        return 1
    if id(value) not in known:
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count_values(part, known) for part in parts)
    return known[id(value)]
