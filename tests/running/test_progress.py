"""What is shown of long work."""

from __future__ import annotations

import io
import sys

import pytest

from iouaware.running.progress import Progress


def test_a_log_has_a_line_every_thirty_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    said: list[str] = []
    times = iter([0.0, 10.0, 31.0, 31.0, 40.0, 70.0, 70.0])
    progress = Progress("predict", said.append, lambda: next(times))
    for done, total in ((1, 2000), (1500, 2000), (1501, 2000), (1502, None)):
        progress(done, total)
    progress.close()
    assert said == ["predict: 1,500 of 2,000 pictures", "predict: 1,502 pictures"]


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    said: list[str] = []
    progress = Progress("predict", said.append)
    progress(1, 3)
    progress(3, 3)
    progress.close()
    assert not said
    assert "predict" in terminal.getvalue()
