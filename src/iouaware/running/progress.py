"""How far a long piece of work is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from iouaware.running.folder import Say

SECONDS = 30.0


class Progress:
    """Shows how many pictures are done; to be called after each, and closed at the end."""

    def __init__(self, what: str, say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin.

        Args:
            what: names the work.
            say: takes a line every thirty seconds where stderr is no terminal.
            clock: tells the seconds.
        """
        self._what, self._say, self._clock = what, say, clock
        self._bar: Any = None
        self._told = clock()

    def __call__(self, done: int, total: int | None) -> None:
        """Show it; ``total`` is None where the number of pictures is not known."""
        if sys.stderr.isatty():
            from tqdm import tqdm

            if self._bar is None:
                self._bar = tqdm(total=total, desc=self._what, unit="picture", leave=False)
            self._bar.update(done - self._bar.n)
        elif self._clock() - self._told >= SECONDS:
            self._told = self._clock()
            of = "" if total is None else f" of {total:,}"
            self._say(f"{self._what}: {done:,}{of} pictures")

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
