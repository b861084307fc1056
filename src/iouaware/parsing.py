"""JSON and YAML from files that anyone may have written: values, or a ``ValueError``.

The parsers themselves fail in more ways: too deep nesting is a ``RecursionError``, a number of
thousands of digits or a date that does not exist a ``ValueError`` that names neither file nor
line, and ten lines of YAML aliases stand for as many values as one likes.
"""

from __future__ import annotations

import json
from typing import Any

import yaml
from yaml.nodes import MappingNode, ScalarNode

from iouaware.errors import one_line, shown

TOO_DEEP = "it is nested too deeply"


class _Loader(yaml.SafeLoader):
    """YAML's plain values, without two of its traps.

    A key that is there twice is an error, where only the last would count; and 050 and 1:30, whole
    numbers to base 8 and 60 that no one means, stay text.
    """

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key in (key for key, _ in node.value if isinstance(key, ScalarNode)):
            if (key.tag, key.value) in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {shown(key.value, 60)} is there twice, expected it once",
                    problem_mark=key.start_mark,
                )
            seen.add((key.tag, key.value))
        return node

    def _construct_int(self, node: ScalarNode) -> int | str:
        value: int = self.construct_yaml_int(node)
        return value if str(value) == node.value else str(node.value)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader._construct_int)


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

    Aliases may repeat a value, but not stand for more values than the text has characters. A whole
    number is one if it is written as it would be printed, else text.

    Raises:
        ValueError: with the reason on one line.
    """
    try:
        value = yaml.load(text, _Loader)
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
