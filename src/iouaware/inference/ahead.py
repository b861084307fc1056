"""Making the next items in a thread while the present one is worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def make_ahead(items: Iterable[T], count: int = 1) -> Iterator[T]:
    """Yield items in order, the next ones being made in a thread meanwhile.

    Decoding and resizing let go of Python's lock, and so does a network: they overlap.

    Args:
        items: what makes them, such as a generator that reads pictures; used by the thread alone.
        count: made ahead at most, at least 1, so that memory stays flat.

    Raises:
        Exception: what making an item raised, after the items before it.
    """
    iterator = iter(items)
    end: Any = object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        pending = deque(pool.submit(next, iterator, end) for _ in range(count))
        while (item := pending.popleft().result()) is not end:
            pending.append(pool.submit(next, iterator, end))
            yield item
