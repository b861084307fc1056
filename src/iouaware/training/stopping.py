"""SIGTERM and Ctrl-C become a wish to stop, which the loop grants between two steps."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

import torch.distributed as dist


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
        """Give the signals back; SIGTERM not where an error ends one process of many."""
        # The launcher's SIGTERM follows the end of another process within a tenth of a second, and
        # would come before this one has told its error; it ends by the error anyway.
        one_of_many = kind is not None and dist.is_initialized()
        for number, handler in self._before.items():
            ignored = one_of_many and number == signal.SIGTERM
            signal.signal(number, signal.SIG_IGN if ignored else handler)  # type: ignore[arg-type]

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
