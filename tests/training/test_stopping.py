from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
import torch.distributed as dist

from iouaware.training.stopping import StopSignal

BOTH = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    before = [signal.getsignal(number) for number in BOTH]
    yield
    for number, handler in zip(BOTH, before, strict=True):
        signal.signal(number, handler)


def test_a_signal_is_a_wish_while_the_block_runs() -> None:
    before = [signal.getsignal(number) for number in BOTH]
    with StopSignal() as stop:
        assert not stop.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
    assert [signal.getsignal(number) for number in BOTH] == before


@pytest.mark.parametrize("many", [False, True])
def test_p13_one_process_of_many_tells_its_error_before_the_launcher_ends_it(
    monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    before = [signal.getsignal(number) for number in BOTH]
    monkeypatch.setattr(dist, "is_initialized", lambda: many)
    with StopSignal():
        pass
    assert [signal.getsignal(number) for number in BOTH] == before  # without an error: given back
    with pytest.raises(RuntimeError, match="lost"), StopSignal():
        raise RuntimeError("lost")
    after = [signal.SIG_IGN, before[1]] if many else before
    assert [signal.getsignal(number) for number in BOTH] == after
