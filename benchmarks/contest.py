"""Contestants: processes that wait until asked, so that all share the machine's moods.

Each is warmed up and then asked in turn; ratios are taken within a round, and their median is
quoted. One contestant works at a time.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Times(NamedTuple):
    """What a contest found out.

    Attributes:
        seconds: of one unit of work, by contestant and round.
        peak_memory_mb: of each contestant's process.
        cold_start: seconds from the start of its process until its first unit was done.
    """

    seconds: dict[str, list[float]]
    peak_memory_mb: dict[str, float]
    cold_start: dict[str, float]

    def ratio(self, peer: str, ours: str) -> float:
        """Return how many times as long the peer takes, the median over the rounds."""
        pairs = zip(self.seconds[peer], self.seconds[ours], strict=True)
        return round(statistics.median(theirs / own for theirs, own in pairs), 3)


def hold_contest(
    commands: Mapping[str, Sequence[str]], rounds: int, units: int, warm_up: int
) -> Times:
    """Time the contestants in turn.

    Args:
        commands: what starts each contestant's process.
        rounds: how often each is asked.
        units: of work at a time.
        warm_up: units before the first round.
    """
    times = Times({name: [] for name in commands}, {}, {})
    processes = {}
    try:
        for name, command in commands.items():
            started = time.perf_counter()
            processes[name] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            _ask(processes[name], 1)
            times.cold_start[name] = time.perf_counter() - started
            _ask(processes[name], warm_up)
        order = list(commands)
        for turn in range(rounds):
            for name in order[turn % len(order) :] + order[: turn % len(order)]:
                taken, times.peak_memory_mb[name] = _ask(processes[name], units)
                times.seconds[name].append(round(taken / units, 5))
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return times


def compete(work: Callable[[int], object]) -> None:
    """Be a contestant: do unit number i of the work whenever asked, until killed."""
    done = 0
    for line in sys.stdin:
        started = time.perf_counter()
        for _ in range(int(line)):
            work(done)
            done += 1
        taken = time.perf_counter() - started
        print(taken, peak_memory_mb(), flush=True)


def peak_memory_mb() -> float:
    """Return this process's own peak; getrusage would count that of the one it was forked from."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmHWM: this benchmark needs Linux")


def _ask(process: subprocess.Popen[str], units: int) -> tuple[float, float]:
    """Let a contestant work while all others wait; return its seconds and its peak in MB."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a contestant was started without pipes")
    process.stdin.write(f"{units}\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise RuntimeError(f"a contestant ended: {process.args!r}")
    taken, peak = answer.split()
    return float(taken), float(peak)
