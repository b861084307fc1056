"""SIGTERM and Ctrl-C become a wish to stop, which the loop grants between two steps."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class StopSignal:
    """Listens while the ``with`` block runs; ``asked`` tells whether someone wants to stop."""

    def __init__(self) -> None:
        """Prepare; nothing is listened to yet."""
        self.asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopSignal:
        """Take the signals, where this is the main thread; elsewhere they are others' business."""
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._ask)
        except ValueError:
            self._before = {}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
