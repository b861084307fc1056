"""YAML without its traps."""

from __future__ import annotations

import pytest

from iouaware.parsing import parse_yaml


def test_a_key_that_is_there_twice_is_an_error_with_its_line() -> None:
    with pytest.raises(ValueError, match=r"the key 'a' is there twice, expected it once.*line 3"):
        parse_yaml("a: 1\nb: {c: 2}\na: 3\n")
    with pytest.raises(ValueError, match="the key 'c' is there twice"):
        parse_yaml("a: {c: 2, c: 2}\n")


def test_a_key_over_one_that_is_merged_in_is_there_once() -> None:
    text = "x: {base: &b {<<: &a {lr: 1, steps: 2}, lr: 3}}\ny: {<<: *b, steps: 4}\n"
    assert parse_yaml(text)["y"] == {"lr": 3, "steps": 4}


def test_whole_numbers_are_those_written_as_they_are_printed() -> None:
    values = parse_yaml("[0, -7, 1200, 050, 1:30, 1_000, 0x10, '5']")
    assert values == [0, -7, 1200, "050", "1:30", "1_000", "0x10", "5"]
