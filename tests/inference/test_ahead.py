"""Items made in a thread while the present one is worked on."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from iouaware.inference.ahead import make_ahead


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_order_and_number_stay(count: int) -> None:
    assert list(make_ahead(iter(range(count)), 3)) == list(range(count))


def test_the_next_item_is_made_while_the_present_one_is_worked_on() -> None:
    asked_for = [threading.Event() for _ in range(4)]

    def make() -> Iterator[int]:
        for number, event in enumerate(asked_for):
            event.set()
            yield number

    items = make_ahead(make())
    assert next(items) == 0
    assert asked_for[1].wait(10)  # before anybody asked for it
    assert not asked_for[2].is_set()  # and no more than that
    assert list(items) == [1, 2, 3]


def test_an_error_comes_after_the_items_before_it() -> None:
    def make() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("broken picture")

    items = make_ahead(make(), 5)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="broken picture"):
        next(items)


def test_stopping_early_leaves_no_thread() -> None:
    items = make_ahead(iter(range(1000)))
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]
